"""How often "better" or "worse" is said of networks that differ by the seed, and "worse" of one that is a point worse.

python benchmarks/verdicts.py --pairs 40

Networks are trained for real on drawn signs, in pairs, all on the same images, and tested on the same others; none is
in two pairs. Of a pair it should be said that there is no real difference. Then the second of each pair is made worse:
noise is added to its weights until its accuracy on val, which no verdict sees, has fallen by a point. It still differs
from the first by its seed as well, which may hide the point or add to it, as between two trainings of one's own.

`seed_std` is what a user would write into params.yaml: the standard deviation between the test accuracies of some
other seeds, which are in no pair. `dvc exp run --queue -S 'seed=range(1,11)'` and `dvc exp show` give it for a recipe
of one's own. Ten seeds tell it to a quarter, five to a third: where in doubt, write a larger one.

Ends with 1 where more than 5 % of the first verdicts are false, or fewer than 80 % of the second true. With --folder
what was drawn and trained is kept there, and a run that was stopped goes on.
"""

import argparse
import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from waymark.learning import onnx_export, training  # before what needs torchvision

# isort: split

import machine
import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from waymark import contract, params, paths
from waymark.datasets import manifest, near_duplicates
from waymark.datasets.registry import RENDERED
from waymark.judging import metrics
from waymark.judging.comparison import SIGNIFICANCE, Comparison, Verdict, compare, pair, verdict
from waymark.judging.differences import differences
from waymark.learning.data import Images
from waymark.params import Params
from waymark.stages import collect, export, prepare

ROOT = Path(__file__).resolve().parents[1]
SETTINGS: dict[str, Any] = {
    "dataset": "rendered",
    "source": "auto",
    "rendered_tracks": 200,  # for the fifty more of the test, which must be large enough to show a point
    "rendered_frames": 4,
    "val_fraction": 0.33,  # so must val be, to make it
    "image_size": 24,
    "width": 16,
    "epochs": 5,
    "ema_decay": 0.95,  # 0.99 would still remember the beginning of so short a training
    "optimizer": "sgd",
    "lr": 0.1,
    "augment_rotation": 5,
    "augment_zoom_out": 0.0,
    "augment_scale": 0.1,
    "augment_aspect": 1.0,
    "augment_shift": 0.05,
    "augment_shear": 3,
    "augment_light": 0.3,
    "threads": 1,
}
CLASS_STEP = 2  # every second class is left out: accuracy reaches 99 % in half of the time
FIRST_OTHER_SEED = 1000
DROP = 0.01
HALVINGS = 7  # of the noise, from as much as the weights vary by; it is then known to a hundredth of that
MOST_FALSE, LEAST_TRUE = 0.05, 0.8
NO_DIFFERENCE: Verdict = "no real difference"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--other-seeds", type=int, default=10, help="networks that seed_std is measured on")
    parser.add_argument("--tracks", type=int, default=SETTINGS["rendered_tracks"], help="signs drawn of each class")
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--workers", type=int, default=2, help="networks that are trained at the same time")
    parser.add_argument("--folder", type=Path, help="keep here what is drawn and trained")
    given = parser.parse_args()
    settings = params.load(ROOT / paths.PARAMS).model_copy(
        update=SETTINGS | {"rendered_tracks": given.tracks, "epochs": given.epochs}
    )
    with tempfile.TemporaryDirectory() as temporary:
        kept = hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:8]  # other settings, other networks
        folder = (given.folder or Path(temporary)).resolve() / kept
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(folder):
            draw(settings)
            others = range(FIRST_OTHER_SEED, FIRST_OTHER_SEED + given.other_seeds)
            tables = learn_all(settings, [*range(2 * given.pairs), *others], given.workers)
    return tell(tables, given.pairs, others)


def draw(settings: Params) -> None:
    """Draw and prepare the images in the working folder, once."""
    if paths.PREPARED_CONTRACT.exists():
        return
    collect.run(settings)
    found = manifest.build(RENDERED, paths.raw(RENDERED.name), workers=2)
    found = found[found["label"] % CLASS_STEP == 0].reset_index(drop=True)
    manifest.write(found, paths.MANIFEST)
    near_duplicates.find(found).to_parquet(paths.NEAR_DUPLICATES, index=False)
    prepare.run(settings)


def learn_all(settings: Params, seeds: Sequence[int], workers: int) -> dict[int, pd.DataFrame]:
    """Each seed's predictions, by its network as it was trained and made worse."""
    with ProcessPoolExecutor(workers, get_context("spawn"), quieten) as pool:
        learned = pool.map(partial(learn, settings), seeds)
        files = list(tqdm(learned, desc="networks", total=len(seeds), disable=None))
    return {seed: pd.read_parquet(file) for seed, file in zip(seeds, files, strict=True)}


def quieten() -> None:
    """Leave the terminal to the one bar that counts networks; what a worker raises comes back by itself."""
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (for as long as the worker lives)


