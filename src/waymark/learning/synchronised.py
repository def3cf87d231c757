"""Batch normalisation over the images of all processes: each normalises its share as if it saw the whole batch.

torch's own SyncBatchNorm knows CUDA only; on processors these do the same, with gloo.
"""

from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, nn
from torch.autograd.function import Function
from torch.nn.modules.batchnorm import _BatchNorm

from waymark.errors import WaymarkError


def synchronise(model: nn.Module, *, cuda: bool) -> None:
    """Let the network's batch normalisation, while it trains, see the batch of all processes, in equal shares.

    Parameters and their names stay. Raises WaymarkError for a kind of batch normalisation that is unknown here.
    """
    kinds: dict[type, type] = (
        {nn.BatchNorm2d: nn.SyncBatchNorm, BatchNormAct2d: SyncBatchNormAct}
        if cuda
        else {nn.BatchNorm2d: BatchNorm, BatchNormAct2d: BatchNormAct}
    )
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            if type(module) not in kinds:
                raise WaymarkError(
                    f"devices: {type(module).__name__} of this network cannot see the images of other processes; use"
                    " devices: 1 or another network"
                )
            module.__class__ = kinds[type(module)]  # another forward on the same parameters, buffers and mode
            module.process_group = None  # type: ignore[assignment]  # all of them


class BatchNorm(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return _normalise(self, input) if self.training else super().forward(input)


class BatchNormAct(BatchNormAct2d):
    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)  # type: ignore[no-any-return, no-untyped-call]
        return self.act(self.drop(_normalise(self, x)))  # type: ignore[no-any-return]


class _Sum(Function):
    """The sum of a tensor over all processes; what changes it here changes every process's loss."""

    @staticmethod
    def forward(_: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _normalise(layer: nn.BatchNorm2d, x: Tensor) -> Tensor:
    variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    mean, variance = mean.double(), variance.double()  # mean² is taken off again: in float32 that would cost digits
    processes = dist.get_world_size()
    mean, square = _Sum.apply(torch.stack([mean, variance + mean**2])) / processes  # type: ignore[no-untyped-call]
    variance = square - mean**2
    _remember(layer, mean.detach(), variance.detach(), processes * x.numel() // x.shape[1])
    scale = torch.rsqrt(variance + layer.eps).float() * layer.weight
    shape = (1, -1, 1, 1)
    normalised: Tensor = (x.float() - mean.float().view(shape)) * scale.view(shape) + layer.bias.view(shape)
    return normalised.to(x.dtype)


@torch.no_grad()
def _remember(layer: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """As torch does: a moving average, of the variance without bias."""
    if layer.running_mean is None or layer.running_var is None or layer.num_batches_tracked is None:
        return
    layer.num_batches_tracked.add_(1)
    share = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.float(), share)
    layer.running_var.lerp_((variance * count / (count - 1)).float(), share)
