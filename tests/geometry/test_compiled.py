"""Compiled loops where their code can and cannot be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


_CALLER = """
from sparse_s4r.geometry.compiled import compiled
from {package}.callee import inner

@compiled
def outer(value):
    return inner(value) + 1
"""
_CALLEE = """
from sparse_s4r.geometry.compiled import compiled

@compiled
def inner(value):
    return value * {factor}
"""


def test_a_change_of_a_called_function_in_another_file_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "caller.py").write_text(_CALLER.format(package="kept"))

    def run() -> list[str]:
        program = "from kept.caller import outer; print(outer(10), sum(outer.stats.cache_hits.values()))"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    (folder / "callee.py").write_text(_CALLEE.format(factor=2))
    assert run() == ["21", "0"]
    assert run() == ["21", "1"]
    (folder / "callee.py").write_text(_CALLEE.format(factor=30))
    assert run() == ["301", "0"]
