"""How stages read each other's files, and put their own in place: whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from waymark.errors import WaymarkError, reason


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of a file that an earlier stage wrote, and that is absent or damaged, what it is and how to get it back.

    NumPy and pyarrow report damage as ValueError, EOFError or OSError.
    """
    try:
        yield
    except (OSError, ValueError, EOFError) as error:
        raise WaymarkError(f"{path}: cannot be read ({reason(error)}); `dvc repro` makes it anew") from None


@contextmanager
def replacing() -> Iterator[Callable[[Path], Path]]:
    """Put several files in place together, or none of them.

    The block asks for the name to write each file to; at its end each takes its target's place. If it fails, nothing
    is left of them and the targets stay as they were. Raises WaymarkError where the disk refuses a file.
    """
    parts: dict[Path, Path] = {}

    def part(target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        parts[target] = target.with_name(target.name + ".part")
        return parts[target]

    try:
        yield part
        for target, written in parts.items():
            written.replace(target)
    except OSError as error:
        # A full disk is reported without a name; it is the file that was asked for last.
        where = error.filename or next(reversed(parts), Path())
        raise WaymarkError(f"{where}: cannot be read or written ({reason(error)}); nothing was changed") from None
    finally:
        for written in parts.values():
            written.unlink(missing_ok=True)
