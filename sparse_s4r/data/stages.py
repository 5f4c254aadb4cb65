"""The stages of an import, told to an observer and timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sparse_s4r.data.import_options import ImportObserver, StageRate


class StageClock:
    """Times stages and tells ``observer`` how they go on."""

    def __init__(self, observer: ImportObserver) -> None:
        self._observer = observer
        self._rates: list[StageRate] = []
        self._steps = 0

    @property
    def rates(self) -> tuple[StageRate, ...]:
        """The stages that are done."""
        return tuple(self._rates)

    @contextmanager
    def stage(self, title: str, frames: int) -> Iterator[None]:
        """A stage of at most ``frames`` steps; its rate counts those that were taken."""
        self._observer.stage(title, frames)
        self._steps = 0
        started = time.perf_counter()
        yield
        self._rates.append(StageRate(title, self._steps, time.perf_counter() - started))

    def advance(self) -> None:
        """One step of the stage is done."""
        self._steps += 1
        self._observer.advance()
