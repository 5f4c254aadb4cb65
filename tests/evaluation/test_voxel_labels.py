"""Confusions of voxels against plain loops."""

import math

import numpy as np
import pytest
import torch

from sparse_s4r.evaluation.labels import voxel_confusion
from sparse_s4r.structures import IGNORE_LABEL


def test_by_hand() -> None:
    # Class 0: two of three right, one missing. Class 1: one of two right, the other taken for 2. Class 2 never occurs.
    reference = torch.tensor([0, 0, 0, 1, 1, IGNORE_LABEL])
    predicted = torch.tensor([0, 0, IGNORE_LABEL, 1, 2, 0])
    found = voxel_confusion(predicted, reference, 3)
    assert found.voxels == 5
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.class_accuracy[:2] == pytest.approx([2 / 3, 1 / 2])
    assert found.class_iou[:2] == pytest.approx([2 / 3, 1 / 2])
    assert math.isnan(found.class_accuracy[2])
    assert math.isnan(found.class_iou[2])
    # The class that does not occur takes no part, although it was predicted.
    assert found.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.mean_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_by_a_loop() -> None:
    rng = np.random.default_rng(0)
    reference = rng.choice([0, 1, 2, 4, IGNORE_LABEL], 500)
    predicted = np.where(rng.random(500) < 0.6, reference, rng.choice([0, 1, 2, 3, 4, IGNORE_LABEL], 500))
    pairs = [(r, p) for r, p in zip(reference.tolist(), predicted.tolist(), strict=True) if r != IGNORE_LABEL]
    ious, accuracies = [], []
    for label in range(5):
        true = [p for r, p in pairs if r == label]
        if not true:
            continue
        both = sum(p == label for p in true)
        ious.append(both / (len(true) + sum(p == label for _, p in pairs) - both))
        accuracies.append(both / len(true))
    found = voxel_confusion(torch.from_numpy(predicted), torch.from_numpy(reference), 5)
    assert found.mean_iou == pytest.approx(np.mean(ious))
    assert found.mean_accuracy == pytest.approx(np.mean(accuracies))
    assert found.accuracy == pytest.approx(np.mean([r == p for r, p in pairs]))
    halves = [
        voxel_confusion(torch.from_numpy(predicted[part]), torch.from_numpy(reference[part]), 5)
        for part in (slice(0, 200), slice(200, 500))
    ]
    assert torch.equal((halves[0] + halves[1]).counts, found.counts)


def test_perfect_nothing_and_ignored() -> None:
    labels = torch.tensor([0, 1, 1])
    assert voxel_confusion(labels, labels, 2).mean_iou == 1.0
    none = voxel_confusion(torch.full((3,), IGNORE_LABEL), labels, 2)
    assert (none.mean_iou, none.mean_accuracy, none.accuracy) == (0.0, 0.0, 0.0)
    ignored = voxel_confusion(labels, torch.full((3,), IGNORE_LABEL), 2)
    assert math.isnan(ignored.mean_iou)
    assert math.isnan(ignored.accuracy)


def test_a_label_beyond_the_classes_is_named() -> None:
    with pytest.raises(ValueError, match="predicted"):
        voxel_confusion(torch.tensor([3]), torch.tensor([0]), 3)
    with pytest.raises(ValueError, match="reference"):
        voxel_confusion(torch.tensor([0]), torch.tensor([3]), 3)
