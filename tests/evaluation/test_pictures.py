"""Scores of segmenters against hand cases."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sparse_s4r.data.labelled_pictures import LabelledPictures
from sparse_s4r.evaluation.pictures import confusion_of, picture_scores, score_segmenter
from sparse_s4r.structures import IGNORE_LABEL


class _ByRed:
    """Class 0 where red is low, 1 where it is high, no statement in between."""

    class_names = ("low", "high")

    def probabilities(self, images: Tensor) -> Tensor:
        red = images[:, 0]
        return torch.stack([red < 0.3, red > 0.7], 1).float()


def test_a_confusion_matrix_by_hand() -> None:
    truth = torch.tensor([0, 0, 1, 1, IGNORE_LABEL])
    predicted = torch.tensor([0, 1, 1, 2, 0])
    assert confusion_of(truth, predicted, 2).tolist() == [[1, 1, 0], [0, 1, 1]]


def test_scores_by_hand() -> None:
    # Class 0: 3 of 4 right, class 1: 1 of 2 right and one missed, class 2 occurs in predictions alone.
    scores = picture_scores(torch.tensor([[3, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0]]))
    assert scores.pixel_accuracy == pytest.approx(4 / 6)
    assert scores.class_accuracy[:2] == pytest.approx((0.75, 0.5))
    assert scores.mean_accuracy == pytest.approx(0.625)
    assert scores.class_iou[:2] == pytest.approx((0.75, 0.5))
    assert scores.mean_iou == pytest.approx(0.625)
    assert math.isnan(scores.class_iou[2])
    assert scores.class_pixels == (4, 2, 0)


def test_pictures_are_scored_in_the_segmenters_classes() -> None:
    # Labels: 0 and 1 count as low, 2 as high, 3 as nothing.
    red = torch.tensor([[0, 0, 255, 128, 255, 0]], dtype=torch.uint8)
    labels = torch.tensor([[0, 1, 2, 2, 0, 3]], dtype=torch.uint8)
    # Six pictures, more than are judged at once.
    color = red.expand(6, 3, 1, 6)
    pictures = LabelledPictures(color, labels.expand(6, 1, 6), ("a", "b", "c", "d"))
    scores = score_segmenter(_ByRed(), pictures, torch.tensor([0, 0, 1, IGNORE_LABEL]))
    assert scores.class_pixels == (18, 12)
    assert scores.pixel_accuracy == pytest.approx(3 / 5)
    assert scores.class_iou == pytest.approx((2 / 3, 1 / 3))


def test_classes_of_other_pictures_are_refused() -> None:
    pictures = LabelledPictures(torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2), ("a", "b"))
    with pytest.raises(ValueError, match=r"classes: expected \(2,\), got \(3,\)"):
        score_segmenter(_ByRed(), pictures, torch.tensor([0, 1, 1]))
