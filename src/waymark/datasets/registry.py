"""Which data sets there are, by the names that `dataset` in params.yaml may take."""

from waymark.datasets.base import Dataset
from waymark.datasets.gtsrb import GTSRB, TrafficSigns

# Drawn in the organisers' layout, so that its reader is GTSRB's; the drawing itself concerns `collect` alone.
RENDERED = TrafficSigns("rendered", origins=())

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in (RENDERED, GTSRB)}
