"""Networks by the names that timm knows, ours among them."""

import difflib
from typing import Any

import timm
from torch import nn

from waymark.errors import WaymarkError
from waymark.learning import sign_resnet

OURS = (sign_resnet.sign_resnet.__name__, sign_resnet.sign_resnet_stn.__name__)


def check(network: str) -> None:
    """Raise WaymarkError for a name that timm does not know."""
    if not timm.is_model(network):
        near = ", ".join(difflib.get_close_matches(network, timm.list_models(), n=5))
        raise WaymarkError(
            f"network: {network!r} is unknown" + (f"; near it are {near}" if near else "; see timm.list_models()")
        )


def build(network: str, num_classes: int, width: int) -> nn.Module:
    """Make `network` by its timm name; `width` applies to OURS only.

    Raises WaymarkError for a name that timm does not know.
    """
    check(network)
    options: dict[str, Any] = {"width": width} if network in OURS else {}
    model: nn.Module = timm.create_model(network, num_classes=num_classes, in_chans=3, **options)
    return model
