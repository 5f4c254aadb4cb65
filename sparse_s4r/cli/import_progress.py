"""Progress bars of an import."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as RemainingColumn


class ImportProgress:
    """One bar per stage, with elapsed and remaining time; a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:>15}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            RemainingColumn(),
            console=console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ImportProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, title: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self._task = self._progress.add_task(title, total=total)

    def advance(self) -> None:
        """One step of the stage is done."""
        if self._task is not None:
            self._progress.advance(self._task)
