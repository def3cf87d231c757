"""Which heat map is true to the network: the probability as the hottest pixels are blurred away, or brought back first.

python benchmarks/explanations.py --images 200

Deletion and insertion (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421) on images of val: the workspace's model
explains its own answers. Deletion: the mean probability while the picture is blurred, the hottest pixels first; lower
is better. Insertion: while a blurred picture becomes sharp, the hottest pixels first; higher is better.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from waymark.learning import attribution, weights  # before torch's own: it makes torchvision importable

# isort: split

import machine
import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, Occlusion
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from waymark import contract, paths

STEPS = 20  # from sharp to blurred
BLUR = 0.15  # standard deviation of the blur, in sides of the image: only the colours of regions are left
COVER = 0.25  # side of the square that occlusion moves, in sides of the image, as in the service's explanations
Heat = NDArray[np.float32]  # (N, S, S)


def areas(network: nn.Module, images: Tensor, labels: Tensor, heat: Heat, blurred: Tensor) -> tuple[float, float]:
    """Deletion and insertion, as means over images and steps."""
    count, _, side, _ = images.shape
    rank = np.argsort(np.argsort(-heat.reshape(count, -1), axis=1, kind="stable"), axis=1).reshape(count, 1, side, side)
    removed: list[float] = []
    restored: list[float] = []
    with torch.inference_mode():
        for step in range(STEPS + 1):
            hottest = torch.from_numpy(rank < step * side * side / STEPS)
            for kept, into in (
                (torch.where(hottest, blurred, images), removed),
                (torch.where(hottest, images, blurred), restored),
            ):
                into.append(F.softmax(network(kept), dim=1).gather(1, labels[:, None]).mean().item())
    return float(np.mean(removed)), float(np.mean(restored))


def methods(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Callable[[], Heat]]:
    side = images.shape[-1]

    def gradcam(least: int) -> Heat:
        layer = attribution.last_map(network, images[:1], least)
        heat = LayerGradCam(network, layer).attribute(images, labels, relu_attributions=True)
        return np.asarray(LayerAttribution.interpolate(heat, (side, side), "bilinear")[:, 0].detach(), np.float32)

    def integrated(smooth: float) -> Heat:
        heat = IntegratedGradients(network).attribute(images, target=labels, n_steps=24, internal_batch_size=256)
        return np.asarray(gaussian_filter(heat.sum(1).detach().numpy(), (0, smooth, smooth)), np.float32)

    def occlusion() -> Heat:
        cover = max(round(COVER * side), 1)
        step = max(side // 20, 1)
        heat = Occlusion(lambda batch: F.softmax(network(batch), dim=1)).attribute(
            images, (3, cover, cover), strides=(3, step, step), target=labels
        )
        return np.asarray(heat.mean(1).detach(), np.float32)

    chance = np.random.default_rng(0)
    return {
        "random": lambda: chance.random((len(images), side, side), np.float32),
        "random, smooth": lambda: gaussian_filter(chance.random((len(images), side, side), np.float32), (0, 3, 3)),
        "waymark explain": lambda: attribution.heat_maps(network, images.numpy(), labels.numpy()),
        "Grad-CAM, last map": lambda: gradcam(2),
        "Grad-CAM, twice as fine": lambda: gradcam(8),
        "integrated gradients": lambda: integrated(0),
        "integrated gradients, smooth": lambda: integrated(side / 20),
        "occlusion": occlusion,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200, help="of val, spread evenly (default: 200)")
    parser.add_argument("--root", type=Path, default=Path(), help="repository after `dvc repro` (default: here)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = contract.read(arguments.root / paths.CONTRACT)
    network = weights.read(arguments.root / paths.WEIGHTS).eval()
    held = np.load(arguments.root / paths.images("val"), mmap_mode="r")
    chosen = np.unique(np.linspace(0, len(held) - 1, arguments.images).round().astype(int))
    inputs = known.normalise(held[chosen])
    images, side = torch.from_numpy(inputs), inputs.shape[-1]
    blurred = torch.from_numpy(gaussian_filter(inputs, (0, 0, BLUR * side, BLUR * side)))
    with torch.no_grad():
        labels = network(images).argmax(1)
    print(machine.line("captum", "torch"))
    print(f"{len(images)} images of val at {side} px, {known.dataset}, weights {known.weights_sha256[:12]}")
    print(f"{'':30} {'deletion':>9} {'insertion':>9} {'difference':>10} {'ms an image':>11}")
    for name, method in methods(network, images, labels).items():
        began = time.process_time()
        heat = method()
        spent = (time.process_time() - began) / len(images)
        deletion, insertion = areas(network, images, labels, heat, blurred)
        print(
            f"{name:30} {deletion:9.3f} {insertion:9.3f} {insertion - deletion:10.3f} {1000 * spent:11.1f}", flush=True
        )


if __name__ == "__main__":
    main()
