"""Weights as safetensors: tensors and a few strings, nothing that could run."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from waymark.errors import WaymarkError
from waymark.learning import network


def write(model: nn.Module, path: Path, *, name: str, num_classes: int, width: int) -> None:
    """Save the weights with what is needed to build the network again, and where its learning began if from others."""
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    architecture: dict[str, object] = {"network": name, "num_classes": num_classes, "width": width}
    if began := getattr(model, "initial_weights", ""):
        architecture["initial_weights"] = began
    path.write_bytes(save(tensors, metadata={"waymark": json.dumps(architecture)}))


def read(path: Path) -> nn.Module:
    """Build the network that `path` describes and fill it.

    Raises WaymarkError for anything but the safetensors file that `write` makes: a pickle, a file cut short, tensors
    of other shapes or types.
    """
    try:
        with safe_open(path, framework="pt") as opened:
            architecture = json.loads((opened.metadata() or {})["waymark"])
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (not a mapping)
        model = network.build(architecture["network"], architecture["num_classes"], architecture["width"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise WaymarkError(f"{path}: not a safetensors file written by `train` ({error}); run `dvc repro`") from None
    expected = model.state_dict()
    for key in sorted(expected.keys() | tensors.keys()):
        want, have = expected.get(key), tensors.get(key)
        if want is None or have is None or want.shape != have.shape or want.dtype != have.dtype:
            raise WaymarkError(f"{path}: tensor {key!r} does not fit network {architecture['network']}")
    model.load_state_dict(tensors)
    return model


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
