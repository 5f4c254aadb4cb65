"""Parts of one piece of work on the threads that torch was given.

Compiled kernels that release the interpreter lock run here instead of on an OpenMP pool: such a pool hangs in a forked
process (a DataLoader's worker) and some of them abort when two threads use it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def run_parts(task: Callable[[int], object], parts: int) -> None:
    """Call ``task(part)`` for every part in [0, ``parts``) on ``torch.get_num_threads()`` threads, and wait.

    Args:
        task: Must release the interpreter lock to gain from it, and must not call ``run_parts`` itself.
        parts: Number of calls. What they compute must not depend on which thread runs which.

    Raises:
        Exception: The first one, in the order of parts, that a task raised; the other parts have ended.
    """
    threads = min(torch.get_num_threads(), parts)
    if threads <= 1:
        for part in range(parts):
            task(part)
        return
    # The calling thread works, too: one part less to hand over, and half of the work on two cores.
    order = iter(range(parts))
    errors: dict[int, BaseException] = {}

    def work() -> None:
        # next() on a range's iterator holds the interpreter lock: no part is taken twice.
        for part in order:
            try:
                task(part)
            except BaseException as error:
                errors[part] = error
                return

    helpers = [_pool(threads - 1).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        helper.result()
    if errors:
        raise errors[min(errors)]


def run_ranges(task: Callable[[int, int], object], count: int, step: int) -> None:
    """Call ``task(start, stop)`` for consecutive ranges of [0, ``count``), each ``step`` long but the last.

    Args:
        task: See ``run_parts``.
        count: End of the last range.
        step: Length of a range; must not depend on the number of threads if the order of a sum depends on it.
    """
    run_parts(lambda part: task(part * step, min((part + 1) * step, count)), -(-count // step))


def _pool(threads: int) -> ThreadPoolExecutor:
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="s4r")
        return _pools[threads]


def _after_fork() -> None:
    """A forked process has none of its parent's threads, and the lock may have been held by one."""
    global _lock
    _lock = threading.Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
