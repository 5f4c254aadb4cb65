"""Compiled loops where their code can and cannot be kept."""

from __future__ import annotations

import numba
import pytest
from numba.core import caching

from sparse_s4r.geometry.compiled import compiled, inlined


def _double(value: int) -> int:
    return 2 * value


def test_compiled_functions_compute_what_they_did() -> None:
    assert compiled(_double)(21) == 42
    assert compiled(_double).py_func is _double
    assert inlined(_double)(4) == 8


def test_without_a_folder_to_write_to_functions_are_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="cannot cache function"):
        numba.njit(cache=True)(_double)
    assert compiled(_double)(21) == 42
