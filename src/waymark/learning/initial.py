"""What a network knows before it learns here: nothing, what timm publishes for it, or what a file of tensors holds."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub
import timm
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from waymark import paths
from waymark.errors import WaymarkError, cause, reason
from waymark.learning import network
from waymark.learning.weights import sha256
from waymark.params import Params

SAFETENSORS = "model.safetensors"  # timm's name on the hub for a network's tensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Initial:
    """A file of tensors on this machine."""

    path: Path
    name: str  # what it is called where it came from
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@sha256:{self.sha256}"


def build(params: Params, num_classes: int) -> nn.Module:
    """Make the network with the weights that it starts from, as `pretrained`, `weights` and `freeze_backbone` say.

    Where they come from outside, the network's attribute `initial_weights` names them and their SHA-256. Raises
    WaymarkError where they cannot be had, are not the ones named or do not fit.
    """
    start: Initial | None
    if params.pretrained:
        start, model = published(params.network, num_classes)
    else:
        model = network.build(params.network, num_classes, params.width)
        start = given(params.weights) if params.weights else None
        if start:
            _fill(model, start, params.network)
    if start:
        model.initial_weights = str(start)  # type: ignore[assignment]  # a plain attribute, as timm's pretrained_cfg
        log.info("learning begins from %s", start)
    if params.freeze_backbone:
        freeze_backbone(model)
    return model


def freeze_backbone(model: nn.Module) -> None:
    """Let only the classifier learn; the rest stays as it is, the statistics of its batch normalisation too."""
    model.requires_grad_(False)
    model.eval()  # Lightning keeps each module's own mode while it trains
    for classifier in _classifiers(model):
        classifier.requires_grad_(True)
        classifier.train()


def published(name: str, num_classes: int) -> tuple[Initial, nn.Module]:
    """timm's own weights for the network `name`, and the network with them and a new head for `num_classes`."""
    network.check(name)
    repository = getattr(timm.get_pretrained_cfg(name), "hf_hub_id", None)
    if not repository:
        raise WaymarkError(f"pretrained: timm publishes no weights for {name}; use pretrained: false")
    hub = huggingface_hub.constants.ENDPOINT
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of each of five more attempts
    try:
        path = Path(huggingface_hub.hf_hub_download(repository, SAFETENSORS))
    except (OSError, HfHubHTTPError, EntryNotFoundError) as error:
        raise WaymarkError(
            f"pretrained: {repository} cannot be had from {hub} ({cause(error.__cause__ or error)}); run again with a "
            f"connection, or get its {SAFETENSORS} another way and name that file in weights, with pretrained: false"
        ) from None
    start = Initial(path, repository, sha256(path))
    _read(start)  # timm's own sentence for damage is a traceback
    try:
        # The file at hand, so that timm fetches nothing: where it finds no safetensors it would load a pickle.
        from_file = {"file": str(path), "custom_load": False}
        model: nn.Module = timm.create_model(
            name, pretrained=True, num_classes=num_classes, in_chans=3, pretrained_cfg_overlay=from_file
        )
    except (RuntimeError, KeyError) as error:
        raise WaymarkError(f"pretrained: {repository} does not fit network {name} ({error})") from None
    return start, model


def given(weights: str) -> Initial:
    """The file that `weights` names: a path, or an address of which a copy is kept; held against its digest, if any.

    A parameter is all that DVC sees of it. With the digest, another content is another parameter, which is another run;
    without it, a file that changes under its name goes unnoticed until the stage runs again.
    """
    address, _, digest = weights.partition("@sha256:")
    path, name = (_fetched(address, digest), address) if "://" in address else (Path(address).expanduser(), "")
    try:
        start = Initial(path, name or path.name, sha256(path))
    except OSError as error:
        raise WaymarkError(
            f"weights: {address} cannot be read ({error.strerror}); expected a safetensors file's path, https://… or "
            "s3://…"
        ) from None
    if not digest:
        log.warning(
            "warning: weights: DVC does not see whether %s changes; write weights: %s@sha256:%s, and it does",
            *(start.name, address, start.sha256),
        )
    elif start.sha256 != digest:
        raise WaymarkError(
            f"weights: the sha256 of {start.name} is {start.sha256}, expected {digest}; bring that file back, or name "
            "the digest of this one"
        )
    return start


def _fetched(url: str, digest: str) -> Path:
    # Not at the top: how the bytes came makes no difference to what is learned from them, and takes a second to import.
    from waymark.datasets import transfer

    kept = paths.INITIAL_WEIGHTS / f"{digest or hashlib.sha256(url.encode()).hexdigest()}.safetensors"
    if kept.exists() and (sha256(kept) == digest if digest else os.environ.get("LOCAL_RANK", "0") != "0"):
        return kept  # without a digest: what the first process of this machine has just fetched
    transfer.fetch(url, kept, partial=paths.PARTIAL, sha256=digest)
    return kept


def _read(start: Initial) -> dict[str, Tensor]:
    try:
        with safe_open(start.path, framework="pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, ValueError) as error:
        raise WaymarkError(f"{start.name}: is not a whole safetensors file ({reason(error)}); get it anew") from None


def _fill(model: nn.Module, start: Initial, architecture: str) -> None:
    """Give the network the file's tensors; but those of a head for another number of classes, which it learns anew."""
    held, wanted = _read(start), model.state_dict()
    head = {key for key in wanted if key.startswith(tuple(f"{name}." for name in _classifier_names(model)))}
    if all(key not in held for key in head) or any(
        held[key].shape[:1] != wanted[key].shape[:1] for key in head & held.keys()
    ):
        held = {key: tensor for key, tensor in held.items() if key not in head}
        wanted = {key: tensor for key, tensor in wanted.items() if key not in head}
        log.info("its head is for other classes and is left out")
    for key in [*wanted, *sorted(held.keys() - wanted.keys())]:
        here, there = _kind(held.get(key)), _kind(wanted.get(key))
        if here != there:
            raise WaymarkError(
                f"weights: {start.name} does not fit network {architecture}: tensor {key!r} is {here}, expected {there}"
            )
    model.load_state_dict(held, strict=False)


def _kind(tensor: Tensor | None) -> str:
    if tensor is None:
        return "absent"
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _classifiers(model: nn.Module) -> tuple[nn.Module, ...]:
    """The layers that tell the classes apart: one, or several for networks that were distilled."""
    found = model.get_classifier()  # type: ignore[operator]  # timm's convention, which SignResNet keeps
    return tuple(found) if isinstance(found, tuple) else (found,)


def _classifier_names(model: nn.Module) -> list[str]:
    classifiers = _classifiers(model)
    return [name for name, module in model.named_modules() if module in classifiers]
