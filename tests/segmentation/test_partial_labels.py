"""Learning from labels of which some are coarse."""

from __future__ import annotations

import math

import pytest
import torch

from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.segmentation.partial_labels import balanced_weights, class_sets, partial_cross_entropy
from sparse_s4r.structures import IGNORE_LABEL

FINE = ("bed", "chair", "stool", "lamp")
# Bed alone, both seats, nothing that counts as tv, no lamp.
COARSE = LabelMap("coarse", FINE, ("seat", "tv", "bed"), (2, 0, 0, IGNORE_LABEL))
ALL = torch.ones(20)


def test_sets_are_the_fine_classes_and_then_those_of_the_maps() -> None:
    sets = class_sets(4, [COARSE])
    assert sets.starts == (4,)
    assert sets.members.tolist()[:4] == torch.eye(4, dtype=torch.bool).tolist()
    assert sets.members.tolist()[4:] == [
        [False, True, True, False],
        [False, False, False, False],
        [True, False, False, False],
    ]


def test_labels_become_sets() -> None:
    sets = class_sets(4, [COARSE, COARSE])
    labels = torch.tensor([0, 1, 2, IGNORE_LABEL])
    assert sets.of_labels(labels, None).tolist() == [0, 1, 2, IGNORE_LABEL]
    # No fine class counts as tv: such a pixel says nothing.
    assert sets.of_labels(labels, 0).tolist() == [4, IGNORE_LABEL, 6, IGNORE_LABEL]
    assert sets.of_labels(labels, 1).tolist() == [7, IGNORE_LABEL, 9, IGNORE_LABEL]


def test_the_loss_of_a_set_is_that_of_the_sum_of_its_classes() -> None:
    sets = class_sets(4, [COARSE])
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4])
    logits = probabilities.log().view(1, 4, 1, 1).expand(1, 4, 1, 3)
    labels = torch.tensor([[[4, 3, IGNORE_LABEL]]], dtype=torch.uint8)
    weights = ALL.clone()
    weights[3] = 2.0
    loss = partial_cross_entropy(logits + 5.0, labels, sets.members, weights)
    assert float(loss) == pytest.approx((-math.log(0.2 + 0.3) - 2.0 * math.log(0.4)) / 3.0, rel=1e-5)


def test_with_fine_labels_it_is_the_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 5, 6, generator=generator) * 20
    labels = torch.randint(0, 4, (2, 5, 6), generator=generator)
    labels[0, 0] = IGNORE_LABEL
    weights = torch.tensor([1.0, 0.5, 3.0, 0.1])
    expected = torch.nn.functional.cross_entropy(logits, labels, weights, ignore_index=IGNORE_LABEL)
    members = class_sets(4, []).members
    torch.testing.assert_close(partial_cross_entropy(logits, labels, members, weights), expected)


def test_a_coarse_label_does_not_choose_between_its_classes() -> None:
    sets = class_sets(4, [COARSE])
    logits = torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, 4, 1, 1).requires_grad_()
    partial_cross_entropy(logits, torch.full((1, 1, 1), 4), sets.members, ALL).backward()
    assert logits.grad is not None
    bed, chair, stool, lamp = logits.grad.flatten().tolist()
    assert chair == pytest.approx(stool)
    assert chair < 0 < bed
    assert lamp == pytest.approx(bed)


def test_no_labels_give_no_loss() -> None:
    logits = torch.randn(1, 4, 2, 2, requires_grad=True)
    loss = partial_cross_entropy(logits, torch.full((1, 2, 2), IGNORE_LABEL), class_sets(4, []).members, ALL)
    loss.backward()
    assert float(loss) == 0.0
    assert logits.grad is not None
    assert not bool(logits.grad.any())


def test_rare_classes_weigh_more_but_not_without_limit() -> None:
    weights = balanced_weights(torch.tensor([900, 100, 0]))
    # Square root of a ninth, and a mean pixel of weight 1.
    assert float(weights[1] / weights[0]) == pytest.approx(3.0, rel=1e-5)
    assert float(weights[0] * 0.9 + weights[1] * 0.1) == pytest.approx(1.0, rel=1e-5)
    assert float(weights[2]) == 5.0
    assert balanced_weights(torch.tensor([900, 100]), power=0.0).tolist() == [1.0, 1.0]


def test_a_map_from_other_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="coarse: expected 5 fine classes, got 4"):
        class_sets(5, [COARSE])


def test_more_sets_than_a_byte_holds_are_refused() -> None:
    names = tuple(f"fine {index}" for index in range(200))
    with pytest.raises(ValueError, match="at most 255 sets of classes, got 400"):
        class_sets(200, [LabelMap("double", names, names, tuple(range(200)))])
