"""Which images are near copies of each other, and which of them hang together.

Two pictures are near-duplicates where their perceptual hashes differ in few bits and their thumbnails agree. The hash
alone takes signs of one shape for each other (80 for 100); the thumbnails alone take two dark pictures for one.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# On GTSRB these find the signs that were filmed twice, as two tracks, and no two different signs; on CIFAR-10 the
# pictures that a person calls the same, such as one photograph in two qualities.
MAX_DISTANCE = 6  # bits of 64
MIN_CORRELATION = 0.98  # of the thumbnails' samples
BLOCK = 256  # rows compared with all at once: 100 MB at 50,000 images
CANDIDATES = 20_000  # pairs whose thumbnails are compared at once: 70 MB

COLUMNS = {"first": np.int32, "second": np.int32, "distance": np.int16, "correlation": np.float64}


def find(manifest: pd.DataFrame) -> pd.DataFrame:
    """The pairs of near-duplicates among the rows of `manifest`, as COLUMNS, `first` < `second` by row number.

    Exact copies are each paired with the first of them only, so that a thousand copies give a thousand pairs and not
    half a million. Rows without a picture have no pair.
    """
    known = np.flatnonzero(manifest["pixels_sha256"].notna())
    first = first_copies(manifest["pixels_sha256"])[known]
    copies = first != known
    exact = pd.DataFrame({"first": first[copies], "second": known[copies], "distance": 0, "correlation": 1.0})
    originals = known[~copies]
    pairs = pd.concat([exact.astype(COLUMNS), *_near(manifest.iloc[originals], originals)])
    return pairs.sort_values(["first", "second"], ignore_index=True)


def first_copies(pixels: pd.Series) -> NDArray[np.int64]:
    """Of each row the number of the first with the same pixels; a row without a picture is its own."""
    numbers = pd.Series(np.arange(len(pixels)), pixels.index)
    first = numbers.groupby(pixels).transform("first")
    return first.fillna(numbers).to_numpy(np.int64)


def _near(rows: pd.DataFrame, numbers: NDArray[np.int64]) -> Iterator[pd.DataFrame]:
    hashes = np.array([int(text, 16) for text in rows["perceptual_hash"]], np.uint64)
    thumbnails = standardised(samples(rows["thumbnail"]))
    for start in range(0, len(hashes), BLOCK):
        distances = np.bitwise_count(hashes[start : start + BLOCK, None] ^ hashes[None, start:])
        here, there = np.nonzero(np.triu(distances <= MAX_DISTANCE, k=1))
        correlations = np.concatenate(
            [
                np.einsum("ij,ij->i", thumbnails[start + here[part]], thumbnails[start + there[part]])
                for part in (slice(at, at + CANDIDATES) for at in range(0, max(len(here), 1), CANDIDATES))
            ]
        )
        alike = correlations >= MIN_CORRELATION
        pairs = {
            "first": numbers[start + here[alike]],
            "second": numbers[start + there[alike]],
            "distance": distances[here[alike], there[alike]],
            "correlation": correlations[alike].astype(np.float64).round(4),
        }
        yield pd.DataFrame(pairs).astype(COLUMNS)


def samples(thumbnails: pd.Series) -> NDArray[np.uint8]:
    """The manifest's thumbnails as (N, samples); black where a row has none."""
    size = max((len(thumbnail) for thumbnail in thumbnails.dropna()), default=1)
    blank = bytes(size)
    return np.frombuffer(b"".join(thumbnails.where(thumbnails.notna(), blank)), np.uint8).reshape(-1, size)


def standardised(samples: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, samples) of zero mean and unit length, so that the product of two rows is their correlation."""
    wide = samples.astype(np.float32)
    wide -= wide.mean(axis=1, keepdims=True)
    wide /= np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1.0)  # one colour all over is like nothing
    return wide


def clusters(count: int, first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int64]:
    """The cluster of each of `count` rows, where each pair joins two; numbered in the order of their first rows."""
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    _, found = connected_components(graph, directed=False)
    return np.asarray(pd.factorize(found)[0], np.int64)
