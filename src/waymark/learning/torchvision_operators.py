"""Make torchvision importable beside a CPU-only torch.

torchvision's Linux wheel is linked against CUDA. Beside a CPU build of torch its compiled operators do not load, and
`import torchvision` ends with "operator torchvision::nms does not exist". Declaring the schemas of the two operators
that it registers at import is enough for all of its pure-Python parts; Waymark uses no other. Where torch and
torchvision match (CUDA, macOS, the CPU index) the real operators are there and this does nothing.
"""

import importlib.util
from importlib.machinery import PathFinder
from pathlib import Path

import torch

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _operators_load() -> bool:
    if hasattr(torch.ops.torchvision, "nms"):  # somebody declared them already
        return True
    spec = PathFinder.find_spec("torchvision")
    folder = next(iter((spec.submodule_search_locations if spec else None) or []), "")
    for library in Path(folder).glob("_C.*"):
        try:
            torch.ops.load_library(library)
        except OSError:
            return False
    return hasattr(torch.ops.torchvision, "nms")


def _declare() -> torch.library.Library | None:
    if importlib.util.find_spec("torchvision") is None or _operators_load():
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define(f"nms{_NMS}")
    library.define(f"qnms{_NMS}")
    return library


DECLARED = _declare()  # kept alive: the schemas go with the object
