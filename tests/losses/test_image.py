"""2D terms on rows of pixels worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from skimage.color import rgb2lab
from torch import Tensor

from sparse_s4r.losses.image import LabelledView, color_loss, depth_loss, semantic_loss, virtual_loss
from sparse_s4r.structures import IGNORE_LABEL
from tests.losses.views import make_frame, make_view

GATE = 0.1


def test_depth_by_hand() -> None:
    # Pixel 1 is off by 0.5 m, pixel 2 by 0.25 m, pixel 3 has no measurement, pixel 4 no hit.
    view = make_view([1.0, 2.25, 3.0, 0.0], [True, True, True, False], requires_grad=True)
    value, count = depth_loss(view, make_frame([1.5, 2.0, 0.0, 1.0]))
    assert (float(value.detach()), count) == (0.375, 2)
    value.backward()
    assert view.depth.grad is not None
    assert view.depth.grad.tolist() == [[-0.5, 0.5, 0.0, 0.0]]


def test_color_by_hand() -> None:
    color = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.0, 0.0], [0.3, 0.3, 0.3]], requires_grad=True)
    seen = torch.tensor([[0.5, 0.2, 0.5], [0.0, 1.0, 1.0], [0.3, 0.3, 0.3]])
    # Pixel 2 lies behind another surface: its depth differs by more than the gate.
    view = make_view([1.0, 1.2, 1.0], color=color)
    value, count = color_loss(view, make_frame([1.0, 1.0, 1.05], seen), GATE, lab=False)
    assert count == 2
    assert float(value.detach()) == pytest.approx((0.3 / 3 + 0.0) / 2)
    value.backward()
    assert color.grad is not None
    assert color.grad[1].tolist() == [0.0, 0.0, 0.0]


def test_color_in_lab() -> None:
    rendered, seen = torch.tensor([[0.2, 0.4, 0.6]]), torch.tensor([[0.7, 0.1, 0.3]])
    value, _ = color_loss(make_view([1.0], color=rendered), make_frame([1.0], seen), GATE, lab=True)
    difference = (rgb2lab(rendered.numpy()) - rgb2lab(seen.numpy())) / [100, 200, 200]
    # See test_lab for the digits of the two conversions.
    assert float(value.detach()) == pytest.approx(abs(difference).mean(), abs=3e-4)


def test_semantics_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [5.0, 0.0], [5.0, 0.0]], requires_grad=True)
    view = make_view([1.0, 1.0, 1.0, 9.0], logits=logits)
    # ln 2 for the undecided pixel, ln 4 for the one three to one for the wrong class; one ignored, one gated.
    value, count = semantic_loss(view, make_frame([1.0] * 4, labels=[0, 1, IGNORE_LABEL, 1]), GATE)
    assert count == 2
    assert float(value.detach()) == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)
    value.backward()
    assert logits.grad is not None
    assert not logits.grad[2:].any()
    assert logits.grad[:2].all()


def test_labels_that_are_not_sure_do_not_count() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [math.log(7.0), 0.0]])
    view, frame = make_view([1.0] * 3, logits=logits), make_frame([1.0] * 3, labels=[1, 1, 1])
    unsure = replace(frame, confidence=torch.tensor([[0.5, 0.49, 1.0]]))
    # ln 2, ln 4 and ln 8.
    for given, least, losses in (
        (unsure, 0.0, (2, 4, 8)),
        (unsure, 0.5, (2, 8)),
        (unsure, 0.6, (8,)),
        (frame, 0.6, (2, 4, 8)),
    ):
        value, count = semantic_loss(view, given, GATE, least)
        assert count == len(losses)
        assert float(value) == pytest.approx(sum(math.log(loss) for loss in losses) / count, rel=1e-6)


def test_virtual_views_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [5.0, 0.0], [5.0, 0.0], [5.0, 0.0]], requires_grad=True)
    view = make_view([1.0] * 5, [True] * 4 + [False], logits=logits, requires_grad=True)
    # The third pixel has no label, the fourth shows something else than the prediction, the last shows nothing.
    labels, counts = torch.tensor([[0, 1, IGNORE_LABEL, 1, 1]]), torch.tensor([[True, True, True, False, True]])
    value, count = virtual_loss(LabelledView(view, torch.zeros(1, 5, 3), labels, counts))
    assert count == 2
    assert float(value.detach()) == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)
    value.backward()
    assert logits.grad is not None
    assert logits.grad.any(dim=1).tolist() == [True, True, False, False, False]
    assert view.depth.grad is None


def test_a_virtual_view_without_labels_is_zero_with_zero_gradient() -> None:
    logits = torch.rand(2, 3, requires_grad=True)
    nothing = torch.full((1, 2), IGNORE_LABEL)
    view = make_view([1.0, 1.0], logits=logits)
    value, count = virtual_loss(LabelledView(view, torch.zeros(1, 2, 3), nothing, torch.ones(1, 2) > 0))
    assert (float(value.detach()), count) == (0.0, 0)
    value.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_depth_is_not_trained_by_the_gate() -> None:
    view = make_view([1.0], color=torch.rand(1, 3, requires_grad=True), requires_grad=True)
    value, _ = color_loss(view, make_frame([1.05]), GATE, lab=True)
    value.backward()
    assert view.depth.grad is None


def test_zero_at_equality() -> None:
    color = torch.rand(3, 3)
    logits = torch.eye(3) * 100
    view, frame = make_view([1.0, 2.0, 3.0], color=color, logits=logits), make_frame([1.0, 2.0, 3.0], color, [0, 1, 2])
    assert float(depth_loss(view, frame)[0]) == 0.0
    assert float(color_loss(view, frame, GATE, lab=True)[0]) == 0.0
    assert float(semantic_loss(view, frame, GATE)[0]) == 0.0


@pytest.mark.parametrize(
    ("depth", "hit", "labels"),
    [([0.0, 0.0], [True, True], [0, 0]), ([1.0, 1.0], [False, False], [0, 0]), ([1.0, 1.0], [True, True], None)],
)
def test_nothing_valid_gives_zero_with_zero_gradient(
    depth: list[float], hit: list[bool], labels: list[int] | None
) -> None:
    color, logits = torch.rand(2, 3, requires_grad=True), torch.rand(2, 4, requires_grad=True)
    view = make_view([5.0, 5.0], hit, color, logits, requires_grad=True)
    frame = make_frame(depth, labels=labels)
    parts: list[tuple[Tensor, int]] = [color_loss(view, frame, GATE, lab=True), semantic_loss(view, frame, GATE)]
    if not (any(hit) and any(depth)):
        parts.append(depth_loss(view, frame))
    for value, count in parts:
        assert (float(value.detach()), count) == (0.0, 0)
    torch.stack([value for value, _ in parts]).sum().backward()
    for leaf in (color, logits):
        assert leaf.grad is not None
        assert not leaf.grad.any()


def test_asks_for_what_it_compares() -> None:
    with pytest.raises(ValueError, match="expected a rendered colour, got None"):
        color_loss(make_view([1.0]), make_frame([1.0]), GATE, lab=True)
    with pytest.raises(ValueError, match="expected rendered logits, got None"):
        semantic_loss(make_view([1.0]), make_frame([1.0], labels=[0]), GATE)
    with pytest.raises(ValueError, match="expected rendered logits, got None"):
        virtual_loss(
            LabelledView(make_view([1.0]), torch.zeros(1, 1, 3), torch.zeros(1, 1).long(), torch.ones(1, 1) > 0)
        )
