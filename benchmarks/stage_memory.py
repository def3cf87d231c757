"""Peak memory of each stage of the graph, for more and more images.

python benchmarks/stage_memory.py --tracks 16 64 120 --gtsrb archive.zip

Each stage runs as DVC runs it, in a workspace of its own, for one epoch. Two peaks are taken over its processes
together. Resident memory counts memory-mapped files too, and a library once for each process that has it loaded; the
kernel drops such pages when memory is short. Private memory is what the stage allocated: nothing but swap replaces it.
120 tracks a class of 10 frames are 51,600 training and 12,900 test images, more than GTSRB's 39,209 and 12,630.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import machine
import pyarrow.parquet as pq
import yaml

from waymark import paths

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("collect", "validate", "prepare", "train", "export", "evaluate", "track")
INTERVAL = 0.02  # seconds between two looks; a stage's large allocations live for longer
LIMIT_MB = 2000  # what each stage may take for the whole of GTSRB
MEGABYTE = 10**6


@dataclass(frozen=True)
class Memory:
    """Of a process and its descendants, in bytes."""

    resident: int
    private: int  # anonymous pages: resident less those of files and of shared memory

    def highest(self, other: "Memory") -> "Memory":
        return Memory(max(self.resident, other.resident), max(self.private, other.private))


@dataclass(frozen=True)
class Run:
    """One data set's way through the graph."""

    title: str
    images: int
    peaks: dict[str, Memory]  # by stage


def memory(pid: int) -> Memory:
    """What `pid` and its descendants hold now; nothing for those that have ended."""
    page = os.sysconf("SC_PAGE_SIZE")
    resident = private = 0
    for process in family(pid):
        try:
            # size, resident, shared (of files and shared memory), …: proc_pid_statm(5)
            _, pages, shared, *_ = map(int, Path(f"/proc/{process}/statm").read_text(encoding="ascii").split())
        except (OSError, ValueError):
            continue
        resident += pages * page
        private += (pages - shared) * page
    return Memory(resident, private)


def family(pid: int) -> Iterator[int]:
    """`pid` and its descendants."""
    yield pid
    try:
        lists = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return
    for child in " ".join(lists).split():
        yield from family(int(child))


def peak(command: Sequence[str], folder: Path) -> Memory:
    """Run `command` in `folder` and return the highest values of its memory; CalledProcessError where it fails."""
    own = os.environ | {"MLFLOW_TRACKING_URI": ""}  # runs of a benchmark are nothing for a team's MLflow
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.DEVNULL, stderr=errors)
        highest = Memory(0, 0)
        while process.poll() is None:
            highest = highest.highest(memory(process.pid))
            time.sleep(INTERVAL)
        if process.returncode:
            errors.seek(0)
            sys.stderr.write(errors.read())
            raise subprocess.CalledProcessError(process.returncode, command)
    return highest


def run_graph(title: str, settings: dict[str, object]) -> Run:
    """Run every stage in a new workspace with params.yaml as it is, but for `settings` and one epoch."""
    with tempfile.TemporaryDirectory() as temporary:
        workspace = Path(temporary)
        document = yaml.safe_load((ROOT / paths.PARAMS).read_text(encoding="utf-8")) | settings | {"epochs": 1}
        (workspace / paths.PARAMS).write_text(yaml.safe_dump(document), encoding="utf-8")
        shutil.copytree(ROOT / "expectations", workspace / "expectations")
        for folder in ("models", "reports"):
            (workspace / folder).mkdir()
        peaks = {stage: peak([sys.executable, "-m", f"waymark.stages.{stage}"], workspace) for stage in STAGES}
        return Run(title, pq.read_metadata(workspace / paths.MANIFEST).num_rows, peaks)


def report(runs: Sequence[Run]) -> None:
    """Print a table of peaks, a column each run."""
    print(f"{'peak MB, resident (private)':28}" + "".join(f"{run.title:>20}" for run in runs))
    print(f"{'images':28}" + "".join(f"{run.images:>20,}" for run in runs))
    for stage in STAGES:
        cells = (f"{p.resident / MEGABYTE:,.0f} ({p.private / MEGABYTE:,.0f})" for p in (r.peaks[stage] for r in runs))
        print(f"{stage:28}" + "".join(f"{cell:>20}" for cell in cells))


def report_growth(first: Run, last: Run) -> None:
    """Print how much more `last` takes than `first`, stage by stage."""
    more = last.images - first.images
    print(f"from {first.images:,} to {last.images:,} images, {last.images / first.images:.1f} times as many:")
    for stage in STAGES:
        low, high = first.peaks[stage], last.peaks[stage]
        each = (high.private - low.private) / more / 1000
        print(
            f"{stage:10}  resident × {high.resident / low.resident:.2f}, private × {high.private / low.private:.2f}"
            f" ({each:+.2f} kB an image)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tracks", type=int, nargs="+", default=[16, 64], help="rendered_tracks of each run")
    parser.add_argument("--frames", type=int, default=10, help="rendered_frames of every run")
    parser.add_argument("--gtsrb", type=Path, help="a local GTSRB archive, or a folder of them, for one run more")
    arguments = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        parser.error("this measures through /proc, which only Linux has")
    rendered = {"dataset": "rendered", "source": "auto", "rendered_frames": arguments.frames}
    runs = [run_graph(f"{tracks} tracks", rendered | {"rendered_tracks": tracks}) for tracks in arguments.tracks]
    print(machine.line("numpy", "pandas", "great-expectations", "torch", "onnxruntime"))
    everything = list(runs)
    if arguments.gtsrb:
        everything.append(run_graph("gtsrb", {"dataset": "gtsrb", "source": str(arguments.gtsrb.resolve())}))
    report(everything)
    if len(runs) > 1:
        report_growth(runs[0], runs[-1])
    largest = max(p.resident for run in everything for p in run.peaks.values()) / MEGABYTE
    print(f"largest peak: {largest:,.0f} MB resident, {'under' if largest < LIMIT_MB else 'NOT under'} {LIMIT_MB:,} MB")


if __name__ == "__main__":
    main()