def learn(settings: Params, seed: int) -> Path:
    """Train a network with `seed` and write what it says of the test images, then made worse; unless it is written."""
    file = Path(f"seed-{seed}.parquet")
    if file.exists():
        return file
    prepared = contract.read(paths.PREPARED_CONTRACT)
    train, val, test = (Images(paths.images(split), paths.rows(split)) for split in ("train", "val", "test"))
    model, _ = training.fit_on(settings.model_copy(update={"seed": seed}), prepared, train, val)
    groups = pd.read_parquet(paths.rows("val"))["group"].to_numpy()
    logits = partial(onnx_export.logits, model, contract=prepared)

    def predictions() -> pd.DataFrame:
        completed, _ = export.fit(prepared, logits(val.images), val.labels, groups, settings.max_risk)
        probabilities = completed.probabilities(logits(test.images))
        return pd.read_parquet(paths.rows("test")).assign(
            predicted=probabilities.argmax(axis=1),
            confidence=probabilities.max(axis=1).round(6),
            probability_of_label=probabilities[np.arange(len(test)), test.labels].round(6),
            brier_score=metrics.brier_scores(probabilities, test.labels).round(6),
            threshold=completed.threshold,
        )

    trained = predictions()
    make_worse(model, lambda: float((logits(val.images).argmax(axis=1) == val.labels).mean()), seed)
    unfinished = file.with_suffix(".part")
    pd.concat([trained.assign(worse=False), predictions().assign(worse=True)]).to_parquet(unfinished, index=False)
    unfinished.replace(file)
    return file


@torch.no_grad()
def make_worse(model: nn.Module, accuracy: Callable[[], float], seed: int) -> None:
    """Add the least noise to the weights that makes `accuracy` fall by DROP; it grows in one direction."""
    target = accuracy() - DROP
    torch.manual_seed(seed)
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    trained = [weight.clone() for weight in weights]
    noise = [torch.randn_like(weight) * weight.std() for weight in weights]

    def disturb(scale: float) -> None:
        for weight, origin, direction in zip(weights, trained, noise, strict=True):
            weight.copy_(origin + scale * direction)

    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        disturb(middle := (low + high) / 2)
        low, high = (middle, high) if accuracy() > target else (low, middle)
    disturb(high)


def significant(compared: Comparison, said: Verdict) -> Verdict:
    return said if compared.p_value < SIGNIFICANCE else NO_DIFFERENCE


# What is said of a pair that was compared at the seed_std measured here, and at that of params.yaml.
RULES: dict[str, Callable[[Comparison, Comparison], Verdict]] = {
    "the verdict": lambda measured, _: measured.verdict,
    "at params.yaml's seed_std": lambda _, written: written.verdict,
    "without seed_std": lambda each, _: significant(each, verdict(each.interval)),
    "McNemar's test alone": lambda each, _: significant(each, verdict((each.difference, each.difference))),
    "the interval alone": lambda each, _: verdict(each.interval),
}


def tell(answers: dict[int, pd.DataFrame], pairs: int, others: Sequence[int]) -> int:
    """Print what is said of the pairs, and how often; 0 where the verdict keeps what it promises."""
    trained, worse = ({seed: table[table["worse"] == w] for seed, table in answers.items()} for w in (False, True))
    firsts, seconds = range(0, 2 * pairs, 2), range(1, 2 * pairs, 2)
    judged, spread = ([accuracy(trained[seed]) for seed in seeds] for seeds in (range(2 * pairs), others))
    fallen = [accuracy(worse[seed]) - accuracy(trained[seed]) for seed in seconds]
    seed_std = float(np.std(spread, ddof=1))
    alike = [(trained[first], trained[second]) for first, second in zip(firsts, seconds, strict=True)]
    apart = [(trained[first], worse[second]) for first, second in zip(firsts, seconds, strict=True)]

    test = trained[0]
    print(f"{pairs} pairs of networks; {len(test):,} test images, in {test['group'].nunique():,} groups")
    print(machine.line("torch", "numpy", "scipy"))
    print(f"accuracy   {in_points(judged)} % over {len(judged)} seeds")
    print(f"seed_std   {seed_std:.4f} over {len(spread)} other seeds")
    print(f"made worse {in_points(fallen)} points")
    print(f"\n{'':28}{'another seed:':>22}{'a point worse:':>22}")
    print(f"{'said of accuracy by':28}{'any difference':>22}{'worse':>22}")
    stds = seed_std, params.load(ROOT / paths.PARAMS).seed_std
    compared = [[[compare(pair(*tables), std) for std in stds] for tables in group] for group in (alike, apart)]
    rates = {
        name: count(name, *([rule(*each) for each in group] for group in compared)) for name, rule in RULES.items()
    }
    print("the verdict on")
    metrics_of = [[by_metric(*tables, seed_std) for tables in group] for group in (alike, apart)]
    for name in metrics_of[0][0]:
        count(name.replace("_", " "), *([said[name] for said in group] for group in metrics_of))
    false, true = rates["the verdict"]
    return 0 if false <= MOST_FALSE and true >= LEAST_TRUE else 1


def accuracy(table: pd.DataFrame) -> float:
    return float((table["predicted"] == table["label"]).mean())


def in_points(shares: Sequence[float]) -> str:
    return f"{100 * np.mean(shares):.2f} ± {100 * np.std(shares):.2f}"


def by_metric(old: pd.DataFrame, new: pd.DataFrame, seed_std: float) -> dict[str, Verdict]:
    thresholds = old["threshold"].iloc[0], new["threshold"].iloc[0]
    paired = pair(old, new)
    return {each.name: each.verdict for each in differences(paired, compare(paired, seed_std), *thresholds)}


def count(name: str, alike: Sequence[Verdict], apart: Sequence[Verdict]) -> tuple[float, float]:
    """Print and return the rates of any difference among the one, and of "worse" among the other."""
    said = sum(each != NO_DIFFERENCE for each in alike), sum(each == "worse" for each in apart)
    rates = said[0] / len(alike), said[1] / len(apart)
    shown = (f"{times} of {len(alike)}, {100 * rate:5.1f} %" for times, rate in zip(said, rates, strict=True))
    print(f"{name:28}" + "".join(f"{each:>22}" for each in shown))
    return rates


if __name__ == "__main__":
    sys.exit(main())
