"""How loops are compiled for the CPU.

Imported only where it is used: numba takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


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
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        return numba.njit(nogil=True, **options)(function)
