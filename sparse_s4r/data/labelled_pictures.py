"""Colour images of captures with their labels, kept in memory to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.detect import open_capture
from sparse_s4r.data.workers import Workers
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError


@dataclass(frozen=True)
class PlanBox:
    """A box seen from above: lower and upper x and y in metres of a capture whose z points up."""

    lower: tuple[float, float]
    upper: tuple[float, float]

    def contains(self, points: Tensor) -> Tensor:
        """(...) bool: which of the points (..., 3) lie in it."""
        plan = points[..., :2]
        low, high = plan.new_tensor(self.lower), plan.new_tensor(self.upper)
        return ((plan >= low) & (plan < high)).all(-1)


@dataclass(frozen=True)
class LabelledPictures:
    """N images of one size.

    Attributes:
        color: (N, 3, H, W) uint8 RGB.
        labels: (N, H, W) uint8 class, ``IGNORE_LABEL`` for none.
        class_names: Names of the classes.
    """

    color: Tensor
    labels: Tensor
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.color)

    def every(self, step: int) -> LabelledPictures:
        """Every ``step``-th image, from the first."""
        return LabelledPictures(self.color[::step], self.labels[::step], self.class_names)


def load_pictures(folders: Sequence[Path], boxes: Sequence[PlanBox] = (), inside: bool = False) -> LabelledPictures:
    """Read all frames of labelled captures.

    Args:
        folders: The captures, all with the same classes and image size.
        boxes: Parts of the captures, seen from above, that are treated apart. If there are any, only images whose
            camera is on the wanted side are taken, and pixels whose surface is on the other side have no label.
        inside: Which side is wanted: inside of the boxes, or outside of all.

    Raises:
        DataError: No captures, no labels, other classes or sizes than the first one's, damaged files, or no image on
            the wanted side.
    """
    if not folders:
        raise DataError("captures: expected at least one folder with labelled images, got none")
    captures = [open_capture(folder) for folder in folders]
    names = captures[0].class_names
    for folder, capture in zip(folders, captures, strict=True):
        if capture.class_names is None or capture.class_names != names:
            found = "none" if capture.class_names is None else ", ".join(capture.class_names)
            raise DataError(f"{folder}: expected labels in the classes of {folders[0]}, got {found}")
    tasks = [(capture, index) for capture in captures for index in range(len(capture))]
    with Workers() as workers:
        loaded = workers.map(lambda task: _load(*task, boxes, inside), tasks)
        color, labels = _gather(loaded, len(tasks), folders[0])
    assert names is not None
    return LabelledPictures(color, labels, names)


def _gather(loaded: Iterator[tuple[Tensor, Tensor] | None], most: int, folder: Path) -> tuple[Tensor, Tensor]:
    """All that is there in two tensors, filled one by one: nothing is held twice."""
    color, labels, count = torch.empty(0), torch.empty(0), 0
    for one in loaded:
        if one is None:
            continue
        if count == 0:
            color, labels = (one[part].new_empty((most, *one[part].shape)) for part in (0, 1))
        if one[1].shape != labels.shape[1:]:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (labels.shape[1:], one[1].shape)]
            raise DataError(f"{folder}: expected images of one size, {sizes[0]} as the first one, got {sizes[1]}")
        color[count], labels[count] = one
        count += 1
    if count == 0:
        raise DataError(f"{folder}: expected images on the wanted side of the boxes, got none of {most}")
    return color[:count], labels[:count]


def _load(capture: Capture, index: int, boxes: Sequence[PlanBox], inside: bool) -> tuple[Tensor, Tensor] | None:
    """Colour (3, H, W) and labels (H, W) uint8 of a frame; None if its camera is on the other side."""
    if not boxes:
        color, labels = capture.read_picture(index)
    elif _within(capture.pose(index)[:3, 3], boxes) != inside:
        return None
    else:
        frame = capture.read_frame(index)
        color, labels = frame.color, frame.labels
        if labels is not None:
            other = torch.zeros_like(labels, dtype=torch.bool)
            points = frame.camera.unproject(frame.depth)
            for box in boxes:
                other |= box.contains(points)
            labels = torch.where((~other if inside else other) | (frame.depth <= 0), IGNORE_LABEL, labels)
    if labels is None:
        raise DataError(f"{capture.name}: expected a label image for frame {capture.names[index]}, got none")
    return (color * 255).round().to(torch.uint8).movedim(-1, 0).contiguous(), labels.to(torch.uint8)


def _within(point: Tensor, boxes: Sequence[PlanBox]) -> bool:
    return any(bool(box.contains(point)) for box in boxes)
