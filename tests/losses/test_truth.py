"""Terms against the true scene, on a handful of voxels worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sparse_s4r.losses.truth import semantic_3d_loss, true_occupancy_loss, true_tsdf_loss
from sparse_s4r.structures import IGNORE_LABEL, LevelOccupancy, SceneTruth, VoxelState
from tests.losses.fields import Voxel, make_prediction, make_scan, observe

FREE, SURFACE = VoxelState.FREE, VoxelState.SURFACE
# True surface that the input saw, that the other frames saw, and that no frame saw; a scanned voxel in front of the
# surface and one behind it that are noise; free space; and space that no frame saw.
SEEN, MISSING, HIDDEN, BEFORE, BEHIND, EMPTY, UNSEEN = ((x, 0, 0) for x in range(7))
OBSERVED = observe({SEEN: SURFACE, MISSING: SURFACE, BEFORE: SURFACE, BEHIND: SURFACE, EMPTY: FREE})
INPUT = make_scan({SEEN: 0.0})
TARGET = make_scan({SEEN: 0.0, MISSING: 0.0, BEFORE: 1.2, BEHIND: -0.1})
TRUTH = make_scan({SEEN: 0.5, MISSING: -0.5, HIDDEN: 0.0})
CANDIDATES: tuple[Voxel, ...] = (SEEN, MISSING, HIDDEN, BEFORE, BEHIND, EMPTY, UNSEEN)


def test_occupancy_by_hand() -> None:
    # Odds three to one for surface everywhere: -ln(3/4) where that is right, -ln(1/4) where it is wrong.
    right, wrong = -math.log(3 / 4), -math.log(1 / 4)
    level = LevelOccupancy(1, torch.tensor(CANDIDATES), torch.full((7,), math.log(3), requires_grad=True))
    value, count = true_occupancy_loss(level, TRUTH, OBSERVED, INPUT, 5.0, 0.25)
    assert count == 6
    expected = (right + 2 * 5 * right + 3 * wrong + 0.25 * wrong) / (1 + 10 + 3 + 0.25)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)


def test_coarse_cells_are_occupied_where_the_truth_has_a_voxel() -> None:
    cells = torch.tensor([[0, 0, 0], [1, 0, 0], [3, 0, 0]])
    level = LevelOccupancy(2, cells, torch.tensor([100.0, 100.0, -100.0]))
    # Cells of voxels 0-1, of 2-3 (surface that no frame saw), and of 6-7, unseen.
    value, count = true_occupancy_loss(level, TRUTH, OBSERVED, INPUT, 5.0, 0.25)
    assert (float(value), count) == (pytest.approx(0, abs=1e-30), 2)


def test_distance_by_hand() -> None:
    # Voxels of 0.5 m, truncation 3 voxels; everything is predicted to be on the surface.
    prediction = make_prediction(dict.fromkeys(CANDIDATES, 0.0), [True] + [False] * 6)
    value, count = true_tsdf_loss(prediction, TRUTH, TARGET, OBSERVED, (5.0, 0.25), logarithmic=False)
    assert count == 6
    # Off by 1 voxel; by 1 and 0 with weight 5; by 3 before, behind and in free space; by 3 with a quarter.
    expected = (1 + 5 * 1 + 5 * 0 + 3 * 3 + 0.25 * 3) / (1 + 10 + 3 + 0.25)
    assert float(value.detach()) == pytest.approx(expected)
    value.backward()
    assert prediction.tsdf.grad is not None
    # Up to +0.5, down to -0.5, at 0 already, up before the surface, down behind it, up in the open, down beyond.
    assert prediction.tsdf.grad.sign().tolist() == [-1, 1, 0, -1, 1, -1, 1]


def test_distance_vanishes_at_the_truth() -> None:
    values = dict(zip(CANDIDATES, [0.5, -0.5, 0.0, 1.5, -1.5, 1.5, -1.5], strict=True))
    value, _ = true_tsdf_loss(make_prediction(values), TRUTH, TARGET, OBSERVED, (5.0, 0.25), logarithmic=True)
    assert float(value.detach()) == 0.0


def test_semantics_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [9.0, 0.0], [9.0, 0.0]], requires_grad=True)
    field = make_prediction({SEEN: 0.0, MISSING: 0.0, HIDDEN: 0.0, EMPTY: 0.0})
    # The third voxel has no true label, the last is none of the truth.
    truth = SceneTruth(TRUTH, torch.tensor([0, 1, IGNORE_LABEL]), 1.5)
    value, count = semantic_3d_loss(replace(field, semantic_logits=logits), truth)
    assert count == 2
    assert float(value.detach()) == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)
    value.backward()
    assert logits.grad is not None
    assert logits.grad.any(dim=1).tolist() == [True, True, False, False]
    assert field.tsdf.grad is None


def test_semantics_without_true_voxels_are_zero_with_zero_gradient() -> None:
    logits = torch.rand(1, 2, requires_grad=True)
    value, count = semantic_3d_loss(
        replace(make_prediction({EMPTY: 0.0}), semantic_logits=logits), SceneTruth(TRUTH, torch.tensor([0, 1, 0]), 1.5)
    )
    assert (float(value.detach()), count) == (0.0, 0)
    value.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_semantics_ask_for_logits() -> None:
    with pytest.raises(ValueError, match="expected logits, got None"):
        semantic_3d_loss(make_prediction({SEEN: 0.0}), SceneTruth(TRUTH, torch.tensor([0, 1, 0]), 1.5))
