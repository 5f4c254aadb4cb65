"""What comes next, made in the background while the present is worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Calls ``make`` for each of ``numbers``, in order, up to ``depth`` calls ahead on one thread of its own.

    What a call returns must follow from its number alone; then nothing depends on ``depth``.

    Args:
        make: Makes the item of a number.
        numbers: In the order in which the items are wanted.
        depth: Items made ahead; 0 makes each when it is asked for, on the caller's thread.
    """

    def __init__(self, make: Callable[[int], T], numbers: Iterable[int], depth: int) -> None:
        self._make = make
        self._numbers = iter(numbers)
        self._depth = depth
        self._ahead: deque[Future[T]] = deque()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Prefetch[T]:
        if self._depth > 0:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="s4r-prefetch", initializer=_alone)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            self._ahead.clear()
            # The thread's own setting has become the default of threads that start later: set it back.
            torch.set_num_threads(torch.get_num_threads())

    def next(self) -> T:
        """The next item; what ``make`` raised for it is raised here.

        Raises:
            StopIteration: There is no further number.
        """
        if self._pool is None:
            return self._make(next(self._numbers))
        self._fill(self._pool, self._depth)
        if not self._ahead:
            raise StopIteration
        item = self._ahead.popleft()
        # One more is begun before waiting: the thread goes on while this item is worked on.
        self._fill(self._pool, self._depth)
        return item.result()

    def _fill(self, pool: ThreadPoolExecutor, count: int) -> None:
        while len(self._ahead) < count:
            number = next(self._numbers, None)
            if number is None:
                return
            self._ahead.append(pool.submit(self._make, number))


def _alone() -> None:
    """The cores belong to the training; the background takes one of them at most."""
    torch.set_num_threads(1)
