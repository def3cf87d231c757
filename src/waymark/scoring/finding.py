"""Which images the words of a command line mean, in their order, and the bytes of each."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from waymark.errors import WaymarkError, reason
from waymark.serving import uploads
from waymark.serving.limits import Limits
from waymark.serving.uploads import Refusal, natural

# What Pillow's five formats are commonly called; a file that is named by itself may be called anything.
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm", ".webp", ".bmp", ".dib")
)


class Found(NamedTuple):
    """`files` are images, zips, and folders that cannot be listed; `skipped` counts what folders hold besides."""

    files: list[Path]
    skipped: int


class Sent(NamedTuple):
    """An image as it will be asked for: how its row names it, and its bytes or why there are none."""

    path: str
    data: bytes | Refusal


def find(arguments: Sequence[str]) -> Found:
    """What files, folders and patterns stand for, in their order, in natural order within each.

    Raises WaymarkError where one of them does not exist, where a pattern matches nothing, and where there is no image.
    """
    files: list[Path] = []
    skipped = 0
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            inside, others = _inside(path)
            files += inside
            skipped += others
        elif os.path.lexists(path):
            files.append(path)
        else:
            files += _matches(argument)
    if not files:
        besides = f"; {skipped:,} other files were skipped, and a zip has to be named itself" if skipped else ""
        raise WaymarkError(f"{', '.join(arguments)}: holds no image{besides}")
    return Found(files, skipped)


def _inside(folder: Path) -> tuple[list[Path], int]:
    """The images of a folder and its folders, and how much else there is; hidden files and folders do not count.

    Links to folders are left out, too: they may lead back.
    """
    files: list[Path] = []
    skipped = 0

    def unlisted(error: OSError) -> None:
        files.append(Path(error.filename))  # its row will say why

    for parent, folders, names in os.walk(folder, onerror=unlisted):
        folders[:] = [name for name in folders if not name.startswith(".")]
        skipped += sum(Path(parent, name).is_symlink() for name in folders)
        visible = [name for name in names if not name.startswith(".")]
        images = [name for name in visible if Path(name).suffix.lower() in SUFFIXES]
        skipped += len(visible) - len(images)
        files += [Path(parent, name) for name in images]
    return sorted(files, key=lambda path: natural(path.as_posix())), skipped


def _matches(pattern: str) -> list[Path]:
    if not any(sign in pattern for sign in "*?["):
        raise WaymarkError(f"{pattern}: there is no such file or folder")
    path = Path(pattern, "*") if pattern.endswith("**") else Path(pattern)
    hidden_wanted = any(_hidden(part) for part in path.parts)
    try:
        # pathlib's `**`, unlike glob's, does not follow links to folders.
        found = list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except ValueError as error:
        raise WaymarkError(f"{pattern}: is no pattern ({reason(error)})") from None
    files = [match for match in found if not match.is_dir() and (hidden_wanted or not any(map(_hidden, match.parts)))]
    if not files:
        raise WaymarkError(f"{pattern}: matches no file; a folder is given by its name alone")
    return sorted(files, key=lambda match: natural(match.as_posix()))


def _hidden(part: str) -> bool:
    return part.startswith(".") and part != ".."


def read(files: Sequence[Path], limits: Limits, also: Callable[[int], None]) -> Iterator[Sent]:
    """The bytes of each image, and of each member of a zip; `also` is told how many more images a zip turns out to be.

    What is too large, unreadable or damaged comes as its Refusal.
    """
    for path in files:
        name = os.fsencode(path).decode(errors="backslashreplace")
        try:
            if _is_zip(path):
                for member, data in _members(path, limits, also):
                    yield Sent(f"{name}/{member}", data)
            else:
                yield Sent(name, _content(path, limits.image_bytes))
        except Refusal as refusal:
            yield Sent(name, refusal)


def _is_zip(path: Path) -> bool:
    if path.suffix.lower() in SUFFIXES:
        return False
    return _content(path, 4).startswith(uploads.ZIP_SIGNATURES)


def _content(path: Path, most: int) -> bytes:
    """The bytes of a file; of one that has more than `most`, one byte more, which is enough to refuse it."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            list(path.iterdir())  # refused already, or it would not be here: says why
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise Refusal("unreadable", 400, "this is neither a file nor a folder that can be listed")
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise _unreadable(error) from None


def _members(path: Path, limits: Limits, also: Callable[[int], None]) -> Iterator[tuple[str, bytes | Refusal]]:
    """A zip here may have any number of members: they are asked for a few at a time."""
    try:
        with path.open("rb") as file:
            opened_zip, members = uploads.unzipped(file)
            also(len(members) - 1)
            yield from uploads.contents(opened_zip, members, limits)
    except OSError as error:
        raise _unreadable(error) from None


def _unreadable(error: OSError) -> Refusal:
    return Refusal("unreadable", 400, f"the file cannot be read ({reason(error)})")
