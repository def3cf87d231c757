"""Make a base image of Debian's own packages, for a host that reaches no image registry, and put it into podman.

    python scripts/base_image.py localhost/waymark-base:bookworm
    make container BACKEND=podman BASE=localhost/waymark-base:bookworm

debootstrap fetches Debian 12 with Python 3.11 and pip from a Debian mirror, about a minute; podman imports what the
service can use of it. It needs root, debootstrap and podman. Where a registry can be reached, python:3.11-slim is the
better base, and the default of `make container`: others look after it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SUITE = "bookworm"  # the last one whose Python is 3.11
PACKAGES = "python3,python3-pip,ca-certificates"
# Debian forbids pip to install beside apt; in python:3.11-slim it may.
LEFT_OUT = (
    "./usr/lib/python3.11/EXTERNALLY-MANAGED",
    "./usr/share/doc/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
)


def make(name: str, mirror: str) -> None:
    """Put the image `name` into podman. Raises CalledProcessError where a step fails; nothing is left of it then."""
    with tempfile.TemporaryDirectory(prefix="waymark-base-") as folder:
        root = Path(folder, "root")
        log = Path(folder, "log")
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), mirror]
        with log.open("wb") as said:
            done = subprocess.run(command, stdout=said, stderr=subprocess.STDOUT)
        if done.returncode:
            sys.exit(f"error: debootstrap: {log.read_text(errors='replace').strip().splitlines()[-1]}")
        packed = Path(folder, "root.tar")
        leave_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
        subprocess.run(["tar", "--create", "--file", packed, "--directory", root, *leave_out, "."], check=True)
        subprocess.run(["podman", "import", "--quiet", packed, name], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="name of the image, such as localhost/waymark-base:bookworm")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="(default: %(default)s)")
    arguments = parser.parse_args()
    for program in ("debootstrap", "podman"):
        if shutil.which(program) is None:
            sys.exit(f"error: {program} is not installed; on Debian: apt-get install debootstrap podman buildah runc")
    print(f"Making {arguments.name}: Debian {SUITE} with Python 3.11 from {arguments.mirror}, about a minute …")
    make(arguments.name, arguments.mirror)


if __name__ == "__main__":
    main()
