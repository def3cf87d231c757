"""Networks by name."""

import pytest
import torch

from waymark.errors import WaymarkError
from waymark.learning import network


@pytest.mark.parametrize("size", [16, 32, 40, 48, 65])
def test_sign_resnet_takes_any_size(size: int) -> None:
    assert network.build("sign_resnet", 43, 8)(torch.zeros(2, 3, size, size)).shape == (2, 43)


def test_sign_resnet_of_the_default_width_stays_under_a_million_parameters() -> None:
    assert sum(p.numel() for p in network.build("sign_resnet", 43, 32).parameters()) == 701_963


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "resnet18"])
def test_timm_s_networks_are_built_by_their_names(name: str) -> None:
    assert network.build(name, 7, 32).eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 7)


def test_an_unknown_network_is_named_with_those_near_it() -> None:
    with pytest.raises(WaymarkError, match=r"'resnet19' is unknown"):
        network.build("resnet19", 7, 32)
