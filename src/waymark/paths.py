"""Every path of the repository, once, relative to its root, where DVC runs each stage; and how a file gets there."""

from pathlib import Path

PARAMS = Path("params.yaml")

# collect
RAW = Path("data/raw")
PARTIAL = Path("data/partial")  # half-finished downloads; outside RAW, which DVC empties before each run

# validate
MANIFEST = Path("data/manifest.parquet")
NEAR_DUPLICATES = Path("data/near_duplicates.parquet")
VALIDATION = Path("reports/validation.json")
DATA_DOCS = Path("reports/data_docs")
DATA_PAGE = Path("reports/data.html")
EXPECTATIONS = Path("expectations")

# prepare
PREPARED = Path("data/prepared")
SPLIT = PREPARED / "split.csv"
SPLIT_REPORT = Path("reports/split.json")
PREPARED_CONTRACT = PREPARED / "contract.json"
CLASS_PICTURES = PREPARED / "class_pictures.png"  # one square a class, below each other, in the order of labels

# train
INITIAL_WEIGHTS = Path("data/initial_weights")  # copies of what `weights` names elsewhere; never in git
WEIGHTS = Path("models/model.safetensors")
HISTORY = Path("reports/history.csv")
CHECKPOINT = Path("models/checkpoint")  # of a training under way; no output, since DVC removes those before each run

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
    """One row for each image of `split`, in the same order: archive, member, label, group, part."""
    return PREPARED / f"{split}.parquet"
