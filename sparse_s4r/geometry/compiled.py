"""How loops are compiled for the CPU.

Imported only where it is used: numba takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba

# Name, time of change and size of every source file of a folder.
SourceStamp = tuple[tuple[str, int, int], ...]


def compiled(function: Callable[..., Any]) -> Any:
    """``function`` compiled on its first call with arguments of these types.

    It releases the interpreter lock and is serial; threads share the work out (see ``structures.parallel``). What is
    compiled is kept on disk for the next process: beside the file, or in the user's cache. Where neither can be
    written, as in some containers, it is compiled in every process.
    """
    return _compile(function)


def inlined(function: Callable[..., Any]) -> Any:
    """``function`` compiled as a part of the compiled functions that call it."""
    return _compile(function, inline="always")


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    try:
        dispatcher = numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(nogil=True, **options)(function)
    _follow_folder(dispatcher, Path(function.__code__.co_filename).parent)
    return dispatcher


def _follow_folder(dispatcher: Any, folder: Path) -> None:
    """Drop what was kept of ``dispatcher`` when any file of ``folder`` changes.

    By itself numba looks at the function's own file only, while its code holds that of functions and constants of its
    neighbours.
    """
    kept = dispatcher._cache._cache_file
    kept._source_stamp = (kept._source_stamp, source_stamp(folder))


@lru_cache
def source_stamp(folder: Path) -> SourceStamp:
    """What tells whether a source file of ``folder`` has changed."""
    found = ((path.name, path.stat()) for path in sorted(folder.glob("*.py")))
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)
