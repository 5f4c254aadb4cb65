"""Which cells the network works on, against loops over cells."""

from __future__ import annotations

import itertools

import torch

from sparse_s4r.models.sites import SceneInput, possible, reachable_cells, within_budget
from sparse_s4r.structures import SparseTSDF
from tests.models.scenes import GRID, make_room, row_set


def scan_of(coordinates: list[list[int]]) -> SparseTSDF:
    count = len(coordinates)
    return SparseTSDF(GRID, torch.tensor(coordinates), torch.zeros(count), torch.ones(count))


def test_reachable_cells_are_the_cubes_around_the_scans() -> None:
    scan = scan_of([[0, 0, 0], [-1, 40, 15]])
    for reach in (0, 1, 2):
        steps = range(-reach, reach + 1)
        expected = {
            (x + a, y + b, z + c)
            for x, y, z in [(0, 0, 0), (-1, 2, 0)]
            for a, b, c in itertools.product(steps, steps, steps)
        }
        cells = reachable_cells(scan, 16, reach)
        assert row_set(cells) == expected
        assert len(cells) == len(expected)


def test_cells_beyond_the_box_or_seen_to_be_free_are_not_possible() -> None:
    scene = make_room().scene(free=True)
    boxed = SceneInput(scene.scan, scene.free, None, (torch.tensor([0, 0, 16]), torch.tensor([16, 32, 32])))
    assert scene.free is not None
    axis = torch.arange(-1, 5)
    cells = torch.cartesian_prod(axis, axis, axis)
    seen = scene.free.entirely_free(cells, 8)
    assert 0 < int(seen.sum()) < len(cells)
    assert torch.equal(possible(scene, cells, 8), ~seen)
    inside = torch.tensor([0 <= x < 2 and 0 <= y < 4 and 2 <= z < 4 for x, y, z in cells.tolist()])
    assert torch.equal(possible(boxed, cells, 8), ~seen & inside)
    assert bool(possible(SceneInput(scene.scan), cells, 8).all())


def test_the_budget_keeps_the_highest() -> None:
    logits = torch.tensor([0.1, 5.0, 3.0, 4.0, -1.0])
    keep = torch.tensor([True, False, True, True, True])
    assert within_budget(logits, keep, 4) is keep
    assert within_budget(logits, keep, 2).tolist() == [False, False, True, True, False]
    assert within_budget(logits, keep, 0).tolist() == [False] * 5


def test_free_space_in_a_hole_counts_as_unseen() -> None:
    scene = make_room().scene(free=True)
    assert scene.free is not None
    axis = torch.arange(-1, 6)
    lower, upper = torch.tensor([3, 8, 9]), torch.tensor([17, 30, 25])
    hidden = SceneInput(scene.scan, scene.free, None, None, ((lower, upper),))
    for stride in (4, 8, 16):
        cells = torch.cartesian_prod(axis, axis, axis)
        # A cell meets the hole if one of its voxels lies in it, voxel by voxel along each axis.
        expected = [
            not free
            or all(
                any(low <= voxel < high for voxel in range(cell * stride, (cell + 1) * stride))
                for cell, low, high in zip(row, lower.tolist(), upper.tolist(), strict=True)
            )
            for row, free in zip(cells.tolist(), scene.free.entirely_free(cells, stride).tolist(), strict=True)
        ]
        assert possible(hidden, cells, stride).tolist() == expected
    assert int(possible(hidden, cells, 8).sum()) > int(possible(scene, cells, 8).sum())
