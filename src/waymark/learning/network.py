"""The networks: a small residual net for signs, and any that timm knows by name."""

import difflib
from typing import Any

import timm
import torch
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


class SignResNet(nn.Module):
    """A residual net for images of 32 to 64 px: three stages of two blocks, each halving the side.

    Takes (N, 3, S, S) float and returns (N, num_classes) logits. With width 32 it has 0.7 M parameters.
    """

    def __init__(self, num_classes: int, width: int = 32, in_chans: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(in_chans, width, 3, padding=1, bias=False),
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
    if pretrained:
        raise WaymarkError("network: sign_resnet has no pretrained weights; it learns from scratch")
    return SignResNet(num_classes, width, in_chans)


def check(network: str) -> None:
    """Raise WaymarkError for a name that timm does not know."""
    if not timm.is_model(network):
        near = ", ".join(difflib.get_close_matches(network, timm.list_models(), n=5))
        raise WaymarkError(
            f"network: {network!r} is unknown" + (f"; near it are {near}" if near else "; see timm.list_models()")
        )


def build(network: str, num_classes: int, width: int) -> nn.Module:
    """Make `network` by its timm name; `width` applies to sign_resnet only.

    Raises WaymarkError for a name that timm does not know.
    """
    check(network)
    options: dict[str, Any] = {"width": width} if network == "sign_resnet" else {}
    model: nn.Module = timm.create_model(network, num_classes=num_classes, in_chans=3, **options)
    return model
