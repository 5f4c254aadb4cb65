"""File names that a capture's own lists give."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from sparse_s4r.structures.errors import DataError


def inside(folder: Path, name: str, source: Path) -> Path:
    """The file ``name`` of ``folder``.

    Args:
        folder: Where the file must lie, straight or deeper.
        name: As the list gives it, with / or \\ between folders.
        source: The list; named in errors.

    Raises:
        DataError: A name that leads out of the folder: a list must not make an import read other files.
    """
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or "\0" in name or ":" in name.split("/")[0]:
        raise DataError(f"{source}: expected the name of a file inside {folder}, got {name[:80]!r}")
    return folder / parts
