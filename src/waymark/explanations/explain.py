"""`waymark explain`: one image, its answer, and where the network looked for it."""

import difflib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from waymark.contract import Box
from waymark.errors import WaymarkError, reason
from waymark.explanations import asking, drawing
from waymark.files import replacing
from waymark.serving import uploads
from waymark.serving.limits import LIMITS
from waymark.serving.uploads import Refusal
from waymark.wording import per_cent


def run(root: Path, image: Path, *, roi: Box | None, class_name: str | None, output: Path) -> str:
    """Write the explanation as PNG to `output`, and return a sentence with the answer.

    `class_name` is the class that is explained, by default the best one. Raises WaymarkError where image, region or
    class do not hold, before anything is written.
    """
    if output.is_dir():
        raise WaymarkError(f"--output: {output} is a folder; give a file, such as {output / 'explanation.png'}")
    given = _picture(image)
    if roi is not None:
        check(roi, image, given)
    model = asking.load(root)
    wanted = None if class_name is None else label_of(class_name, model.contract.class_names)
    seen = model.contract.image(given, roi)
    answer = model.answer(seen)
    label = answer["label"] if wanted is None else wanted
    (heat,) = model.heat_maps(seen[None], np.array([label]))
    explained = model.contract.class_names[label]
    foot = f"{image.name} · model {model.served.name} {model.served.version}"
    sheet = drawing.explanation(given, roi, seen, heat, explained, answer, foot)
    with replacing() as part:
        sheet.save(part(output), "PNG")
    return f"{image}: {_answered(answer)}; {output} shows where the network looked for {explained}"


def _picture(image: Path) -> Image.Image:
    """The picture, decoded as `waymark predict` and the service do."""
    try:
        if image.is_dir():
            raise WaymarkError(f"{image}: is a folder; name one image of it")
        with image.open("rb") as file:
            return uploads.picture(file.read(LIMITS.image_bytes + 1), LIMITS)
    except Refusal as refusal:
        raise WaymarkError(f"{image}: {refusal}") from None
    except OSError as error:
        raise WaymarkError(f"{image}: cannot be read ({reason(error)})") from None


def check(roi: Box, image: Path, given: Image.Image) -> None:
    """Raise WaymarkError unless `roi` lies in the picture, its last column and row included."""
    x1, y1, x2, y2 = roi
    if not (x1 <= x2 < given.width and y1 <= y2 < given.height):
        raise WaymarkError(
            f"--roi: {','.join(map(str, roi))} is no box within {image}, {given.width} × {given.height} px; give "
            f"x1,y1,x2,y2 from 0,0 to {given.width - 1},{given.height - 1}"
        )


def label_of(class_name: str, class_names: tuple[str, ...]) -> int:
    """The label of the class that is called so, in upper or lower case; WaymarkError with the nearest names if none."""
    if class_name in class_names:
        return class_names.index(class_name)
    folded = [name.casefold() for name in class_names]
    if folded.count(class_name.casefold()) == 1:
        return folded.index(class_name.casefold())
    near = difflib.get_close_matches(class_name.casefold(), folded, n=3, cutoff=0.4)
    within = [name for name in folded if class_name.casefold() in name][:3] if class_name else []
    found = [class_names[folded.index(name)] for name in dict.fromkeys([*within, *near])][:3]
    nearest = f"near it are {', '.join(found)}" if found else f"there are {', '.join(class_names[:5])} and so on"
    raise WaymarkError(f"--class: {class_name!r} is none of the model's {len(class_names)} classes; {nearest}")


def _answered(answer: dict[str, Any]) -> str:
    others = ", ".join(f"{rank['class_name']} {per_cent(rank['probability'])}" for rank in answer["top"][1:])
    said = f"{answer['class_name']} {per_cent(answer['probability'])}" + (f" (then {others})" if others else "")
    if answer["answered"]:
        return said
    return f"not sure, below the threshold of {per_cent(answer['threshold'])}: {said}"
