"""Scores of fields against a scan and a truth, in cases small enough to count by hand, and by plain loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sparse_s4r.evaluation.reference import Reference
from sparse_s4r.evaluation.voxel_scores import labels_at, labels_of, score_voxels
from sparse_s4r.structures import (
    BLOCK,
    IGNORE_LABEL,
    GridSpec,
    ObservationGrid,
    ScenePrediction,
    SceneTruth,
    SparseTSDF,
    VoxelState,
)

GRID = GridSpec(0.02)
VOXEL = 0.02


def wall(rows: range, color: float = 0.5, shift: int = 0) -> SparseTSDF:
    """A wall at x = 0.01 + shift voxels over ``rows`` of y and z = 0, 1: five voxels deep, distance 0 at x = shift."""
    cells = torch.tensor([[x, y, z] for x in range(shift - 2, shift + 3) for y in rows for z in (0, 1)])
    cells = cells.view(-1, 3).long()
    tsdf = (cells[:, 0] - shift) * VOXEL * 0.999
    return SparseTSDF(GRID, cells, tsdf, torch.ones(len(cells)), torch.full((len(cells), 3), color))


def everything_seen_below(y: int) -> ObservationGrid:
    """Blocks around the wall: free where y is below ``y``, else unknown."""
    blocks = torch.tensor([[x, b, z] for x in (-1, 0) for b in (0, 1) for z in (-1, 0)])
    inside = torch.cartesian_prod(*[torch.arange(BLOCK)] * 3)
    free = blocks[:, None, 1] * BLOCK + inside[:, 1] < y
    state = torch.where(free, int(VoxelState.FREE), int(VoxelState.UNKNOWN)).byte()
    return ObservationGrid(GRID, blocks, torch.full((8,), ObservationGrid.MIXED).byte(), state)


def test_a_wall_by_hand() -> None:
    target, scan = wall(range(0, 10), 0.5), wall(range(0, 4), 0.5)
    # The prediction has rows 0 to 7 and, where no frame looked, 12 and 13.
    shown = wall(range(0, 8), 0.6)
    unseen = wall(range(12, 14), 0.6)
    prediction = ScenePrediction(
        GRID,
        torch.cat([shown.coordinates, unseen.coordinates]),
        torch.cat([shown.tsdf, unseen.tsdf]),
        torch.full((len(shown) + len(unseen), 3), 0.6),
    )
    reference = Reference(target, None, everything_seen_below(12))
    found = score_voxels(prediction, None, reference, scan, 0)
    # A distance of 0.999 voxels is surface: three voxels across the wall, two high.
    assert found.narrow.reference == 10 * 6
    assert (found.narrow.predicted, found.narrow.common) == (8 * 6, 8 * 6)
    assert (found.narrow.missing, found.narrow.recovered) == (6 * 6, 4 * 6)
    assert found.narrow.unjudged == 2 * 6
    assert found.narrow.iou == pytest.approx(0.8)
    assert found.wide.reference == 10 * 10
    assert found.wide.missing_recall == pytest.approx(4 / 6)
    assert found.labels is None
    assert found.color_seen.voxels == 4 * 6
    assert found.color_completed.voxels == 4 * 6
    assert found.color_seen.mean == pytest.approx(0.1, abs=1e-6)


def test_the_truth_judges_everywhere() -> None:
    field = wall(range(0, 10))
    truth = SceneTruth(field, torch.zeros(len(field)).long(), 0.95 * GRID.truncation)
    prediction = ScenePrediction.from_scan(wall(range(0, 15)))
    found = score_voxels(prediction, None, Reference.of_truth(truth), wall(range(0, 4)), 1)
    # Five of fifteen rows lie beyond the wall, and nothing says that this is right.
    assert found.narrow.precision == pytest.approx(10 / 15)
    assert found.narrow.completed_precision == pytest.approx(6 / 11)
    # The first row beyond touches the wall.
    assert found.narrow.completed_precision_near == pytest.approx(7 / 11)
    assert found.narrow.unjudged == 0
    # A truth that holds only voxels on the surface cannot say what is a little beside it.
    partial = Reference.of_truth(replace(truth, band=0.5 * VOXEL))
    scores = score_voxels(prediction, None, partial, wall(range(0, 4)), 1)
    assert math.isnan(scores.narrow.iou)
    assert math.isnan(scores.wide.precision)
    assert scores.narrow.recall == 1.0


def test_shift_by_a_voxel_is_judged_by_threshold() -> None:
    target = wall(range(0, 10))
    prediction = ScenePrediction.from_scan(wall(range(0, 10), shift=1))
    found = score_voxels(prediction, None, Reference(target), wall(range(0, 1)), 0)
    # Layers -1, 0, 1 against 0, 1, 2; and -2 to 2 against -1 to 3.
    assert found.narrow.iou == pytest.approx(2 / 4)
    assert found.wide.iou == pytest.approx(4 / 6)
    assert found.narrow.completed_precision_near == 1.0


def test_labels_and_colour_by_a_loop() -> None:
    rng = np.random.default_rng(0)

    def draw(count: int) -> SparseTSDF:
        cells = torch.from_numpy(np.unique(rng.integers(0, 7, (count, 3)), axis=0))
        tsdf = torch.from_numpy(rng.uniform(-0.057, 0.057, len(cells))).float()
        color = torch.from_numpy(rng.random((len(cells), 3))).float()
        return SparseTSDF(GRID, cells, tsdf, torch.ones(len(cells)), color)

    target, scan, field = draw(250), draw(150), draw(300)
    true = torch.from_numpy(rng.choice([0, 1, 2, IGNORE_LABEL], len(target)))
    guess = torch.from_numpy(rng.choice([0, 1, 2, IGNORE_LABEL], len(field)))
    found = score_voxels(ScenePrediction.from_scan(field), guess, Reference(target, true), scan, 3)
    row = {tuple(cell): number for number, cell in enumerate(field.coordinates.tolist())}
    in_scan = set(map(tuple, scan.coordinates.tolist()))
    counts = np.zeros((3, 4), dtype=int)
    colors: dict[bool, list[float]] = {True: [], False: []}
    assert target.color is not None
    assert field.color is not None
    for number, cell in enumerate(map(tuple, target.coordinates.tolist())):
        if abs(float(target.tsdf[number])) >= VOXEL:
            continue
        label = int(guess[row[cell]]) if cell in row else IGNORE_LABEL
        if int(true[number]) != IGNORE_LABEL:
            counts[int(true[number]), 3 if label == IGNORE_LABEL else label] += 1
        if cell in row:
            colors[cell in in_scan].append(float((field.color[row[cell]] - target.color[number]).abs().mean()))
    assert found.labels is not None
    assert np.array_equal(found.labels.counts.numpy(), counts)
    for error, values in ((found.color_seen, colors[True]), (found.color_completed, colors[False])):
        assert error.voxels == len(values) > 3
        assert error.mean == pytest.approx(np.mean(values), rel=1e-5)
    twice = found + found
    assert twice.color_seen.mean == pytest.approx(found.color_seen.mean)
    assert twice.labels is not None
    assert twice.labels.voxels == 2 * found.labels.voxels


def test_empty_and_perfect() -> None:
    target, scan = wall(range(0, 10)), wall(range(0, 4))
    labels = torch.arange(len(target)) % 3
    perfect = score_voxels(ScenePrediction.from_scan(target), labels, Reference(target, labels), scan, 3)
    assert perfect.labels is not None
    assert (perfect.narrow.iou, perfect.wide.iou, perfect.labels.mean_iou) == (1.0, 1.0, 1.0)
    assert perfect.color_completed.mean == 0
    nothing = ScenePrediction(GRID, torch.zeros(0, 3).long(), torch.zeros(0), torch.zeros(0, 3))
    empty = score_voxels(nothing, torch.zeros(0).long(), Reference(target, labels), scan, 3)
    assert empty.labels is not None
    assert (empty.narrow.iou, empty.narrow.recall, empty.labels.mean_iou) == (0.0, 0.0, 0.0)
    assert math.isnan(empty.color_seen.mean)


def test_labels_of_the_truth_reach_one_voxel() -> None:
    cells = torch.tensor([[0, 0, 0], [2, 0, 0]])
    field = SparseTSDF(GRID, cells, torch.zeros(2), torch.ones(2))
    truth = SceneTruth(field, torch.tensor([4, 7]), 0.01)
    asked = torch.tensor([[0, 0, 0], [3, 1, -1], [-1, 0, 0], [4, 0, 0], [0, 2, 0]])
    assert labels_at(truth, asked).tolist() == [4, 7, 4, IGNORE_LABEL, IGNORE_LABEL]


def test_labels_are_the_largest_logits() -> None:
    prediction = ScenePrediction.from_scan(wall(range(0, 1)))
    assert labels_of(prediction) is None
    logits = torch.zeros(len(prediction), 3)
    logits[:, 2] = 1
    labels = labels_of(replace(prediction, semantic_logits=logits))
    assert labels is not None
    assert labels.tolist() == [2] * len(prediction)


def test_other_grids_are_refused() -> None:
    other = replace(wall(range(0, 2)), grid=GridSpec(0.04))
    with pytest.raises(ValueError, match="grid"):
        score_voxels(ScenePrediction.from_scan(wall(range(0, 2))), None, Reference(other), wall(range(0, 1)), 0)
