"""Resolve pyproject.toml into the hash-pinned lock files (`make lock`).

requirements.lock             all but torch's CUDA libraries; torch with the hashes of both its builds
requirements/build.lock       pip and setuptools: installed first, so that building a source package fetches nothing
requirements/torch-cpu.lock   the CPU build of torch, taken where the package index offers it
requirements/torch-cuda.lock  torch's CUDA libraries, taken with the ordinary Linux build
requirements/serving.lock     what the service's image holds, a part of the first
requirements/comment.lock     what `waymark comment` imports, a part of the first, for a job that does nothing else
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CUDA = ("nvidia-", "cuda-", "triton")
BENTOML_WANTS = "nvidia-ml-py"  # it counts graphics cards with it, where there are none, too
# SHA-256 of torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl; the resolver sees only the ordinary builds.
TORCH_CPU = "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"
HEADER = "# Made by `make lock` from pyproject.toml; install with `pip install --require-hashes --no-deps -r`.\n"


def resolve(*arguments: str, stdin: str = "") -> list[str]:
    """Pinned requirements with hashes, one string each, for every platform and every Python from 3.11."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", *arguments]
    done = subprocess.run(command, cwd=ROOT, input=stdin, check=True, capture_output=True, text=True)
    return re.split(r"\n(?=[a-z0-9])", done.stdout.strip())


def write(name: str, requirements: list[str]) -> None:
    (ROOT / name).write_text(HEADER + "\n".join(requirements) + "\n")


def main() -> None:
    everything = resolve("--extra", "dev", "--extra", "serving", "pyproject.toml")
    cuda = [r for r in everything if r.startswith(CUDA) and not r.startswith(BENTOML_WANTS)]
    rest = [r for r in everything if r not in cuda]
    torch = next(r for r in rest if r.startswith("torch=="))
    rest[rest.index(torch)] = f"{torch} \\\n    --hash=sha256:{TORCH_CPU}"
    version = torch.split()[0]
    setuptools = next(r for r in rest if r.startswith("setuptools==")).split()[0]
    write("requirements.lock", rest)
    write("requirements/build.lock", resolve("-", stdin=f"pip\n{setuptools}\nwheel\n"))
    write("requirements/torch-cpu.lock", [f"{version}+cpu \\\n    --hash=sha256:{TORCH_CPU}"])
    write("requirements/torch-cuda.lock", cuda)
    serving = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["serving"]
    for name, wanted in (("serving", serving), ("comment", ["requests"])):
        pinned = resolve("--constraint", "requirements.lock", "-", stdin="\n".join(wanted))
        write(f"requirements/{name}.lock", pinned)


if __name__ == "__main__":
    main()
