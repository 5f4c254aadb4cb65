"""Counts of surface voxels against Python sets and hand cases."""

import math

import numpy as np
import pytest
import torch

from sparse_s4r.evaluation.surface import SurfaceScores, surface_scores

Cell = tuple[int, int, int]


def as_tensor(cells: set[Cell]) -> torch.Tensor:
    return torch.tensor(sorted(cells)).view(-1, 3).long()


def by_sets(predicted: set[Cell], reference: set[Cell], scan: set[Cell], judged: set[Cell]) -> SurfaceScores:
    known = {cell for cell in predicted if cell in judged or cell in reference}
    completed = known - scan
    steps = [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]
    near = {c for c in completed if any((c[0] + x, c[1] + y, c[2] + z) in reference for x, y, z in steps)}
    return SurfaceScores(
        reference=len(reference),
        predicted=len(known),
        common=len(predicted & reference),
        missing=len(reference - scan),
        recovered=len((reference - scan) & predicted),
        completed=len(completed),
        correct=len(completed & reference),
        near=len(near),
        unjudged=len(predicted - known - scan),
    )


def draw(rng: np.random.Generator, count: int) -> set[Cell]:
    return {(int(x), int(y), int(z)) for x, y, z in rng.integers(-5, 5, (count, 3))}


@pytest.mark.parametrize("seed", range(4))
def test_counts_agree_with_sets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, reference, scan, judged = (draw(rng, count) for count in (200, 150, 100, 400))
    mask = torch.tensor([cell in judged for cell in sorted(predicted)])
    found = surface_scores(as_tensor(predicted), as_tensor(reference), as_tensor(scan), mask)
    assert found == by_sets(predicted, reference, scan, judged)
    everywhere = surface_scores(as_tensor(predicted), as_tensor(reference), as_tensor(scan))
    assert everywhere == by_sets(predicted, reference, scan, predicted)


def test_figures_by_hand() -> None:
    reference = {(0, 0, z) for z in range(10)}
    predicted = {(0, 0, z) for z in range(4, 10)} | {(0, 1, 9), (0, 5, 5)}
    scan = {(0, 0, z) for z in range(6)}
    found = surface_scores(as_tensor(predicted), as_tensor(reference), as_tensor(scan))
    assert found.iou == pytest.approx(6 / 12)
    assert found.recall == pytest.approx(6 / 10)
    assert found.precision == pytest.approx(6 / 8)
    # Of the four voxels that the input lacks all are found; of six outside of it four are right, five nearly.
    assert found.missing_recall == 1.0
    assert found.completed_precision == pytest.approx(4 / 6)
    assert found.completed_precision_near == pytest.approx(5 / 6)


def test_perfect_and_empty() -> None:
    reference, scan = {(0, 0, z) for z in range(10)}, {(0, 0, 0)}
    perfect = surface_scores(as_tensor(reference), as_tensor(reference), as_tensor(scan))
    assert (perfect.iou, perfect.recall, perfect.precision) == (1.0, 1.0, 1.0)
    assert (perfect.missing_recall, perfect.completed_precision) == (1.0, 1.0)
    nothing = surface_scores(as_tensor(set()), as_tensor(reference), as_tensor(scan))
    assert (nothing.iou, nothing.recall, nothing.missing_recall) == (0.0, 0.0, 0.0)
    assert math.isnan(nothing.precision)
    assert math.isnan(nothing.completed_precision)
    # The input itself completes nothing, and that has no precision.
    same = surface_scores(as_tensor(scan), as_tensor(reference), as_tensor(scan))
    assert same.completed == 0
    assert same.precision == 1.0


def test_counts_add_up_over_scenes() -> None:
    rng = np.random.default_rng(9)
    parts = []
    for _ in range(2):
        predicted, reference, scan = (as_tensor(draw(rng, count)) for count in (90, 80, 40))
        parts.append((predicted, reference, scan))
    added = surface_scores(*parts[0]) + surface_scores(*parts[1])
    # Far apart they are one scene.
    shifted = [torch.cat([first, second + 1000]) for first, second in zip(*parts, strict=True)]
    assert added == surface_scores(*shifted)


def test_what_an_incomplete_reference_cannot_say() -> None:
    cells = as_tensor({(0, 0, 0), (0, 0, 1)})
    found = surface_scores(cells, cells[:1], cells[:0], complete=False)
    assert math.isnan(found.iou)
    assert math.isnan(found.precision)
    assert math.isnan(found.completed_precision)
    assert found.recall == 1.0
    assert found.completed_precision_near == 1.0
    assert not (found + surface_scores(cells, cells, cells)).complete
