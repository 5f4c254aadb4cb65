"""Threads that decode and write frames ahead of their use."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Each holds a frame and what decoding it takes: tens of megabytes for large images.
_MOST = 8


class Workers:
    """A pool of threads; a context manager, at whose end no thread is at work any more.

    Decoding and encoding of images, and what torch does, release the interpreter lock. Each thread keeps torch to
    itself alone: frames are the parts of the work, not the pixels of a frame.

    Args:
        count: Number of threads; None for as many as the process has processors, at most 8.
    """

    def __init__(self, count: int | None = None) -> None:
        if count is not None and count < 1:
            raise ValueError(f"count: expected at least one thread, got {count}")
        self.count = count or min(_MOST, _processors())
        self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="frames", initializer=_alone)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        # The threads' own setting has become the default of threads that start later: set it back.
        torch.set_num_threads(torch.get_num_threads())

    def map(self, task: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Results of ``task`` in the order of ``items``, computed ahead of their use.

        At most twice as many results as there are threads are under way or wait to be taken, so memory does not grow
        with the number of items. ``items`` is read by the caller's thread and may be the result of another ``map``.

        Raises:
            Exception: What a task raised, when its turn comes; later items are given up.
        """
        pending: deque[Future[_Result]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(task, item))
                if len(pending) >= 2 * self.count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone() -> None:
    torch.set_num_threads(1)
