"""Heat maps lie where the class is told, and tell of this network, not of the image."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from waymark.errors import WaymarkError
from waymark.learning import attribution
from waymark.learning.network import build

SIZE = 24
PLACE = (slice(4, 12), slice(12, 20))  # rows, columns


def colour_network() -> nn.Module:
    """Its logits are the mean red, green and blue of the image."""
    network = nn.Sequential(
        nn.Conv2d(3, 3, 1, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    (convolution, *_) = network
    assert isinstance(convolution, nn.Conv2d)
    convolution.weight.data = torch.eye(3)[:, :, None, None]
    return network


def spotted() -> NDArray[np.float32]:
    """Two images, dark but for one spot: red in the first, blue in the second."""
    images = np.zeros((2, 3, SIZE, SIZE), np.float32)
    images[0, 0][PLACE] = images[1, 2][PLACE] = 1
    return images


def test_heat_lies_on_the_spot_that_speaks_for_the_class() -> None:
    heat = attribution.heat_maps(colour_network(), spotted(), np.array([0, 2]))
    assert heat.shape == (2, SIZE, SIZE)
    assert heat.dtype == np.float32
    inside = np.zeros((SIZE, SIZE), bool)
    inside[PLACE] = True
    edge = np.zeros((SIZE, SIZE), bool)
    edge[3:13, 11:21] = True  # the map has half the image's rows
    assert (heat[:, inside] > 0).all()
    assert (heat[:, ~edge] == 0).all()


def test_a_class_that_nothing_speaks_for_has_no_heat() -> None:
    assert (attribution.heat_maps(colour_network(), spotted(), np.array([1, 1])) == 0).all()


def test_each_image_is_explained_by_itself() -> None:
    together = attribution.heat_maps(colour_network(), spotted(), np.array([0, 2]))
    alone = attribution.heat_maps(colour_network(), spotted()[1:], np.array([2]))
    assert (together[1] == alone[0]).all()


def test_what_speaks_against_a_class_counts_as_nothing() -> None:
    network = nn.Sequential(colour_network(), nn.Linear(3, 2, bias=False))
    network[1].weight.data = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]])
    assert (attribution.heat_maps(network, spotted()[:1], np.array([1])) == 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sign_resnet", "resnet18", "mobilenetv3_small_100"])
def test_a_map_is_found_in_each_network_and_no_hook_stays(name: str) -> None:
    torch.manual_seed(0)
    built = build(name, num_classes=4, width=32)
    images = np.random.default_rng(0).normal(size=(2, 3, 40, 40)).astype(np.float32)
    before = built.eval()(torch.from_numpy(images))
    heat = attribution.heat_maps(built, images, np.array([0, 3]))
    assert heat.shape == (2, 40, 40)
    assert np.isfinite(heat).all()
    assert heat.max() > 0
    assert torch.equal(built(torch.from_numpy(images)), before)
    assert not any(module._forward_hooks for module in built.modules())


def test_a_network_without_a_map_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2))
    with pytest.raises(WaymarkError, match=r"^the network makes no map of .* pixels of an image of 24 px: "):
        attribution.heat_maps(network, spotted(), np.array([0, 1]))
