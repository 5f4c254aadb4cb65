"""3D terms on a handful of voxels worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sparse_s4r.losses.volume import occupancy_loss, tsdf_loss
from sparse_s4r.structures import LevelOccupancy, VoxelState
from tests.losses.fields import make_prediction, make_scan, observe

FREE, SURFACE = VoxelState.FREE, VoxelState.SURFACE
# Voxels of the target: surface that the input saw, surface that it did not, free space; the rest is unknown.
SEEN, MISSING, EMPTY, UNSEEN = (0, 0, 0), (2, 0, 0), (4, 0, 0), (6, 0, 0)
TARGET = observe({SEEN: SURFACE, MISSING: SURFACE, EMPTY: FREE})
INPUT = make_scan({SEEN: 0.0})


def level(logits: list[float], stride: int = 1) -> LevelOccupancy:
    cells = torch.tensor([SEEN, MISSING, EMPTY, UNSEEN])[: len(logits)] // stride
    return LevelOccupancy(stride, cells, torch.tensor(logits, requires_grad=True))


@pytest.mark.parametrize("stride", [1, 2])
def test_occupancy_by_hand(stride: int) -> None:
    # Odds three to one for surface everywhere: -ln(3/4) where that is right, -ln(1/4) where it is wrong.
    right, wrong = -math.log(3 / 4), -math.log(1 / 4)
    value, count = occupancy_loss(level([math.log(3)] * 4, stride), TARGET, INPUT, 5.0, 0.25)
    assert count == 3
    assert float(value.detach()) == pytest.approx((right + 5 * right + wrong + 0.25 * wrong) / 7.25, rel=1e-6)


def test_unseen_cells_weigh_nothing_when_told() -> None:
    occupancy = level([0.0, 0.0, 0.0, 50.0])
    value, count = occupancy_loss(occupancy, TARGET, INPUT, 1.0, 0.0)
    assert (count, float(value.detach())) == (3, pytest.approx(math.log(2), rel=1e-6))
    value.backward()
    assert occupancy.logits.grad is not None
    # (sigmoid - truth) / 3.
    assert occupancy.logits.grad.tolist() == pytest.approx([-1 / 6, -1 / 6, 1 / 6, 0.0])


def test_occupancy_of_a_perfect_prediction_vanishes() -> None:
    value, _ = occupancy_loss(level([100.0, 100.0, -100.0, -100.0]), TARGET, INPUT, 5.0, 0.05)
    # Not quite 0: ln(1 + e^-100) is a number yet.
    assert float(value.detach()) < 1e-40


def test_a_coarse_cell_with_surface_and_free_space_is_occupied() -> None:
    mixed = observe({(0, 0, 0): FREE, (7, 7, 7): SURFACE})
    occupancy = LevelOccupancy(8, torch.zeros(1, 3, dtype=torch.int64), torch.tensor([math.log(3)]))
    scan = make_scan({(7, 7, 7): 0.0})
    assert float(occupancy_loss(occupancy, mixed, scan, 5.0, 0.0)[0]) == pytest.approx(-math.log(3 / 4), rel=1e-6)


def test_occupancy_without_cells_is_zero_with_zero_gradient() -> None:
    for occupancy in (level([]), LevelOccupancy(1, torch.tensor([UNSEEN]), torch.tensor([3.0], requires_grad=True))):
        value, count = occupancy_loss(occupancy, TARGET, INPUT, 5.0, 0.0)
        assert (float(value.detach()), count) == (0.0, 0)
        value.backward()
        assert occupancy.logits.grad is not None
        assert not occupancy.logits.grad.any()


def test_distance_by_hand() -> None:
    # Voxels of 0.5 m, truncation 1.5 m: off by 1 voxel, by 2 with weight 5, by 1 from +3, by 5 from -3 with 0.5.
    prediction = make_prediction({SEEN: 0.5, MISSING: -1.0, EMPTY: 1.0, UNSEEN: 1.0}, [True, False, False, False])
    target = make_scan({SEEN: 0.0, MISSING: 0.0})
    value, count = tsdf_loss(prediction, target, TARGET, 5.0, 0.5, logarithmic=False)
    assert count == 3
    assert float(value.detach()) == pytest.approx((1 + 5 * 2 + 1 + 0.5 * 5) / 7.5)
    value.backward()
    assert prediction.tsdf.grad is not None
    # Per metre: weight / 7.5 / 0.5 m, pointing from the truth.
    assert prediction.tsdf.grad.tolist() == pytest.approx([2 / 7.5, -10 / 7.5, -2 / 7.5, 1 / 7.5])


def test_distance_in_logarithms() -> None:
    prediction = make_prediction({SEEN: 0.5, MISSING: -1.0})
    value, _ = tsdf_loss(prediction, make_scan({SEEN: 0.0, MISSING: 0.0}), TARGET, 5.0, 0.0, logarithmic=True)
    # Who does not know what was observed gives no voxel more weight.
    assert float(value.detach()) == pytest.approx((math.log(2) + math.log(3)) / 2, rel=1e-6)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_distance_vanishes_at_the_target(logarithmic: bool) -> None:
    prediction = make_prediction({SEEN: 0.3, MISSING: -0.7, EMPTY: 1.5, UNSEEN: -9.0}, [True, False, False, False])
    value, _ = tsdf_loss(prediction, make_scan({SEEN: 0.3, MISSING: -0.7}), TARGET, 5.0, 0.0, logarithmic)
    assert float(value.detach()) == 0.0


def test_values_beyond_the_truncation_find_their_way_back() -> None:
    prediction = make_prediction({SEEN: 5.0})
    value, _ = tsdf_loss(prediction, make_scan({SEEN: 0.0}), TARGET, 5.0, 0.0, logarithmic=False)
    # Three voxels, and a hundredth of the seven beyond.
    assert float(value.detach()) == pytest.approx(3.07)
    value.backward()
    assert prediction.tsdf.grad is not None
    assert float(prediction.tsdf.grad) == pytest.approx(0.02)


def test_distance_without_voxels_is_zero_with_zero_gradient() -> None:
    for prediction in (make_prediction({UNSEEN: 1.0}), make_prediction({})):
        value, count = tsdf_loss(prediction, make_scan({SEEN: 0.0}), TARGET, 5.0, 0.0, logarithmic=True)
        assert (float(value.detach()), count) == (0.0, 0)
        value.backward()
        assert prediction.tsdf.grad is not None
        assert not prediction.tsdf.grad.any()
