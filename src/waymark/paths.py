"""Every path of the repository, once, relative to its root, where DVC runs each stage; and how a file gets there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from waymark.errors import WaymarkError, reason

PARAMS = Path("params.yaml")

# collect
RAW = Path("data/raw")
PARTIAL = Path("data/partial")  # half-finished downloads; outside RAW, which DVC empties before each run

# validate
MANIFEST = Path("data/manifest.parquet")
VALIDATION = Path("reports/validation.json")
DATA_DOCS = Path("reports/data_docs")
CONTACT_SHEET = Path("reports/contact_sheet.png")

# prepare
PREPARED = Path("data/prepared")
PREPARED_CONTRACT = PREPARED / "contract.json"

# train
WEIGHTS = Path("models/model.safetensors")
HISTORY = Path("reports/history.csv")

# export
ONNX = Path("models/model.onnx")
CONTRACT = Path("models/contract.json")
EXPORT = Path("reports/export.json")

# evaluate
METRICS = Path("reports/metrics.json")
PREDICTIONS = Path("reports/predictions.parquet")
PLOTS = Path("reports/plots")
MODEL_CARD = Path("reports/model_card.md")


def raw(dataset: str) -> Path:
    """The folder with a data set's original archives and their source.json."""
    return RAW / dataset


def images(split: str) -> Path:
    """The images of `split` (train, val or test): (N, S, S, 3) uint8, to be memory-mapped."""
    return PREPARED / f"{split}.npy"


def rows(split: str) -> Path:
    """One row for each image of `split`, in the same order: archive, member, label, group."""
    return PREPARED / f"{split}.parquet"


@contextmanager
def replacing() -> Iterator[Callable[[Path], Path]]:
    """Put several files in place together, or none of them.

    The block asks for the name to write each file to; at its end each takes its target's place. If it fails, nothing
    is left of them and the targets stay as they were. Raises WaymarkError where the disk refuses a file.
    """
    parts: dict[Path, Path] = {}

    def part(target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        parts[target] = target.with_name(target.name + ".part")
        return parts[target]

    try:
        yield part
        for target, written in parts.items():
            written.replace(target)
    except OSError as error:
        # A full disk is reported without a name; it is the file that was asked for last.
        where = error.filename or next(reversed(parts), Path())
        raise WaymarkError(f"{where}: cannot be read or written ({reason(error)}); nothing was changed") from None
    finally:
        for written in parts.values():
            written.unlink(missing_ok=True)
