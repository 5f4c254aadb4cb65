"""Label scores against sets of pixels counted one by one."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.evaluation.labels import label_scores, scores_of
from sparse_s4r.structures import IGNORE_LABEL
from tests.losses.views import make_frame, make_view

CLASSES = 4
PIXEL = st.tuples(st.sampled_from([0, 1, 2, IGNORE_LABEL]), st.integers(0, CLASSES - 1), st.booleans())


def one_hot(classes: list[int]) -> torch.Tensor:
    return torch.eye(CLASSES)[classes]


def test_by_hand() -> None:
    # True classes 0 0 0 1 1, one ignored; predicted 0 0 1 1 miss, and 2 for the ignored one.
    view = make_view([1.0] * 6, [True, True, True, True, False, True], logits=one_hot([0, 0, 1, 1, 1, 2]))
    scores = label_scores([(view, make_frame([1.0] * 6, labels=[0, 0, 0, 1, 1, IGNORE_LABEL]))], CLASSES)
    assert scores is not None
    assert scores.accuracy == 3 / 4
    assert scores.per_class[:2] == (2 / 3, 1 / 3)
    assert all(math.isnan(value) for value in scores.per_class[2:])
    assert scores.mean_iou == pytest.approx(0.5)


@given(st.lists(st.lists(PIXEL, min_size=1, max_size=30), min_size=1, max_size=3))
def test_equals_counting(rows: list[list[tuple[int, int, bool]]]) -> None:
    pairs = [
        (
            make_view([1.0] * len(row), [hit for _, _, hit in row], logits=one_hot([guess for _, guess, _ in row])),
            make_frame([1.0] * len(row), labels=[truth for truth, _, _ in row]),
        )
        for row in rows
    ]
    pixels = [pixel for row in rows for pixel in row if pixel[0] != IGNORE_LABEL]
    scores = label_scores(pairs, CLASSES)
    if not pixels:
        assert scores is None
        return
    assert scores is not None
    hits = [pixel for pixel in pixels if pixel[2]]
    right = sum(truth == guess for truth, guess, _ in hits)
    assert (scores.accuracy == right / len(hits)) if hits else math.isnan(scores.accuracy)
    ious = []
    for label in range(CLASSES):
        both = sum(truth == guess == label for truth, guess, _ in hits)
        either = sum(truth == label or (hit and guess == label) for truth, guess, hit in pixels)
        if either:
            ious.append(both / either)
            assert scores.per_class[label] == pytest.approx(both / either)
        else:
            assert math.isnan(scores.per_class[label])
    assert scores.mean_iou == pytest.approx(sum(ious) / len(ious))


def test_perfect_and_all_wrong() -> None:
    perfect = scores_of(torch.tensor([[5, 0, 0], [0, 3, 0]]))
    assert (perfect.accuracy, perfect.mean_iou) == (1.0, 1.0)
    wrong = scores_of(torch.tensor([[0, 5, 0], [3, 0, 0]]))
    assert (wrong.accuracy, wrong.mean_iou) == (0.0, 0.0)


def test_no_labels_or_no_semantics_give_no_scores() -> None:
    assert label_scores([(make_view([1.0], logits=one_hot([0])), make_frame([1.0]))], CLASSES) is None
    assert label_scores([(make_view([1.0]), make_frame([1.0], labels=[0]))], CLASSES) is None
    assert label_scores([], CLASSES) is None


def test_labels_beyond_the_classes_are_refused() -> None:
    view, frame = make_view([1.0], logits=one_hot([0])), make_frame([1.0], labels=[7])
    with pytest.raises(ValueError, match=r"labels of frame row: expected values below 4, got 7"):
        label_scores([(view, frame)], CLASSES)
