"""Clusters of images that are copies of one another, the same pixels or nearly, and how the data page shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from waymark.datasets import near_duplicates
from waymark.judging.markup import image, noun, number, section, span, text

MEMBERS = 6  # shown of a cluster


@dataclass(frozen=True)
class Cluster:
    """Images that hang together by being copies; each is a copy of at least one other."""

    rows: tuple[int, ...]  # row numbers of the manifest; one of each split and label before any second
    splits: int  # how many splits it reaches into
    labels: int  # how many labels its images carry
    distances: tuple[int, int] | tuple[()] = ()  # least and greatest of its pairs, bits of 64; of exact copies none
    correlations: tuple[float, float] | tuple[()] = ()  # least and greatest of its pairs' thumbnails

    @property
    def shown(self) -> tuple[int, ...]:
        return self.rows[:MEMBERS]


def exact(manifest: pd.DataFrame) -> list[Cluster]:
    """Images of the same size and pixels: first leaks across splits, then contradicting labels, then the largest."""
    pixels = manifest["pixels_sha256"].reset_index(drop=True)
    copied = pixels[pixels.notna() & pixels.duplicated(keep=False)]
    facts = _facts(manifest)
    return _sorted([_cluster(rows.index.to_numpy(), facts) for _, rows in copied.groupby(copied, sort=False)])


def near(manifest: pd.DataFrame, pairs: pd.DataFrame) -> list[Cluster]:
    """Images that `pairs` (as datasets/near_duplicates.py finds them) join, in the order of `exact`.

    A cluster has pictures that differ; one of exact copies only is left to `exact`. Its distances and correlations are
    of the pairs that differ.
    """
    component = near_duplicates.clusters(len(manifest), pairs["first"].to_numpy(), pairs["second"].to_numpy())
    pixels = pd.factorize(manifest["pixels_sha256"])[0]
    differing = pairs[pixels[pairs["first"]] != pixels[pairs["second"]]]
    spans = differing.groupby(component[differing["first"]])[["distance", "correlation"]].agg(["min", "max"])
    rows = np.flatnonzero(np.isin(component, spans.index))
    facts = _facts(manifest)
    return _sorted(
        [
            _cluster(members.to_numpy(), facts, (int(span[0]), int(span[1])), (float(span[2]), float(span[3])))
            for span, (_, members) in zip(spans.to_numpy(), pd.Series(rows).groupby(component[rows]), strict=True)
        ]
    )


def exact_section(
    manifest: pd.DataFrame, clusters: Sequence[Cluster], shown: Sequence[Cluster], thumbnails: Mapping[int, str]
) -> str:
    body = _body(manifest, clusters, shown, thumbnails, "have the same size and pixels")
    return section("copies", "Exact copies", body)


def near_section(
    manifest: pd.DataFrame, clusters: Sequence[Cluster], shown: Sequence[Cluster], thumbnails: Mapping[int, str]
) -> str:
    measures = (
        " Distance counts the bits in which two perceptual hashes of 64 bits differ; correlation is that of the two"
        " pictures at thumbnail size."
    )
    body = _body(manifest, clusters, shown, thumbnails, "are nearly the same", measures)
    return section("near", "Near-duplicates", body)


def _body(
    manifest: pd.DataFrame,
    clusters: Sequence[Cluster],
    shown: Sequence[Cluster],
    thumbnails: Mapping[int, str],
    meaning: str,
    note: str = "",
) -> str:
    if not clusters:
        return f"<p>No two images {meaning}.</p>"
    images = sum(len(one.rows) for one in clusters)
    leaks, doubts = sum(one.splits > 1 for one in clusters), sum(one.labels > 1 for one in clusters)
    sentence = (
        f"{number(images)} images in {number(len(clusters))} {noun(len(clusters), 'cluster')} that {meaning};"
        f" {number(leaks) if leaks else 'none'} {noun(max(leaks, 1), 'reaches', 'reach')} across splits,"
        f" {number(doubts) if doubts else 'none'} {noun(max(doubts, 1), 'carries', 'carry')} more than one label."
    )
    if len(shown) < len(clusters):
        first = "those first, then the largest" if leaks or doubts else "the largest"
        sentence += f" Shown: {first}, {number(len(shown))} in all."
    cards = "".join(_card(manifest, one, thumbnails) for one in shown)
    return f'<p>{sentence}{note}</p><div class="clusters">{cards}</div>'


def _card(manifest: pd.DataFrame, cluster: Cluster, thumbnails: Mapping[int, str]) -> str:
    marks = [f"<b>{number(len(cluster.rows))} images</b>"]
    if cluster.splits > 1:
        marks.append('<b class="care">across splits</b>')
    if cluster.labels > 1:
        marks.append(f'<b class="care">{cluster.labels} labels</b>')
    if cluster.distances:
        low, high = (f"{value:.3f}" for value in cluster.correlations)
        marks.append(f"distance {span(*cluster.distances)}")
        marks.append("correlation " + (low if low == high else f"{low}–{high}"))
    pictures = "".join(image(thumbnails[row], f"Copy {place}") for place, row in enumerate(cluster.shown, start=1))
    items = "".join(f"<li>{_member(manifest, row)}</li>" for row in cluster.shown)
    hidden = len(cluster.rows) - len(cluster.shown)
    more = f'<p class="more">and {number(hidden)} more</p>' if hidden else ""
    return (
        f'<article class="cluster"><p>{" · ".join(marks)}</p><div class="pair">{pictures}</div><ol>{items}</ol>'
        f"{more}</article>"
    )


def _member(manifest: pd.DataFrame, row: int) -> str:
    columns = ("split", "part", "class_name", "member", "archive")
    split, part, name, member, archive = (text(manifest[column][row]) for column in columns)
    where = f"{split} {part}".rstrip()
    return f'<span class="key {split}"></span>{where} · {name or "no class"} <code title="{archive}">{member}</code>'


def _facts(manifest: pd.DataFrame) -> NDArray[np.object_]:
    """(N, 2) of each image's split and label."""
    return manifest[["split", "label"]].astype(object).to_numpy()


def _cluster(
    rows: NDArray[np.int64],
    facts: NDArray[np.object_],
    distances: tuple[int, int] | tuple[()] = (),
    correlations: tuple[float, float] | tuple[()] = (),
) -> Cluster:
    kinds = [(split, label) for split, label in facts[rows]]
    seen: dict[object, int] = {}
    turns = []
    for kind in kinds:
        turns.append(seen.get(kind, 0))
        seen[kind] = turns[-1] + 1
    ordered = [int(row) for _, row in sorted(zip(turns, rows, strict=True))]
    splits, labels = ({kind[part] for kind in kinds} for part in (0, 1))
    return Cluster(tuple(ordered), len(splits), len(labels), distances, correlations)


def _sorted(clusters: Sequence[Cluster]) -> list[Cluster]:
    return sorted(clusters, key=lambda one: (one.splits == 1, one.labels == 1, -len(one.rows), min(one.rows)))
