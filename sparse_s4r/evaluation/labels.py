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
