"""Rehash what DVC keeps on this machine: its cache, and the outputs checked out from it.

`dvc pull` checks what it downloads; what lies in the cache is believed from then on, by `dvc checkout` and `dvc status`
too. A disk that flips a bit there is found here: one line for each damaged file, exit code 1.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from dvc.repo import Repo


def outputs(repo: Repo, cache: Path) -> Iterator[tuple[Path, str]]:
    """Each file that is an output, or lies in one, with the MD5 that DVC recorded for it."""
    root = Path(repo.root_dir)
    for out in repo.index.outs:
        recorded = out.hash_info.value if out.use_cache and out.hash_info else None
        if not recorded:
            continue
        path = Path(out.fs_path).relative_to(root)
        yield path, recorded
        if recorded.endswith(".dir"):
            try:
                entries = json.loads(place(cache, recorded).read_bytes())
            except (OSError, ValueError):  # not here, or damaged: then the listing itself is reported
                continue
            yield from ((path / entry["relpath"], entry["md5"]) for entry in entries)


def place(cache: Path, recorded: str) -> Path:
    return cache / recorded[:2] / recorded[2:]


def is_damaged(path: Path, recorded: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return found != recorded.removesuffix(".dir")


def main() -> int:
    with Repo() as repo:
        cache = Path(repo.cache.local.path)
        known = list(outputs(repo, cache))
    names = {recorded: path for path, recorded in known}
    objects = sorted(path for path in cache.glob("??/*") if len(path.name.removesuffix(".dir")) == 30)
    damaged = 0
    for stored in objects:
        recorded = stored.parent.name + stored.name
        if is_damaged(stored, recorded):
            damaged += 1
            print(f"{names.get(recorded, 'an output of another commit')}: its copy in the cache is damaged: {stored}")
    for path, recorded in known:
        if is_damaged(path, recorded):
            damaged += 1
            print(f"{path}: differs from what dvc.lock records")
    if damaged:
        print("error: delete the files named above, then `dvc pull`, or `dvc repro` where they were never pushed")
        return 1
    print(f"{len(objects)} objects in the cache, all whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
