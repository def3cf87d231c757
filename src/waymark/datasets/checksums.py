"""The SHA-256 that a publisher put beside an archive: `<archive>.sha256`, or a line of `SHA256SUMS`."""

import re
from typing import Any

from waymark.datasets.addresses import FAULTS

LIMIT = 64 * 2**10  # bytes of such a list; where every path answers with something, it is not that

# As sha256sum writes it: the sum, a blank, a blank or an asterisk, the file's name.
_LINE = re.compile(r"\\?(?P<sum>[0-9a-fA-F]{64})(?:[ \t]+\*?(?P<name>.+))?")


def beside(system: Any, url: str) -> str:
    """The sum recorded for `url` in its own folder (hex); empty where there is none.

    A signed address leads to one object only: nothing is looked for beside it.
    """
    if "?" in url and "://" in url:
        return ""
    folder, _, name = url.rpartition("/")
    for address in (f"{url}.sha256", f"{folder}/SHA256SUMS" if folder else "SHA256SUMS"):
        for line in _lines(system, address):
            found = _LINE.fullmatch(line.strip())
            # A sidecar may hold the bare sum; its name, where given, may be that of an earlier place.
            if found and (address.endswith(".sha256") or (found["name"] or "").removeprefix("./") == name):
                return found["sum"].lower()
    return ""


def _lines(system: Any, address: str) -> list[str]:
    try:
        size = system.info(address).get("size")
        if size is None or size > LIMIT:
            return []
        return bytes(system.cat_file(address)).decode("utf-8", "replace").splitlines()
    except (*FAULTS, ValueError):  # most have none; a broken connection shows at the archive itself
        return []
