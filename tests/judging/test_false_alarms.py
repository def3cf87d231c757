"""Clean data must pass: bootstrap samples of a clean manifest break nothing that the manifest itself does not break.

A sample draws, for each split and class, as many groups as there are, with replacement, so that the counts and the
light vary as those of other recordings would, while no track is torn. A group that is drawn again counts as another
one: it gets names and hashes of its own, since a copy would be a fault.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from waymark.datasets import manifest, registry, rendered
from waymark.judging import expectations, manifest_tables

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("WAYMARK_SHARED", ROOT.parent / "shared" / "data"))
SAMPLES = 100


def bootstrap(clean: pd.DataFrame, seed: int) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    rows_of = clean.groupby("group", sort=True).indices
    drawn: list[tuple[str, int]] = []
    for _, groups in clean.groupby(["split", "label"], sort=True)["group"]:
        numbers, counts = np.unique(chance.integers(0, groups.nunique(), groups.nunique()), return_counts=True)
        names = groups.unique()
        drawn += [
            (names[number], again) for number, count in zip(numbers, counts, strict=True) for again in range(count)
        ]
    positions = np.concatenate([rows_of[name] for name, _ in drawn])
    again = np.repeat([again for _, again in drawn], [len(rows_of[name]) for name, _ in drawn])
    suffix = pd.Series(np.where(again == 0, "", [f"#{number}" for number in again]))
    sample = clean.iloc[positions].reset_index(drop=True)
    for column in ("member", "group", "bytes_sha256", "pixels_sha256"):
        sample[column] += suffix
    return sample


def alarms(found: pd.DataFrame, dataset: str, class_names: tuple[str, ...]) -> dict[str, str]:
    """The sentence of each expectation that is broken."""
    suite = expectations.load(ROOT / "expectations" / f"{dataset}.yaml")
    verdict = expectations.check(
        manifest_tables.tables(found, class_names, len(found[found["split"] == "train"])), suite
    )
    return {outcome.expectation.name: outcome.sentence() for outcome in verdict.outcomes if not outcome.success}


def false_alarms(
    clean: pd.DataFrame, dataset: str, class_names: tuple[str, ...], samples: int
) -> Iterator[tuple[int, str]]:
    known = alarms(clean, dataset, class_names)
    assert [name for name in known if not name.endswith("_in_a_later_split")] == []
    for seed in range(samples):
        found = alarms(bootstrap(clean, seed), dataset, class_names)
        yield from ((seed, sentence) for name, sentence in found.items() if name not in known)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("drawn")
    rendered.render(folder, tracks=6, frames=3, seed=1, workers=1)
    return manifest.build(registry.RENDERED, folder, workers=1)


@pytest.mark.slow
def test_samples_of_the_drawn_signs_raise_no_alarm(drawn: pd.DataFrame) -> None:
    names = registry.RENDERED.class_names(Path())
    assert list(false_alarms(drawn, "rendered", names, samples=5)) == []


@pytest.mark.slow
def test_sample_draws_groups_again_under_names_and_hashes_of_their_own(drawn: pd.DataFrame) -> None:
    sample = bootstrap(drawn, seed=3)
    assert len(sample) == len(drawn)
    assert sample.groupby(["split", "label"]).size().equals(drawn.groupby(["split", "label"]).size())
    assert 0.25 < sample["group"].str.contains("#").mean() < 0.45  # 1 - (1 - 1/n)^n of n draws repeat: 0.33 for 6
    assert not sample[["archive", "member"]].duplicated().any()
    assert sample["pixels_sha256"].nunique() == drawn["pixels_sha256"].nunique()


@pytest.mark.long
@pytest.mark.parametrize(
    ("dataset", "title"),
    [
        ("rendered", ""),
        *(
            pytest.param(
                name,
                title,
                marks=pytest.mark.skipif(
                    not (SHARED / name).exists(), reason=f"the real cut of {title} is not on this machine"
                ),
            )
            for name, title in {"gtsrb": "GTSRB", "cifar10": "CIFAR-10", "asl": "ASL"}.items()
        ),
    ],
)
def test_100_samples_raise_no_alarm(dataset: str, title: str, tmp_path: Path) -> None:
    folder = SHARED / dataset if title else tmp_path
    if not title:
        rendered.render(folder, tracks=16, frames=10, seed=0)
    reader = registry.DATASETS[dataset]
    clean = manifest.build(reader, folder, workers=2)
    assert list(false_alarms(clean, dataset, reader.class_names(folder), SAMPLES)) == []
