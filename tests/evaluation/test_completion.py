"""Completion scores on a handful of voxels."""

from __future__ import annotations

import math

import torch

from sparse_s4r.evaluation.completion import completion_scores, true_precision
from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, ScenePrediction, SparseTSDF, VoxelState
from tests.losses.fields import GRID, Voxel, make_prediction, make_scan

# Voxels of 0.5 m: surface within less than that.
SEEN, MISSING, SECOND, BEHIND = (0, 0, 0), (2, 0, 0), (3, 0, 0), (2, 0, 1)
TARGET = make_scan({SEEN: 0.1, MISSING: -0.2, SECOND: 0.0, BEHIND: 0.6})
SCAN = make_scan({SEEN: 0.1})


def observation(*free: Voxel) -> ObservationGrid:
    block = torch.zeros(BLOCK, BLOCK, BLOCK, dtype=torch.uint8)
    for voxel in (SEEN, MISSING, SECOND, BEHIND):
        block[voxel] = int(VoxelState.SURFACE)
    for voxel in free:
        block[voxel] = int(VoxelState.FREE)
    state = torch.tensor([ObservationGrid.MIXED], dtype=torch.uint8)
    return ObservationGrid(GRID, torch.zeros(1, 3, dtype=torch.int64), state, block.view(1, -1))


def test_a_perfect_prediction() -> None:
    prediction = make_prediction({SEEN: 0.1, MISSING: -0.2, SECOND: 0.0, BEHIND: 0.6})
    scores = completion_scores(prediction, SCAN, TARGET, observation())
    assert (scores.missing, scores.recovered, scores.recall) == (2, 2, 1.0)
    assert (scores.completed, scores.correct, scores.precision) == (2, 2, 1.0)


def test_no_prediction() -> None:
    scores = completion_scores(make_prediction({}), SCAN, TARGET, observation())
    assert (scores.missing, scores.recovered, scores.recall) == (2, 0, 0.0)
    assert (scores.completed, scores.correct) == (0, 0)
    assert math.isnan(scores.precision)


def test_the_input_as_prediction_completes_nothing() -> None:
    scores = completion_scores(make_prediction({SEEN: 0.1}), SCAN, TARGET, observation())
    assert (scores.recovered, scores.completed) == (0, 0)


def test_nothing_missing() -> None:
    scores = completion_scores(make_prediction({SEEN: 0.0}), TARGET, TARGET, observation())
    assert scores.missing == 0
    assert math.isnan(scores.recall)


def test_what_is_near_what_is_wrong_and_what_nobody_saw() -> None:
    near, wrong, unseen = (4, 1, 1), (7, 7, 7), (6, 0, 0)
    # SECOND is predicted, but not as surface.
    prediction = make_prediction({MISSING: 0.3, SECOND: 0.7, near: 0.0, wrong: 0.0, unseen: 0.0})
    scores = completion_scores(prediction, SCAN, TARGET, observation(near, wrong))
    assert (scores.missing, scores.recovered, scores.recall) == (2, 1, 0.5)
    # MISSING and the voxel next to SECOND are right, the far one is not, and the unseen one is not judged.
    assert (scores.completed, scores.correct, scores.precision) == (3, 2, 2 / 3)


def test_true_precision_judges_all_completed_surface_by_the_known_truth() -> None:
    grid = GridSpec(0.1)
    cells = torch.tensor([[0, 0, 0], [5, 0, 0], [9, 0, 0], [7, 0, 0]])
    prediction = ScenePrediction(grid, cells, torch.tensor([0.0, 0.05, -0.05, 0.2]))
    scan = SparseTSDF(grid, cells[:1], torch.zeros(1), torch.ones(1))

    def distance(points: torch.Tensor) -> torch.Tensor:
        return (points[:, 0] - 0.5).abs()

    # Of the two completed surface voxels at x = 0.55 and 0.95 one is within 0.2 m of the plane x = 0.5.
    assert true_precision(prediction, scan, distance) == 0.5
    assert math.isnan(true_precision(prediction.select(torch.tensor([0])), scan, distance))
