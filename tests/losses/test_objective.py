"""The weighted sum: which terms count when, and how much."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from sparse_s4r.losses.image import LabelledView, color_loss, depth_loss, semantic_loss, virtual_loss
from sparse_s4r.losses.objective import SceneLoss, Target, Term
from sparse_s4r.losses.truth import semantic_3d_loss, true_occupancy_loss, true_tsdf_loss
from sparse_s4r.losses.volume import occupancy_loss, tsdf_loss
from sparse_s4r.structures import (
    LabelledField,
    LevelOccupancy,
    RenderedView,
    RGBDFrame,
    ScenePrediction,
    SceneTruth,
    VoxelState,
)
from tests.losses.fields import make_prediction, make_scan, observe
from tests.losses.views import make_frame, make_view

SEEN, MISSING = (0, 0, 0), (2, 0, 0)
SCAN = make_scan({SEEN: 0.0, MISSING: 0.1})
TARGET = Target(
    SCAN,
    observe({SEEN: VoxelState.SURFACE, MISSING: VoxelState.SURFACE}),
    make_scan({SEEN: 0.1}),
    # The scan has another surface than the truth.
    SceneTruth(make_scan({SEEN: -0.2, (5, 5, 5): 0.3}), torch.tensor([1, 0]), 1.5),
    LabelledField(SCAN, torch.tensor([2, 1])),
)
LOSS = SceneLoss(
    occupancy=Term(2.0),
    tsdf=Term(3.0, 1),
    depth=Term(5.0, 2),
    color=Term(7.0, 3),
    semantic=Term(11.0, 4),
    missing_weight=4.0,
    unknown_weight=0.1,
    gate_voxels=2.0,
    lab=False,
    log_tsdf=True,
    virtual=Term(13.0, 5),
    semantic_3d=Term(17.0, 6),
    lifted=Term(19.0, 7),
)
STARTS = {
    "occupancy_16": 0,
    "occupancy_1": 0,
    "tsdf": 1,
    "depth": 2,
    "color": 3,
    "semantic": 4,
    "virtual": 5,
    "semantic_3d": 6,
    "lifted": 7,
}


def prediction() -> ScenePrediction:
    field = make_prediction({SEEN: 0.2, MISSING: 0.3}, [True, False])
    coarse = LevelOccupancy(16, torch.zeros(1, 3, dtype=torch.int64), torch.tensor([0.5]))
    fine = LevelOccupancy(1, torch.tensor([SEEN, MISSING, (5, 5, 5)]), torch.tensor([0.5, -1.0, 2.0]))
    return dataclasses.replace(field, semantic_logits=torch.rand(2, 3), occupancy=(coarse, fine))


def views() -> list[tuple[RenderedView, RGBDFrame]]:
    color, logits = torch.rand(2, 3), torch.rand(2, 3)
    # Voxels of 0.5 m and a gate of 2: within a metre.
    first = make_view([1.0, 2.0], color=color, logits=logits), make_frame([1.5, 3.5], labels=[0, 1])
    nothing = make_view([1.0, 2.0], color=color, logits=logits), make_frame([0.0, 0.0], labels=[0, 1])
    return [first, nothing]


def virtual_views() -> list[LabelledView]:
    """Two pixels with labels, and a view without any."""
    labelled = []
    for labels in ([1, 2], [255, 255]):
        view = make_view([1.0, 2.0], logits=torch.rand(2, 3))
        labelled.append(LabelledView(view, torch.zeros(1, 2, 3), torch.tensor([labels]), torch.ones(1, 2) > 0))
    return labelled


@pytest.mark.parametrize("step", range(9))
def test_curriculum_and_weights(step: int) -> None:
    field, pairs = prediction(), views()
    report = LOSS(field, TARGET, pairs, step, virtual_views())
    assert set(report.terms) == {name for name, start in STARTS.items() if step >= start}
    weights = {"tsdf": 3.0, "depth": 5.0, "color": 7.0, "semantic": 11.0, "virtual": 13.0}
    weights |= {"semantic_3d": 17.0, "lifted": 19.0}
    expected = sum(weights.get(name, 2.0) * float(value.detach()) for name, value in report.terms.items())
    assert float(report.total.detach()) == pytest.approx(expected, rel=1e-6)
    assert LOSS.wants_views(step) == (step >= 2)


def test_terms_are_the_functions_of_their_names() -> None:
    field, pairs, virtual = prediction(), views(), virtual_views()
    report = LOSS(field, TARGET, pairs, 10, virtual)
    (view, frame), _ = pairs
    assert TARGET.truth is not None
    assert TARGET.lifted is not None
    level = occupancy_loss(field.occupancy[1], TARGET.observation, TARGET.input, 4.0, 0.1)
    distance = tsdf_loss(field, TARGET.scan, TARGET.observation, 4.0, 0.1, True)
    # Means over two views, the second of which has no measured pixel.
    expected = {
        "occupancy_1": level,
        "tsdf": distance,
        "depth": (depth_loss(view, frame)[0] / 2, 2),
        "color": (color_loss(view, frame, 1.0, lab=False)[0] / 2, 1),
        "semantic": (semantic_loss(view, frame, 1.0)[0] / 2, 1),
        "virtual": (virtual_loss(virtual[0])[0] / 2, 2),
        "semantic_3d": semantic_3d_loss(field, TARGET.truth),
        "lifted": semantic_3d_loss(field, TARGET.lifted),
    }
    for name, (value, count) in expected.items():
        assert float(report.terms[name]) == pytest.approx(float(value.detach()), rel=1e-6), name
        assert report.counts[name] == count, name


def test_terms_without_weight_are_left_out() -> None:
    off = Term(0.0)
    kinds = ("occupancy", "tsdf", "depth", "color", "semantic", "virtual", "semantic_3d", "lifted")
    silent = dataclasses.replace(LOSS, **dict.fromkeys(kinds, off))
    assert not silent.wants_views(10)
    assert not silent.needs_truth
    report = silent(prediction(), TARGET, views(), 10, virtual_views())
    assert report.terms == {}
    assert float(report.total) == 0.0


def test_supervision_by_the_truth() -> None:
    loss, field = dataclasses.replace(LOSS, supervision="truth"), prediction()
    assert loss.needs_truth
    report = loss(field, TARGET, [], 10)
    assert TARGET.truth is not None
    truth, weights = TARGET.truth.field, (4.0, 0.1)
    level = true_occupancy_loss(field.occupancy[1], truth, TARGET.observation, TARGET.input, *weights)
    distance = true_tsdf_loss(field, truth, TARGET.scan, TARGET.observation, weights, logarithmic=True)
    scanned = LOSS(field, TARGET, [], 10)
    for name, (value, count) in {"occupancy_1": level, "tsdf": distance}.items():
        assert float(report.terms[name]) == pytest.approx(float(value.detach()), rel=1e-6), name
        assert report.counts[name] == count, name
        assert float(scanned.terms[name]) != pytest.approx(float(value.detach()), rel=1e-3), name


def test_the_truth_has_to_be_there() -> None:
    untrue = dataclasses.replace(TARGET, truth=None)
    for change in ({"supervision": "truth"}, {"semantic_3d": Term(1.0)}):
        with pytest.raises(ValueError, match=r"target\.truth: expected the true scene, got None"):
            dataclasses.replace(LOSS, **change)(prediction(), untrue, [], 10)


def test_lifted_labels_have_to_be_there() -> None:
    with pytest.raises(ValueError, match=r"target\.lifted: expected the scan with labels, got None"):
        LOSS(prediction(), dataclasses.replace(TARGET, lifted=None), [], 10)


def test_fields_without_color_and_classes_have_no_such_terms() -> None:
    plain = dataclasses.replace(prediction(), semantic_logits=None)
    report = LOSS(plain, TARGET, [(make_view([1.0]), make_frame([1.0], labels=[0]))], 10)
    assert {"color", "semantic", "semantic_3d", "lifted"}.isdisjoint(report.terms)
    assert "depth" in report.terms


def test_no_views_is_no_error() -> None:
    report = LOSS(prediction(), TARGET, [], 10)
    assert set(report.terms) == {"occupancy_16", "occupancy_1", "tsdf", "semantic_3d", "lifted"}


def test_reported_terms_hold_no_graph() -> None:
    field = prediction()
    report = LOSS(field, TARGET, [], 10)
    assert not any(value.requires_grad for value in report.terms.values())
    report.total.backward()
    assert field.tsdf.grad is not None
    assert field.tsdf.grad.any()
