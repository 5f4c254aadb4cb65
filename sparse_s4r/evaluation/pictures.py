"""Labels that a 2D segmenter gives to pictures against their true ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.data.labelled_pictures import LabelledPictures
from sparse_s4r.segmentation.interface import ImageSegmenter
from sparse_s4r.structures import IGNORE_LABEL

_BATCH = 4


@dataclass(frozen=True)
class PictureScores:
    """Agreement of labels over all pixels that have a true one.

    A pixel without a statement counts as wrong. Means are over the classes that occur in the truth.

    Attributes:
        pixel_accuracy: Share of pixels with the right class.
        mean_accuracy: Mean over classes of the share of their pixels with the right class.
        mean_iou: Mean over classes of intersection over union.
        class_accuracy: Per class, NaN for those that do not occur.
        class_iou: Per class, NaN for those that do not occur.
        class_pixels: True pixels per class.
    """

    pixel_accuracy: float
    mean_accuracy: float
    mean_iou: float
    class_accuracy: tuple[float, ...]
    class_iou: tuple[float, ...]
    class_pixels: tuple[int, ...]


def score_segmenter(segmenter: ImageSegmenter, pictures: LabelledPictures, classes: Tensor) -> PictureScores:
    """Label ``pictures`` and compare.

    Args:
        segmenter: The segmenter, of K classes.
        pictures: Pictures with labels in any classes.
        classes: (C,) class of the segmenter that each class of the pictures counts as, ``IGNORE_LABEL`` for none.

    Raises:
        ValueError: ``classes`` is not of the pictures' classes.
    """
    if classes.shape != (len(pictures.class_names),):
        raise ValueError(f"classes: expected ({len(pictures.class_names)},), got {tuple(classes.shape)}")
    table = torch.full((IGNORE_LABEL + 1,), IGNORE_LABEL, dtype=torch.int64)
    table[: len(classes)] = classes
    confusion = torch.zeros(len(segmenter.class_names), len(segmenter.class_names) + 1, dtype=torch.int64)
    for start in range(0, len(pictures), _BATCH):
        images = pictures.color[start : start + _BATCH].float() / 255
        confidence, predicted = segmenter.probabilities(images).cpu().max(dim=1)
        predicted = torch.where(confidence > 0, predicted, confusion.shape[0])
        confusion += confusion_of(table[pictures.labels[start : start + _BATCH].long()], predicted, confusion.shape[0])
    return picture_scores(confusion)


def confusion_of(truth: Tensor, predicted: Tensor, count: int) -> Tensor:
    """(K, K + 1) int64: pixels of each true class by predicted class, those without a statement (class K) last."""
    known = truth != IGNORE_LABEL
    index = truth[known] * (count + 1) + predicted[known]
    return torch.bincount(index, minlength=count * (count + 1)).view(count, count + 1)


def picture_scores(confusion: Tensor) -> PictureScores:
    """Scores of a confusion matrix (K, K + 1), see ``confusion_of``."""
    counts = confusion.double()
    right, true = counts[:, :-1].diagonal(), counts.sum(1)
    union = true + counts[:, :-1].sum(0) - right
    accuracy = torch.where(true > 0, right / true, math.nan)
    iou = torch.where(true > 0, right / union, math.nan)
    total = float(true.sum())
    return PictureScores(
        float(right.sum()) / total if total else math.nan,
        float(accuracy.nanmean()),
        float(iou.nanmean()),
        tuple(accuracy.tolist()),
        tuple(iou.tolist()),
        tuple(int(value) for value in true),
    )
