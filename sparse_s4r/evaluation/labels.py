"""Semantics of renders against the labels of frames."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.structures import IGNORE_LABEL, RenderedView, RGBDFrame


@dataclass(frozen=True)
class LabelScores:
    """Agreement of labels over pixels.

    Attributes:
        accuracy: Share of labelled, hit pixels with the right class.
        mean_iou: Mean over the classes that occur of intersection over union; a miss counts against the class.
        per_class: IoU per class, NaN for classes that occur in neither.
    """

    accuracy: float
    mean_iou: float
    per_class: tuple[float, ...]


def label_scores(pairs: Iterable[tuple[RenderedView, RGBDFrame]], classes: int) -> LabelScores | None:
    """Compare rendered classes with the frames' labels; None when no frame has labels or none was rendered.

    Raises:
        ValueError: A label that is none of the ``classes``.
    """
    # The last column counts labelled pixels that the render misses.
    confusion = torch.zeros(classes, classes + 1, dtype=torch.int64)
    for view, frame in pairs:
        if frame.labels is None or view.semantic_logits is None:
            continue
        predicted = torch.where(view.hit, view.semantic_logits.argmax(-1), classes)
        known = frame.labels != IGNORE_LABEL
        largest = int(frame.labels[known].max()) if bool(known.any()) else 0
        if largest >= classes:
            raise ValueError(f"labels of frame {frame.name}: expected values below {classes}, got {largest}")
        index = frame.labels[known] * (classes + 1) + predicted[known]
        confusion += torch.bincount(index.cpu(), minlength=confusion.numel()).view_as(confusion)
    return scores_of(confusion) if int(confusion.sum()) else None


def scores_of(confusion: Tensor) -> LabelScores:
    """Scores of a confusion matrix (K, K + 1) int64: true class by predicted class, misses last."""
    square = confusion[:, :-1].double()
    right = square.diagonal()
    union = confusion.sum(1).double() + square.sum(0) - right
    iou = torch.where(union > 0, right / union, math.nan)
    hit = float(square.sum())
    return LabelScores(
        float(right.sum()) / hit if hit else math.nan,
        float(iou.nanmean()),
        tuple(float(value) for value in iou),
    )


@dataclass(frozen=True)
class VoxelConfusion:
    """Classes of voxels against those of a reference, in counts that can be added over scenes.

    Attributes:
        counts: (K, K + 1) int64, true class by predicted class; the last column counts voxels that the prediction does
            not have or gives no label.
    """

    counts: Tensor

    def __add__(self, other: VoxelConfusion) -> VoxelConfusion:
        return VoxelConfusion(self.counts + other.counts)

    def without_missing(self) -> VoxelConfusion:
        """Only the voxels that the prediction gives a label."""
        counts = self.counts.clone()
        counts[:, -1] = 0
        return VoxelConfusion(counts)

    @property
    def voxels(self) -> int:
        """Labelled voxels of the reference."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of the labelled voxels with the right class; a missing one is wrong."""
        return float(self.counts.diagonal().sum()) / self.voxels if self.voxels else math.nan

    @property
    def class_accuracy(self) -> tuple[float, ...]:
        """Share of each class's voxels that have it, NaN for classes that the reference does not have."""
        return tuple(float(value) for value in self.counts.diagonal() / self.counts.sum(1).double())

    @property
    def class_iou(self) -> tuple[float, ...]:
        """Intersection over union per class, NaN for classes that the reference does not have."""
        right = self.counts.diagonal().double()
        occurs = self.counts.sum(1) > 0
        union = self.counts.sum(1) + self.counts[:, :-1].sum(0) - right
        return tuple(float(value) for value in torch.where(occurs, right / union, math.nan))

    @property
    def mean_accuracy(self) -> float:
        """Mean of ``class_accuracy`` over the classes that the reference has."""
        return _mean(self.class_accuracy)

    @property
    def mean_iou(self) -> float:
        """Mean of ``class_iou`` over the classes that the reference has."""
        return _mean(self.class_iou)


def voxel_confusion(predicted: Tensor, reference: Tensor, classes: int) -> VoxelConfusion:
    """Count the classes of voxels.

    Args:
        predicted: (N,) int64 class that the prediction gives each voxel of the reference, ``IGNORE_LABEL`` for none.
        reference: (N,) int64 true class; voxels with ``IGNORE_LABEL`` take no part.
        classes: Number of classes.

    Raises:
        ValueError: A label that is none of the ``classes``.
    """
    known = reference != IGNORE_LABEL
    true, found = reference[known].long(), predicted[known].long()
    for name, values in (("reference", true), ("predicted", found[found != IGNORE_LABEL])):
        if len(values) and (int(values.min()) < 0 or int(values.max()) >= classes):
            raise ValueError(f"{name}: expected labels below {classes} or {IGNORE_LABEL}, got others")
    found = torch.where(found == IGNORE_LABEL, classes, found)
    counts = torch.bincount(true * (classes + 1) + found, minlength=classes * (classes + 1))
    return VoxelConfusion(counts.view(classes, classes + 1))


def _mean(values: tuple[float, ...]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
