"""Which data sets there are, by the names that `dataset` in params.yaml may take."""

from waymark.datasets.asl import ASL
from waymark.datasets.base import Dataset
from waymark.datasets.cifar10 import CIFAR10
from waymark.datasets.folder import FOLDER, ClassFolders
from waymark.datasets.gtsrb import GTSRB, TrafficSigns

# Drawn in the organisers' layout, so that its reader is GTSRB's; the drawing itself concerns `collect` alone.
RENDERED = TrafficSigns("rendered", origins=())

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in (RENDERED, GTSRB, CIFAR10, ASL, FOLDER)}


def dataset(name: str, group_pattern: str = "") -> Dataset:
    """The data set `name`; `group_pattern` tells a folder's readers what belongs together."""
    return ClassFolders(name, group_pattern) if name == FOLDER.name else DATASETS[name]
