"""The benchmarks measure what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import stage_memory  # noqa: E402

MEGABYTE = 10**6
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


@pytest.mark.slow
def test_shares_of_a_training_step_add_up(tmp_path: Path) -> None:
    options = ("--images", "512", "--steps", "3", "--rounds", "1")
    command = [sys.executable, str(BENCHMARKS / "data_loading.py"), *options]
    printed = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=120).stdout
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
