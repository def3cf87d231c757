"""The state of a training on disk: written whole or not at all, tied to what it continues, and nothing in it can run.

The file is the SHA-256 of what follows, 32 bytes, and then safetensors: the tensors by number, and as metadata, in
JSON, who may continue (the fingerprint) and the state around the tensors.
"""

import fcntl
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import timm
import torch
from pytorch_lightning.utilities import rank_zero_only
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from waymark import contract, paths
from waymark.errors import WaymarkError, reason
from waymark.files import reading
from waymark.learning import machine, weights
from waymark.params import Params

State = dict[str, Any]  # of strings, numbers, tensors, and lists, tuples and dicts of these
Fingerprint = dict[str, str]  # what a training continues, by kind, each as a SHA-256

SETTINGS = (
    "dataset",
    "seed",
    "network",
    "width",
    "pretrained",
    "weights",
    "freeze_backbone",
    "epochs",
    "batch_size",
    "optimizer",
    "lr",
    "weight_decay",
    "label_smoothing",
    "class_balance",
    "ema_decay",
    "augment_rotation",
    "augment_zoom_out",
    "augment_scale",
    "augment_aspect",
    "augment_shift",
    "augment_shear",
    "augment_light",
    "augment_colour",
    "augment_blur",
    "augment_noise",
    "augment_flip",
    "outliers",
    "precision",
    "threads",
    "devices",
    "strategy",
    "num_nodes",
)  # all that `train` reads of params.yaml
DIGEST = hashlib.sha256().digest_size

log = logging.getLogger(__name__)


def fingerprint(params: Params) -> Fingerprint:
    """All that decides the last bits of a training: a checkpoint of anything else is of no use to it."""
    prepared = [
        paths.PREPARED_CONTRACT,
        *(file(split) for split in ("train", "val") for file in (paths.images, paths.rows)),
    ]
    loaded = sorted(name for name in sys.modules if name.startswith(f"{__package__}."))  # by this time, all of them
    sources = [Path(module.__file__ or "") for module in (contract, *map(sys.modules.__getitem__, loaded))]
    versions = {module.__name__: module.__version__ for module in (np, pl, timm, torch)}
    arithmetic = machine.precision(params.precision), torch.backends.cpu.get_cpu_capability(), torch.cuda.device_count()
    kinds = {
        "parameters": {name: getattr(params, name) for name in SETTINGS},
        "data": {path.name: _sha256(path) for path in prepared},
        "code": {path.name: _sha256(path) for path in sources} | versions,
        "hardware": arithmetic,
    }
    return {kind: hashlib.sha256(json.dumps(facts).encode()).hexdigest() for kind, facts in kinds.items()}


def _sha256(path: Path) -> str:
    with reading(path):
        return weights.sha256(path)


class Checkpoint:
    """The one checkpoint of a repository, as found when a training begins, and as it goes on."""

    def __init__(self, path: Path, fingerprint: Fingerprint) -> None:
        self.path, self.fingerprint = path, fingerprint
        self.state = self._found()
        self._refused = False

    def _found(self) -> State | None:
        """What is there to continue. Of one that cannot be used one sentence says why; the training begins anew."""
        try:
            whose, state = read(self.path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.ignore(f"is damaged ({reason(error)})")
            return None
        others = [kind for kind, digest in self.fingerprint.items() if whose.get(kind) != digest]
        if others:
            self.ignore(f"was left by a training with other {' and '.join(others)}")
            return None
        return state

    def epochs(self) -> list[dict[str, float]]:
        """What is known of the epochs before: their rows of the history, with the learning rate."""
        return self.state["rows"] if self.state else []

    def ignore(self, why: str) -> None:
        self.state = None
        log.warning("warning: %s: %s; training begins anew", self.path, why)

    def write(self, state: Mapping[str, Any]) -> bool:
        """Whether the disk took it. Where not, the one before stays, and the first time a sentence says so."""
        part = self.path.with_name(self.path.name + ".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write_through(part, pack(self.fingerprint, state))
            part.replace(self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            if not self._refused:
                said = "warning: %s: cannot be written (%s); if this training is interrupted, it may begin anew"
                log.warning(said, self.path, reason(error))
            self._refused = True
            return False
        return True

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def _write_through(path: Path, content: bytes) -> None:
    """To the disk itself: after a power cut, too, a file that was renamed is the whole file."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One training at a time keeps its checkpoint and its outputs in `folder`: two would take each other's files.

    Where DVC was killed, the training that it started lives on. The lock is on the folder, so no file of it is left;
    further processes of one training do without.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not getattr(rank_zero_only, "rank", 0):
            _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WaymarkError(
            f"{folder}: another training is at work on these files; wait until it ends, or end it, then run again"
        ) from None


def pack(fingerprint: Fingerprint, state: Mapping[str, Any]) -> bytes:
    tensors: dict[str, Tensor] = {}
    outline = _outline(state, tensors)
    content = save(tensors, metadata={"waymark": json.dumps({"fingerprint": fingerprint, "state": outline})})
    return sealed(content)


def sealed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def read(path: Path) -> tuple[Fingerprint, State]:
    """Raises OSError, and ValueError for anything but a whole file that `pack` made."""
    file = path.read_bytes()
    digest, content = file[:DIGEST], file[DIGEST:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError("its bytes are not those that were written")
    try:
        # safetensors: the header's length as 8 bytes, the header as JSON, the tensors
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        document = json.loads(header["__metadata__"]["waymark"])
        return dict(document["fingerprint"]), dict(_filled(document["state"], load(content)))
    except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it holds no training's state: {error}") from None


def _outline(value: Any, tensors: dict[str, Tensor]) -> Any:
    """`value` in JSON, which knows neither tensors, tuples nor keys that are numbers; the tensors go to `tensors`."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Tensor():
            name = str(len(tensors))
            # Copies, since tensors that share memory are refused; the layout in memory can decide a last bit, too.
            channels_last = not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)
            tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            return {"tensor": name, "channels_last": channels_last}
        case Mapping():
            return {"mapping": [[key, _outline(item, tensors)] for key, item in value.items()]}
        case list() | tuple():
            return {type(value).__name__: [_outline(item, tensors) for item in value]}
    raise TypeError(f"{type(value).__name__} has no place in a checkpoint")


def _filled(outline: Any, tensors: Mapping[str, Tensor]) -> Any:
    match outline:
        case {"tensor": name, "channels_last": channels_last}:
            layout = torch.channels_last if channels_last else torch.contiguous_format
            return tensors[name].contiguous(memory_format=layout)
        case {"mapping": pairs}:
            return {key: _filled(item, tensors) for key, item in pairs}
        case {"list": items}:
            return [_filled(item, tensors) for item in items]
        case {"tuple": items}:
            return tuple(_filled(item, tensors) for item in items)
    return outline
