"""How often the model is right about corrupted images, by corruption and severity.

python benchmarks/robustness.py --split val --extra

In a repository after `dvc repro`: its ONNX file on its prepared images. `evaluate` does the same with some of the test
images; here it is all, unless --images says how many. Augmentation is to be chosen by `--split val --extra`: four other
corruptions on images that no figure of the test comes from.
"""

import argparse
import time

import machine
import numpy as np
import pandas as pd

from waymark import contract, params, paths
from waymark.judging import corruptions, robustness
from waymark.predictor import Predictor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--images", type=int, default=0, help="so many, spread over classes; 0 for all")
    parser.add_argument("--extra", action="store_true", help="the four corruptions to choose by, in place of the 15")
    given = parser.parse_args()
    completed = contract.read(paths.CONTRACT)
    predictor = Predictor(paths.ONNX, completed, params.load().threads)
    rows = pd.read_parquet(paths.rows(given.split))
    rows = rows[rows["part"] == rows["part"].iloc[0]]
    chosen = rows.iloc[robustness.spread(rows["label"].to_numpy(), rows["group"].to_numpy(), given.images)]
    places, labels = chosen.index.to_numpy(np.int64), chosen["label"].to_numpy(np.int64)
    images = np.load(paths.images(given.split), mmap_mode="r")[places]

    names = corruptions.VALIDATION if given.extra else corruptions.TEST
    clean = float((predictor.logits(images).argmax(axis=1) == labels).mean())
    began, cpu = time.perf_counter(), time.process_time()
    table = robustness.accuracies(predictor.logits, images, places, labels, names)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu

    size = f"{completed.image_size} × {completed.image_size} px"
    print(f"{len(images):,} {given.split} images of {completed.dataset}, {size}; ONNX {completed.onnx_sha256[:12]}")
    print(machine.line("numpy", "scipy", "pillow", "onnxruntime"))
    shown = 100 * table.pivot(index="corruption", columns="severity", values="accuracy")
    shown.insert(0, "mean", 100 * robustness.by_corruption(table))
    print(shown.sort_values("mean").to_string(float_format="{:.2f}".format))
    figures = robustness.figures(table)
    print(f"clean    {100 * clean:6.2f} %")
    print(f"mean     {100 * figures['corruption_accuracy']:6.2f} %  of {len(table)} corruptions and severities")
    print(f"worst    {100 * figures['worst_corruption_accuracy']:6.2f} %  {robustness.by_corruption(table).index[0]}")
    print(f"{seconds:.1f} s, {cpu:.1f} s of CPU")


if __name__ == "__main__":
    main()
