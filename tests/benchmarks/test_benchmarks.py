"""The benchmarks measure what they say."""

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from waymark import paths
from waymark.contract import Contract

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import stage_memory  # noqa: E402

MEGABYTE = 10**6
SMALL = ("--width", "8", "--threads", "1")
Benchmark = Callable[..., str]
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured through /proc")


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@needs_proc
def test_memory_that_a_grandchild_allocates_is_private_and_counted(tmp_path: Path) -> None:
    allocating = "import time; held = b'x' * 100_000_000; time.sleep(0.3)"
    highest = stage_memory.peak(python(f"import subprocess; subprocess.run({python(allocating)!r})"), tmp_path)
    assert 100 * MEGABYTE < highest.private < 150 * MEGABYTE


@needs_proc
def test_pages_of_a_mapped_file_are_resident_but_not_private(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(100 * MEGABYTE))
    mapping = (
        "import mmap, time; file = open('file', 'rb'); "
        "held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); touched = sum(held[::4096]); time.sleep(0.3)"
    )
    highest = stage_memory.peak(python(mapping), tmp_path)
    assert highest.resident > 100 * MEGABYTE
    assert highest.private < 50 * MEGABYTE


@needs_proc
def test_a_stage_that_fails_is_no_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        stage_memory.peak(python("import sys; sys.exit('error: no images')"), tmp_path)
    assert capsys.readouterr().err == "error: no images\n"


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Benchmark:
    """`benchmark("data_loading", "--rounds", "1")`: what it prints; in this process, which has torch by now."""
    monkeypatch.chdir(tmp_path)

    def benchmark(name: str, *options: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *options])
        importlib.import_module(name).main()
        return capsys.readouterr().out

    return benchmark


@pytest.mark.slow
def test_shares_of_a_training_step_add_up(benchmark: Benchmark) -> None:
    printed = benchmark("data_loading", "--images", "512", "--steps", "3", "--rounds", "1", *SMALL)
    shares = [float(share) for share in re.findall(r"([\d.]+)% of the step\n", printed)]
    assert len(shares) == 3
    assert sum(shares) == pytest.approx(100, abs=0.02)
    assert re.search(r"^data loader: +[\d.]+ .*% of the step time$", printed, re.MULTILINE)


@needs_proc
@pytest.mark.slow
def test_validation_is_measured_against_its_goals(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "validation.py"), "--images", "400"]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300).stdout
    measured = re.findall(
        r"^(read|compare|check) +([\d.]+) (s|MB) +goal ([\d.,]+) \3 +ratio ([\d.]+)", printed, re.MULTILINE
    )
    assert [line[:1] + line[2:4] for line in measured] == [
        ("read", "s", "0.5"),
        ("compare", "s", "0.1"),
        ("check", "s", "0.1"),
        ("read", "MB", "1,000"),
        ("compare", "MB", "1,000"),
        ("check", "MB", "1,000"),
    ]
    assert all(float(ratio) > 0 for *_, ratio in measured)


@pytest.mark.slow
def test_both_input_pipelines_are_measured_on_the_same_files(benchmark: Benchmark) -> None:
    printed = benchmark("input_pipeline", "--images", "128", "--side", "16", "--rounds", "1", *SMALL)
    assert re.search(r"^128 images of 16 px \(0\.[67] kB as PNG\), ", printed)
    kinds = re.findall(r"^(.+?)  +([\d,]+) images/s  × ([\d.]+) ", printed, re.MULTILINE)
    assert [kind for kind, *_ in kinds] == ["theirs", "ours, the same changes", "ours, all changes"]
    theirs, *ours = ((float(rate.replace(",", "")), float(ratio)) for _, rate, ratio in kinds)
    assert [ratio for _, ratio in ours] == pytest.approx([rate / theirs[0] for rate, _ in ours], abs=0.006, rel=0.01)


@pytest.mark.slow
def test_a_step_is_held_against_the_plain_loop(benchmark: Benchmark) -> None:
    printed = benchmark("training_step", "--steps", "2", "--rounds", "2", "--no-compile", *SMALL)
    ratios = re.findall(r"^(as configured|fp32, NCHW) .* × ([\d.]+)  \(.*of the plain loop$", printed, re.MULTILINE)
    assert [kind for kind, _ in ratios] == ["as configured", "fp32, NCHW"]
    assert ratios[1][1] == "1.00"


@pytest.mark.slow
def test_time_to_an_accuracy_ends_with_the_epoch_that_reached_it(benchmark: Benchmark) -> None:
    half, chance = (0.5, 0.5, 0.5), np.random.default_rng(0)
    paths.PREPARED.mkdir(parents=True)
    for split, count in (("train", 128), ("val", 16), ("test", 16)):
        labels = np.arange(count) % 2
        noise = chance.integers(0, 100, (count, 16, 16, 3)) + 150 * labels[:, None, None, None]
        np.save(paths.images(split), noise.astype(np.uint8))
        rows = pd.DataFrame({"label": labels, "part": "", "group": np.arange(count) // 4 * 2 + labels})
        rows.to_parquet(paths.rows(split), index=False)
    Contract("folder", ("dark", "light"), 16, 0.0, half, half).write(paths.PREPARED_CONTRACT)
    small = {"dataset": "folder", "source": "files.zip", "image_size": 16, "width": 8, "batch_size": 8, "threads": 1}
    settings = yaml.safe_load((BENCHMARKS.parent / paths.PARAMS).read_text(encoding="utf-8")) | small
    paths.PARAMS.write_text(yaml.safe_dump(settings), encoding="utf-8")

    printed = benchmark("time_to_accuracy", "--target", "0.4", "1.01", "--epochs", "2", "--every", "2", "--test")
    assert printed.startswith("folder: 64 training images of 16 × 16 px; ")
    epochs = re.findall(r"^ +(\d)  +[\d.]+%  +([\d.]+) ", printed, re.MULTILINE)
    assert [number for number, _ in epochs] == ["1", "2"]
    first = re.search(r"^40\.0%: 1 epochs, (\d+) processor seconds; .* take about ([\d,]+)$", printed, re.MULTILINE)
    assert first
    assert int(first[1]) == round(float(epochs[0][1]))
    assert "\n101.0%: not reached in 2 epochs\n" in printed
    assert re.search(r"^after the last epoch: [\d.]+% on test$", printed, re.MULTILINE)
