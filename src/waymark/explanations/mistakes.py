"""`waymark mistakes`: the wrong answers on test that the model was the surest of, and where the network looked."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark import paths
from waymark.errors import WaymarkError
from waymark.explanations import asking, page
from waymark.explanations.asking import RANKED, ExplainedModel
from waymark.explanations.page import Mistake
from waymark.files import reading, replacing
from waymark.wording import count

TOLERANCE = 1e-3  # of a probability, between what `evaluate` wrote and what the model says now; machines differ by less
COLUMNS = ["archive", "member", "label", "group", "part", "predicted", "confidence"]


def run(root: Path, *, worst: int, output: Path) -> str:
    """Write the page of the `worst` mistakes to `output`, and return a sentence that says what it shows.

    Raises WaymarkError where a file is missing, or where predictions, images and model do not belong together.
    """
    if output.is_dir():
        raise WaymarkError(f"--output: {output} is a folder; give a file, such as {output / 'mistakes.html'}")
    predictions, images_path = root / paths.PREDICTIONS, root / paths.images("test")
    with reading(predictions):
        rows = pd.read_parquet(predictions, columns=COLUMNS)
    with reading(images_path):
        images = np.load(images_path, mmap_mode="r")
    model = asking.load(root)
    if len(images) != len(rows) or images.shape[1:] != (model.contract.image_size,) * 2 + (3,):
        raise WaymarkError(f"{predictions}: is of other images than {images_path}; run `dvc repro`")
    wrong = rows[rows["predicted"] != rows["label"]]
    chosen = wrong.sort_values("confidence", ascending=False, kind="stable").head(worst)
    text = page.render(model.contract, rows, _explained(model, images, rows, chosen), model.served.identity)
    with replacing() as part:
        part(output).write_text(text, encoding="utf-8")
    return f"{output}: {count(len(chosen), 'image')} of {len(wrong):,} mistakes on {len(rows):,} test images"


def _explained(
    model: ExplainedModel, images: NDArray[np.uint8], rows: pd.DataFrame, chosen: pd.DataFrame
) -> list[Mistake]:
    if chosen.empty:
        return []
    numbers = chosen.index.to_numpy()
    seen = np.asarray(images[numbers])
    probabilities = model.probabilities(seen)
    predicted, labels = (chosen[column].to_numpy(np.int64) for column in ("predicted", "label"))
    now = probabilities[np.arange(len(chosen)), predicted]
    if not np.allclose(now, chosen["confidence"], rtol=0, atol=TOLERANCE):
        raise WaymarkError(f"{paths.PREDICTIONS}: is of another model than {paths.ONNX}; run `dvc repro`")
    for_predicted, for_label = (model.heat_maps(seen, of) for of in (predicted, labels))
    in_group = (rows["predicted"] != rows["label"]).groupby([rows["part"], rows["group"]]).agg(["sum", "size"])
    told = zip(chosen.to_dict("records"), probabilities, seen, for_predicted, for_label, strict=True)
    return [
        Mistake(
            image=image,
            for_predicted=predicted_heat,
            for_label=label_heat,
            label=row["label"],
            predicted=row["predicted"],
            ranked=[(int(label), float(shares[label])) for label in np.argsort(-shares, kind="stable")[:RANKED]],
            probability_of_label=float(shares[row["label"]]),
            archive=row["archive"],
            member=row["member"],
            group=row["group"],
            part=row["part"],
            wrong_in_group=int(in_group.loc[(row["part"], row["group"]), "sum"]),
            group_size=int(in_group.loc[(row["part"], row["group"]), "size"]),
        )
        for row, shares, image, predicted_heat, label_heat in told
    ]
