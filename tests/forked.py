"""Calls in a forked process, as DataLoader makes its workers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest

needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")


def in_fork(function: Callable[[], Any]) -> Any:
    """What ``function`` returns in a child of this process; an assertion fails if the child hangs or dies."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    worker = context.Process(target=lambda: results.put(function()), daemon=True)
    worker.start()
    worker.join(60)
    if worker.is_alive():
        worker.kill()
        worker.join()
    assert worker.exitcode == 0, "expected the forked process to end well; it hung or died"
    return results.get()
