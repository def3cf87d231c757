"""Validation of 50,000 images: reading them into the manifest, comparing, checking, and the memory that each takes.

python benchmarks/validation.py --images 50000

The images are 32 px PNGs of noise in class folders in one zip, no two alike. Reading hashes, decodes and measures each
in two worker processes. Comparing looks for near-duplicates, each image with each. Checking is what `validate` does
with the manifest: the tables, Great Expectations' import and its verdict. Each runs in a process of its own; peak
memory is of that process and its workers together.
"""

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import machine
import numpy as np
import stage_memory
from PIL import Image

from waymark import paths
from waymark.datasets import manifest, near_duplicates
from waymark.datasets.folder import FOLDER
from waymark.judging import expectations, manifest_tables

ROOT = Path(__file__).resolve().parents[1]
CLASSES, SIDE = 10, 32
WORKERS = 2
GOALS = {"read": 60.0, "compare": 10.0, "check": 10.0}  # seconds for 50,000 images
MEMORY_GOAL_MB = 1000
SUITE = ROOT / paths.EXPECTATIONS / "folder.yaml"


def make(archive: Path, images: int) -> None:
    """A tenth of the images are the test."""
    generator = np.random.default_rng(0)
    archive.parent.mkdir(parents=True)
    with ZipFile(archive, "w", ZIP_STORED) as file:
        for number in range(images):
            samples = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            encoded = io.BytesIO()
            Image.fromarray(samples).save(encoded, "PNG", compress_level=1)
            split = "test" if number % 10 == 9 else "train"
            file.writestr(f"{split}/class{number // 10 % CLASSES}/{number:05d}.png", encoded.getvalue())


def read() -> None:
    """Build the manifest of the working folder, as `validate` does."""
    built = manifest.build(FOLDER, paths.raw(FOLDER.name), WORKERS)
    manifest.write(built, paths.MANIFEST)


def compare() -> None:
    """Find the near-duplicates among the images of the manifest; of noise there are none."""
    if pairs := len(near_duplicates.find(manifest.read(paths.MANIFEST))):
        raise SystemExit(f"{pairs} near-duplicates among images of noise")


def check() -> None:
    """Hold the manifest of the working folder against its suite; the data are clean, so nothing may be broken."""
    images = manifest.read(paths.MANIFEST)
    tables = manifest_tables.tables(images, FOLDER.class_names(paths.raw(FOLDER.name)))
    verdict = expectations.check(tables, expectations.load(SUITE))
    if faults := [outcome.sentence() for outcome in verdict.outcomes if not outcome.success]:
        raise SystemExit("; ".join(faults))


STEPS = {"read": read, "compare": compare, "check": check}


def measure(folder: Path, step: str) -> tuple[float, stage_memory.Memory]:
    """Seconds, without the start of the interpreter, and peak memory of one step in a process of its own."""
    timing = folder / f"{step}.seconds"
    command = [sys.executable, str(Path(__file__).resolve()), "--step", step, "--timing", str(timing)]
    memory = stage_memory.peak(command, folder)
    return float(timing.read_text(encoding="ascii")), memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--timing", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        began = time.perf_counter()
        STEPS[arguments.step]()
        arguments.timing.write_text(f"{time.perf_counter() - began:.3f}", encoding="ascii")
        return
    if not Path("/proc/self/statm").exists():
        parser.error("this measures through /proc, which only Linux has")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder / paths.raw(FOLDER.name) / "images.zip", arguments.images)
        measured = {step: measure(folder, step) for step in STEPS}
    print(f"{arguments.images:,} images of {SIDE} px, 1 run, {WORKERS} workers")
    print(machine.line("great-expectations", "pandas", "pillow", "imagehash", "pyarrow"))
    for step, (seconds, _) in measured.items():
        goal = GOALS[step] * arguments.images / 50_000
        print(f"{step:8}{seconds:8.1f} s   goal {goal:,.1f} s   ratio {seconds / goal:.2f}")
    for step, (_, memory) in measured.items():
        peak, private = memory.resident / stage_memory.MEGABYTE, memory.private / stage_memory.MEGABYTE
        ratio = peak / MEMORY_GOAL_MB
        print(f"{step:8}{peak:8,.0f} MB  goal {MEMORY_GOAL_MB:,} MB  ratio {ratio:.2f}  ({private:,.0f} private)")


if __name__ == "__main__":
    main()
