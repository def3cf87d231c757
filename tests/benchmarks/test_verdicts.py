"""The null experiment in small: real networks, too few and too short of training to be judged by."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "verdicts.py"


@pytest.mark.long
def test_networks_of_other_seeds_and_worse_ones_are_judged_and_kept(tmp_path: Path) -> None:
    options = ("--pairs", "1", "--other-seeds", "2", "--tracks", "8", "--epochs", "1", "--folder", str(tmp_path))
    command = [sys.executable, str(BENCHMARK), *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ran.returncode in (0, 1), ran.stderr
    assert ran.stdout.startswith("1 pairs of networks; 176 test images, in 176 groups\n")  # 22 classes of 2 tracks of 4
    said = re.findall(r"^(.+?)  +[01] of 1, +[\d.]+ % +[01] of 1, +[\d.]+ %$", ran.stdout, re.MULTILINE)
    assert said[:3] == ["the verdict", "at params.yaml's seed_std", "without seed_std"]
    assert said[3:5] == ["McNemar's test alone", "the interval alone"]
    assert said[5:7] == ["accuracy", "balanced accuracy"]
    assert len(list(tmp_path.glob("*/seed-*.parquet"))) == 4
    written = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/seed-*.parquet")}
    again = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert again.stdout == ran.stdout
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("*/seed-*.parquet")} == written
