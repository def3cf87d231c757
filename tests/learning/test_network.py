"""Networks by name."""

import pytest
import torch

from waymark.errors import WaymarkError
from waymark.learning import network
from waymark.learning.sign_resnet import LocalContrast, SpatialTransformer


@pytest.mark.parametrize("size", [16, 32, 40, 48, 65])
@pytest.mark.parametrize("name", network.OURS)
def test_sign_resnet_takes_any_size(name: str, size: int) -> None:
    assert network.build(name, 43, 8)(torch.zeros(2, 3, size, size)).shape == (2, 43)


def test_sign_resnet_of_the_default_width_stays_under_a_million_parameters() -> None:
    assert sum(p.numel() for p in network.build("sign_resnet", 43, 32).parameters()) == 702_539


def test_a_picture_at_night_looks_to_sign_resnet_as_it_does_by_day() -> None:
    by_day = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 4 - 2
    for night in (by_day * 0.5 - 1.2, by_day * 0.8 + 0.4):
        assert torch.allclose(LocalContrast()(night)[:, :4], LocalContrast()(by_day)[:, :4], atol=0.01)
        assert torch.allclose(LocalContrast()(night)[:, 4], night.mean(dim=(1, 2, 3)).view(2, 1, 1).expand(2, 48, 48))


def test_local_contrast_raises_what_lies_in_the_shadow() -> None:
    stripes = torch.zeros(1, 3, 48, 48)
    stripes[..., ::2] = 1
    stripes[:, :, 24:] *= 0.2  # the lower half in the shadow
    plain, local = (LocalContrast()(stripes)[:, channel] for channel in (0, 3))
    assert plain[:, 32:].std() / plain[:, :16].std() == pytest.approx(0.2, abs=1e-3)
    assert local[:, 32:].std() / local[:, :16].std() > 0.75


def test_spatial_transformer_begins_by_leaving_pictures_as_they_are() -> None:
    pictures = torch.rand(2, 4, 40, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(SpatialTransformer(4).eval()(pictures), pictures, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "resnet18"])
def test_timm_s_networks_are_built_by_their_names(name: str) -> None:
    assert network.build(name, 7, 32).eval()(torch.zeros(1, 3, 48, 48)).shape == (1, 7)


def test_an_unknown_network_is_named_with_those_near_it() -> None:
    with pytest.raises(WaymarkError, match=r"'resnet19' is unknown"):
        network.build("resnet19", 7, 32)
