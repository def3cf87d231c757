"""Where a network looked: how much each pixel of an image speaks for a class.

Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391), by captum: a map inside the network, each channel
weighted by the gradient of the class's score. benchmarks/explanations.py holds it against other ways: it is nearly as
true to the network as covering part after part of the image, which takes a hundred times as long.
"""

from typing import Any

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from waymark.errors import WaymarkError

LEAST_SIDE = 5  # px of the map that is taken; coarser ones, which large networks make of small images, tell no place


def heat_maps(network: nn.Module, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, S, S) for `inputs` (N, 3, S, S), as the contract normalises them, and a class each, `labels` (N,).

    Nothing is negative: what speaks against the class counts as nothing.
    """
    network.eval()
    images, side = torch.from_numpy(inputs), inputs.shape[-1]
    heat = LayerGradCam(network, last_map(network, images[:1])).attribute(
        images, torch.from_numpy(labels), relu_attributions=True
    )
    smooth = LayerAttribution.interpolate(heat, (side, side), "bilinear")
    return np.asarray(smooth[:, 0].detach().numpy(), np.float32)


@torch.inference_mode()
def last_map(network: nn.Module, image: Tensor, least_side: int = LEAST_SIDE) -> nn.Module:
    """The last module whose output (N, C, H, W) has `least_side` rows and columns: as near the answer as place is kept.

    Raises WaymarkError for a network that keeps none, such as a vision transformer.
    """
    maps: list[nn.Module] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= least_side:
            maps.append(module)

    hooks = [module.register_forward_hook(note) for module in network.modules()]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        raise WaymarkError(
            f"the network makes no map of {least_side} × {least_side} pixels of an image of {image.shape[-1]} px: "
            "where it looked cannot be told; take a convolutional network or a larger image_size"
        )
    return maps[-1]
