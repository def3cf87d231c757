"""Make a base image of Debian's own packages, for a host that reaches no image registry, and put it into podman.

    python scripts/base_image.py localhost/waymark-base:bookworm
    make container BACKEND=podman BASE=localhost/waymark-base:bookworm

debootstrap fetches Debian 12 with Python 3.11 and pip from a Debian mirror, about a minute; podman imports what the
service can use of it. It needs root, debootstrap, Debian's keys and podman. Where a registry can be reached,
python:3.11-slim is the better base, and the default of `make container`: others look after it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile

SUITE = "bookworm"  # the last one whose Python is 3.11
PACKAGES = "python3,python3-pip,ca-certificates"
INSTALL = "debootstrap debian-archive-keyring gpgv podman buildah runc"
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
    """Put the image `name` into podman. Ends with a sentence where a step fails; nothing is left of it then."""
    with tempfile.TemporaryDirectory(prefix="waymark-base-") as folder:
        root, packed = f"{folder}/root", f"{folder}/root.tar"
        # Without the flag it would take unsigned packages where the keys of debian-archive-keyring are not installed.
        step("debootstrap", "--variant=minbase", "--force-check-gpg", f"--include={PACKAGES}", SUITE, root, mirror)
        leave_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
        step("tar", "--create", f"--file={packed}", f"--directory={root}", *leave_out, ".")
        step("podman", "import", "--quiet", packed, name)


def step(program: str, *arguments: str) -> None:
    """Run it quietly. Where it fails, its last line is the reason: debootstrap writes there what it could not do."""
    command = [program, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        lines = done.stdout.strip().splitlines() or [f"it ended with {done.returncode} and said nothing"]
        sys.exit(f"error: {program}: {lines[-1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="name of the image, such as localhost/waymark-base:bookworm")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="(default: %(default)s)")
    arguments = parser.parse_args()
    for program in ("debootstrap", "gpgv", "podman"):
        if shutil.which(program) is None:
            sys.exit(f"error: {program} is not installed; on Debian: apt-get install {INSTALL}")
    print(f"Making {arguments.name}: Debian {SUITE} with Python 3.11 from {arguments.mirror}, about a minute …")
    make(arguments.name, arguments.mirror)


if __name__ == "__main__":
    main()
