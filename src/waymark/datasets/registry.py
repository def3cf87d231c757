"""Which data sets there are, by the names that `dataset` in params.yaml may take."""

from waymark.datasets.base import Dataset
from waymark.datasets.gtsrb import GTSRB
from waymark.datasets.rendered import RENDERED

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in (RENDERED, GTSRB)}
