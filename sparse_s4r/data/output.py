"""Results that appear whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparse_s4r.structures.errors import DataError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Write a folder under a temporary name and give it its own when everything in it is written.

    Args:
        path: The folder to make; its parents are made as needed.

    Yields:
        The folder to write to. After an error it is removed and ``path`` does not exist.

    Raises:
        DataError: ``path`` exists; nothing in it is touched.
    """
    if path.exists():
        raise DataError(
            f"{path}: expected a folder that does not exist yet, got one that does; name another or move it"
        )
    partial = path.with_name(f".{path.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
