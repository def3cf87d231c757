"""Whether a data set's publisher has something else than what data/raw/<dataset>/ holds: looked up, not downloaded."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waymark import paths
from waymark.datasets import addresses, checksums, kaggle, packing, sources, transfer
from waymark.datasets.base import Origin
from waymark.errors import WaymarkError
from waymark.params import Params
from waymark.stages import collect

NEWER = 10  # exit code of `waymark collect --check`, apart from the 1 of an error and the 2 of argparse


@dataclass(frozen=True)
class Finding:
    """What is to be said of one archive."""

    name: str
    current: bool  # what is held is what is published
    said: str

    def __str__(self) -> str:
        return f"{self.name}: {self.said}"


def compare(params: Params) -> list[Finding]:
    """One finding for each archive that is published or held, in the order of the names.

    Kaggle's data sets have versions. Of other archives only what their server tells is known: the size, and the sum
    where one is published; another content of the same size goes unnoticed.
    """
    if params.dataset == "rendered":
        return [Finding("rendered", current=True, said="drawn on this machine, nothing to look up")]
    held = _held(params.dataset)
    findings = []
    for origin in collect.origins(params):
        names = [origin.name + suffix for suffix in ("", *sources.SUFFIXES)]  # collect adds one where there is none
        facts = next((held.pop(name) for name in names if name in held), None)
        findings.append(Finding(origin.name, *_judge(origin, facts)))
    gone = [Finding(name, current=False, said="held, but not at the source") for name in held]
    return sorted([*findings, *gone], key=lambda finding: finding.name)


def _held(dataset: str) -> dict[str, dict[str, Any]]:
    """What source.json says, by the archives' names; nothing where nothing was collected."""
    path = paths.raw(dataset) / collect.SOURCE
    try:
        return {facts["name"]: facts for facts in json.loads(path.read_text(encoding="utf-8"))["objects"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise WaymarkError(f"{path}: is damaged; `dvc repro --force collect` makes it anew") from None


def _judge(origin: Origin, held: dict[str, Any] | None) -> tuple[bool, str]:
    if origin.url.startswith(kaggle.SCHEME):
        handle, version = str(kaggle.parse(origin.url)), kaggle.published(origin.url)
        if held is None:
            return False, f"nothing collected yet, version {version} is published"
        if "handle" not in held:
            return False, f"not from Kaggle → version {version}"
        if held["handle"] != handle:
            return False, f"{held['handle']} version {held['version']} → {handle} version {version}"
        if held["version"] != version:
            return False, f"version {held['version']} → {version}"
        return True, f"up to date (version {version})"
    size, sums = _published(origin)
    if held is None:
        return False, f"nothing collected yet, {size:,} bytes are published"
    if held["bytes"] != size:
        return False, f"{held['bytes']:,} → {size:,} bytes"
    for algorithm, expected in sums.items():
        if held[algorithm] != expected:
            return False, f"{algorithm} {held[algorithm]} → {expected}"
    return True, f"up to date ({size:,} bytes{''.join(f', the same {algorithm}' for algorithm in sums)})"


def _published(origin: Origin) -> tuple[int, dict[str, str]]:
    """Bytes and sums of what is published now."""
    if "://" not in origin.url and Path(origin.url).is_dir():
        with tempfile.TemporaryDirectory() as folder:  # a folder of classes: packed as `collect` would
            packed = Path(folder) / origin.name
            packing.pack(Path(origin.url), packed)
            facts = transfer.measure(packed)
        return facts.bytes, {"sha256": facts.sha256}
    system = addresses.filesystem(origin.url)
    size = transfer.look_up(system, origin.url).size
    if size is None:
        raise WaymarkError(f"{addresses.shown(origin.url)}: the server tells no size, so there is nothing to compare")
    sums = {"md5": origin.md5, "sha256": origin.sha256 or checksums.beside(system, origin.url)}
    return size, {algorithm: expected for algorithm, expected in sums.items() if expected}
