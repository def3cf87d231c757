"""A small residual net for signs and other small pictures, under a million parameters by default."""

import torch
import torch.nn.functional as F
from timm.models import register_model
from torch import Tensor, nn

from waymark.errors import WaymarkError


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions around a shortcut (He et al. 2016, https://arxiv.org/abs/1512.03385, figure 2)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            # Averaging before the 1 × 1 convolution uses every pixel; a strided one would drop three of four
            # (He et al. 2018, https://arxiv.org/abs/1812.01187, ResNet-D).
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride != 1 else nn.Identity(),
                nn.Conv2d(channels_in, channels_out, 1, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.convolutions(x) + self.shortcut(x))


class LocalContrast(nn.Module):
    """(N, C, S, S) to (N, C + 2, S, S): each picture freed of its light, and its luma freed of its surroundings' light.

    The first C channels are standardised over the whole picture. The next is their mean, of which each pixel's
    surroundings' mean is taken off and by whose spread the rest is divided (Jarrett et al. 2009, section 2; for traffic
    signs Sermanet and LeCun 2011): a sign at night, or half in shadow, looks like one by day. The last is the light
    itself, the same everywhere, for classes that differ by it.
    """

    ADDED = 2  # channels

    SURROUNDINGS = 13  # px, a quarter of the side at 48 px
    DARKEST = 1e-3  # variance of a picture that is hardly raised any more; of grain, by rounding to 8 bits, 1e-5
    FLATTEST = 0.02  # variance of surroundings that are hardly raised any more, in those of the whole picture

    def forward(self, x: Tensor) -> Tensor:
        light = x.mean(dim=(1, 2, 3), keepdim=True)
        x = x - light
        x = x * torch.rsqrt(x.square().mean(dim=(1, 2, 3), keepdim=True) + self.DARKEST)
        luma = x.mean(dim=1, keepdim=True)
        details = luma - self.around(luma)
        details = details * torch.rsqrt(self.around(details.square()) + self.FLATTEST)
        return torch.cat([x, details, light.expand_as(luma)], dim=1)

    def around(self, x: Tensor) -> Tensor:
        """The mean of each pixel's surroundings: of their rows, and then of these; together they cost a sixth."""
        margin = self.SURROUNDINGS // 2
        rows = F.avg_pool2d(F.pad(x, (margin,) * 4, mode="reflect"), (1, self.SURROUNDINGS), stride=1)
        return F.avg_pool2d(rows, (self.SURROUNDINGS, 1), stride=1)


class SpatialTransformer(nn.Module):
    """Straightens (N, C, S, S) pictures by an affine map of its choice (Jaderberg et al. 2015, arXiv:1506.02025)."""

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.localisation = nn.Sequential(
            nn.AvgPool2d(2),
            nn.Conv2d(channels, width, 5, stride=2, padding=2),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(3),
            nn.Flatten(),
            nn.Linear(9 * 2 * width, 2 * width),
            nn.ReLU(inplace=True),
        )
        self.map = nn.Linear(2 * width, 6)
        nn.init.zeros_(self.map.weight)  # it begins by leaving pictures as they are
        with torch.no_grad():
            self.map.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.map(self.localisation(x)).float().view(-1, 2, 3)
        # Not len(x): that would fix the number of images in the ONNX file.
        grid = F.affine_grid(maps, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


class SignResNet(nn.Module):
    """A residual net for images of 32 to 64 px: three stages of two blocks, each halving the side.

    Takes (N, 3, S, S) float and returns (N, num_classes) logits. With width 32 it has 0.7 M parameters.
    """

    def __init__(self, num_classes: int, width: int = 32, in_chans: int = 3, straighten: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            LocalContrast(),
            *([SpatialTransformer(in_chans + LocalContrast.ADDED)] if straighten else []),
            nn.Conv2d(in_chans + LocalContrast.ADDED, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
        for stage in (width, 2 * width, 4 * width):
            layers += [ResidualBlock(channels, stage, stride=2), ResidualBlock(stage, stage, stride=1)]
            channels = stage
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits

    def get_classifier(self) -> nn.Module:
        """The layer that tells the classes apart, by timm's name for it."""
        return self.head[-1]


@register_model
def sign_resnet(
    pretrained: bool = False, num_classes: int = 43, in_chans: int = 3, width: int = 32, **_: object
) -> SignResNet:
    """Entry under which timm finds SignResNet."""
    return _from_scratch(pretrained, SignResNet(num_classes, width, in_chans))


@register_model
def sign_resnet_stn(
    pretrained: bool = False, num_classes: int = 43, in_chans: int = 3, width: int = 32, **_: object
) -> SignResNet:
    """SignResNet behind a spatial transformer."""
    return _from_scratch(pretrained, SignResNet(num_classes, width, in_chans, straighten=True))


def _from_scratch(pretrained: bool, network: SignResNet) -> SignResNet:
    if pretrained:
        raise WaymarkError("network: sign_resnet has no pretrained weights; it learns from scratch")
    return network
