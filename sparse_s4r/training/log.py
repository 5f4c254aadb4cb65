"""What a training tells: TensorBoard, a line per step on disk, and progress on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from sparse_s4r.losses.image import LabelledView
from sparse_s4r.render.pictures import class_palette, color_picture, comparison, label_picture, tile
from sparse_s4r.structures import IGNORE_LABEL, LossReport
from sparse_s4r.structures.memory import peak_memory_bytes
from sparse_s4r.training.step import StepResult


class TrainingLog:
    """Writes ``losses.jsonl`` and TensorBoard events to a run's folder and shows progress.

    Args:
        folder: The run's folder.
        steps: Number of steps of the whole training.
        done: Steps done before; later lines of an interrupted run are dropped.
        log_every: Steps between scalars.
        image_every: Steps between pictures.
        device: Whose memory to show.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        done: int,
        log_every: int,
        image_every: int,
        device: torch.device,
    ) -> None:
        self.steps, self.log_every, self.image_every, self.device = steps, log_every, image_every, device
        self._lines = folder / "losses.jsonl"
        kept = self._lines.read_text().splitlines()[:done] if self._lines.is_file() else []
        self._lines.write_text("".join(line + "\n" for line in kept))
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=done)
        self._console = Console()
        self._progress = Progress(
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}"),
            console=self._console,
        )
        self._task = self._progress.add_task("train", total=steps, completed=done, status="")

    def __enter__(self) -> TrainingLog:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._writer.close()

    def text(self, name: str, text: str) -> None:
        """Keep a text, such as the configuration, in TensorBoard."""
        self._writer.add_text(name, f"```\n{text}\n```")

    def step(
        self,
        step: int,
        results: Sequence[StepResult],
        rate: float,
        seconds: float,
        others: Mapping[str, float] | None = None,
    ) -> None:
        """Record ``step``, counted from 0, which took ``seconds``: means and the sum of voxels over its samples.

        ``others`` are losses that are not the network's.
        """
        report = LossReport.mean([result.report for result in results])
        voxels = sum(len(result.prediction) for result in results)
        values = {"total": float(report.total.detach())} | {name: float(v) for name, v in report.terms.items()}
        values |= others or {}
        memory = peak_memory_bytes(self.device)
        record = {"step": step, "seconds": round(seconds, 4), "voxels": voxels, **values}
        with self._lines.open("a") as file:
            file.write(json.dumps(record) + "\n")
        status = f"loss {values['total']:.3f}  {seconds:.1f} s/step  {memory / 2**30:.1f} GiB"
        self._progress.update(self._task, completed=step + 1, status=status)
        if step % self.log_every == 0 or step + 1 == self.steps:
            for name, value in values.items():
                self._writer.add_scalar(f"loss/{name}", value, step)
            self._writer.add_scalar("train/learning_rate", rate, step)
            self._writer.add_scalar("train/seconds_per_step", seconds, step)
            self._writer.add_scalar("train/voxels", voxels, step)
            self._writer.add_scalar("train/peak_memory_bytes", memory, step)
            if not self._console.is_terminal:
                # A bar redrawn in place leaves nothing in a file; lines do.
                left = (self.steps - step - 1) * seconds
                self._console.print(
                    f"step {step + 1}/{self.steps}  {status}  {left / 60:.1f} min left", highlight=False
                )
        if step % self.image_every == 0:
            self._pictures(step, results[0])

    def _pictures(self, step: int, result: StepResult) -> None:
        if result.views:
            picture = comparison(*result.views[0])
            self._writer.add_image("view/real_above_rendered", picture.numpy(), step, dataformats="HWC")
        if result.virtual:
            picture = virtual_picture(result.virtual[0])
            self._writer.add_image("view/virtual_labelled_rendered", picture.numpy(), step, dataformats="HWC")


def virtual_picture(labelled: LabelledView) -> Tensor:
    """What the segmenter saw, its labels, and the rendered ones where they are compared, (H', W', 3) uint8.

    Raises:
        ValueError: A view without logits.
    """
    logits = labelled.view.semantic_logits
    if logits is None:
        raise ValueError("view.semantic_logits: expected rendered logits, got None; the network has no classes")
    palette = class_palette(logits.shape[-1])
    rendered = torch.where(labelled.counts, logits.argmax(-1), IGNORE_LABEL)
    pictures = [label_picture(labels, palette) for labels in (labelled.labels, rendered)]
    return tile([[color_picture(labelled.picture), *pictures]])
