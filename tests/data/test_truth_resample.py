"""Truths on other grids, against an analytic room, a plain loop and voxels that must agree to the last bit."""

import math

import numpy as np
import pytest
import torch

from sparse_s4r.data.truth_resample import resample_truth
from sparse_s4r.structures import IGNORE_LABEL, GridSpec, SceneTruth, SparseTSDF

VOXEL = 0.05
GRID = GridSpec(VOXEL)
BAND = 0.95 * GRID.truncation
LOWER, UPPER = np.array([-0.6, -0.5, 0.0]), np.array([0.7, 0.6, 0.8])


def room_distance(points: np.ndarray) -> np.ndarray:
    """Euclidean distance (P,) to the walls of a box room, positive inside, from the distance to a box."""
    middle, half = (LOWER + UPPER) / 2, (UPPER - LOWER) / 2
    q = np.abs(points - middle) - half
    return -(np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0))


def nearest_wall(points: np.ndarray) -> np.ndarray:
    """0 to 5, which of the six walls is nearest to points inside or just outside."""
    gaps = np.concatenate([np.abs(points - LOWER), np.abs(points - UPPER)], axis=1)
    return gaps.argmin(axis=1)


def room_truth(grid: GridSpec, motion: torch.Tensor | None = None) -> SceneTruth:
    """All voxels of the band, by looking at every voxel of a box."""
    inverse = torch.linalg.inv(torch.eye(4, dtype=torch.float64) if motion is None else motion)
    cells = torch.cartesian_prod(*[torch.arange(-28, 28)] * 3)
    points = grid.centers(cells, dtype=torch.float64) @ inverse[:3, :3].T + inverse[:3, 3]
    distance = torch.from_numpy(room_distance(points.numpy()))
    keep = distance.abs() < 0.95 * grid.truncation
    wall = torch.from_numpy(nearest_wall(points[keep].numpy()))
    field = SparseTSDF(
        grid, cells[keep], distance[keep].float(), torch.ones(int(keep.sum())), wall[:, None] / torch.ones(1, 3) / 5
    )
    return SceneTruth(field, wall, 0.95 * grid.truncation)


def motion_of(degrees: float, shift: tuple[float, float, float]) -> torch.Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, 0, shift[0]], [s, c, 0, shift[1]], [0, 0, 1, shift[2]], [0, 0, 0, 1]]).double()


def as_dict(truth: SceneTruth) -> dict[tuple[int, ...], tuple[float, int]]:
    rows = zip(truth.field.coordinates.tolist(), truth.field.tsdf.tolist(), truth.labels.tolist(), strict=True)
    return {tuple(cell): (distance, label) for cell, distance, label in rows}


def test_shift_by_whole_voxels_is_exact() -> None:
    truth = room_truth(GRID)
    origin = (-32 * VOXEL, 16 * VOXEL, 48 * VOXEL)
    moved = resample_truth(truth, GridSpec(VOXEL, origin), motion_of(0, (3 * VOXEL, 0, -7 * VOXEL)))
    back = as_dict(truth)
    assert len(moved) == len(truth)
    for (x, y, z), value in as_dict(moved).items():
        # Voxel i of the truth has its centre at (i + 0.5) VOXEL, and lies 3 and -7 voxels further in the scene.
        assert back[x - 32 - 3, y + 16, z + 48 + 7] == value
    assert moved.band == truth.band
    assert torch.equal(moved.field.coordinates, torch.unique(moved.field.coordinates, dim=0))


def test_right_angle_is_exact() -> None:
    truth = room_truth(GRID)
    quarter = motion_of(90, (0, 0, 0))
    quarter[:2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    back = as_dict(truth)
    turned = as_dict(resample_truth(truth, GRID, quarter))
    assert len(turned) == len(back)
    # x' = -y: the voxel from (i) VOXEL to (i + 1) VOXEL goes to the one from -(i + 1) to -i.
    assert all(back[y, -1 - x, z] == value for (x, y, z), value in turned.items())


@pytest.mark.parametrize(
    "motion", [motion_of(33, (0.013, -0.21, 0.017)), motion_of(0, (0.4 * VOXEL, 0, 0.5 * VOXEL))], ids=["turn", "shift"]
)
def test_other_places_agree_with_the_analytic_room(motion: torch.Tensor) -> None:
    found = resample_truth(room_truth(GRID), GRID, motion)
    wanted = room_truth(GRID, motion)
    expected, result = as_dict(wanted), as_dict(found)
    # At the rim either may count a voxel that the other does not; none that is nearer than that is missing.
    missing = [cell for cell, (distance, _) in expected.items() if cell not in result and abs(distance) < BAND - 0.003]
    assert len(missing) < 0.001 * len(expected)
    assert len(set(result) - set(expected)) < 0.02 * len(expected)
    both = [(result[cell], expected[cell]) for cell in result if cell in expected]
    error = np.array([abs(a[0] - b[0]) for a, b in both])
    # A distance to flat walls is linear: exact away from the edges of the room, and off by a part of a voxel there.
    assert error.max() < 0.6 * VOXEL
    cells = torch.tensor([cell for cell in result if cell in expected])
    points = (GRID.centers(cells, dtype=torch.float64) - motion[:3, 3]) @ motion[:3, :3]
    gaps = np.sort(np.minimum(np.abs(points.numpy() - LOWER), np.abs(points.numpy() - UPPER)), axis=1)
    flat = gaps[:, 1] > 5 * VOXEL
    assert flat.sum() > 2000
    assert error[flat].max() < 1e-6
    same = np.array([a[1] == b[1] for a, b in both])
    assert same[flat].all()
    assert same.mean() > 0.85
    assert torch.equal(found.field.color[:, 0] if found.field.color is not None else torch.empty(0), found.labels / 5)


def test_nearest_label_by_a_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    cells = torch.cartesian_prod(*[torch.arange(-4, 5)] * 3)
    cells = cells[torch.rand(len(cells), generator=generator) < 0.7]
    field = SparseTSDF(
        GRID, cells, torch.zeros(len(cells)), torch.ones(len(cells)), torch.rand(len(cells), 3, generator=generator)
    )
    labels = torch.randint(0, 9, (len(cells),), generator=generator)
    # Half a voxel: only voxels that hold the surface are known, and none is added beside them.
    motion = motion_of(25, (0.01, 0.02, 0.03))
    result = as_dict(resample_truth(SceneTruth(field, labels, 0.5 * VOXEL), GRID, motion))
    known = {tuple(cell): int(label) for cell, label in zip(cells.tolist(), labels.tolist(), strict=True)}
    inverse = torch.linalg.inv(motion).numpy()
    for cell in np.ndindex(24, 24, 24):
        center = (np.array(cell) - 12 + 0.5) * VOXEL
        holder = tuple(np.floor((inverse[:3, :3] @ center + inverse[:3, 3]) / VOXEL).astype(int).tolist())
        place = tuple(int(value) - 12 for value in cell)
        assert (place in result) == (holder in known)
        assert holder not in known or result[place] == (0.0, known[holder])


def test_larger_voxels_pick_from_smaller() -> None:
    fine = room_truth(GRID)
    coarse = GridSpec(0.1)
    found = as_dict(resample_truth(fine, coarse, torch.eye(4)))
    # Centres of 10 cm voxels are corners of 5 cm ones, so eight neighbours are averaged; the band stays that of 5 cm.
    cells = np.array(list(found))
    exact = room_distance((cells + 0.5) * 0.1)
    values = np.array([value for value, _ in found.values()])
    assert np.abs(values - exact).max() < 0.6 * VOXEL
    assert np.median(np.abs(values - exact)) < 1e-6
    assert np.abs(values).max() < BAND
    box = torch.cartesian_prod(*[torch.arange(-12, 12)] * 3).numpy()
    inside = np.abs(room_distance((box + 0.5) * 0.1)) < BAND - 0.01
    assert set(map(tuple, box[inside].tolist())) <= set(found)


def test_nothing_known_gives_nothing() -> None:
    empty = SparseTSDF(GRID, torch.zeros(0, 3).long(), torch.zeros(0), torch.zeros(0), torch.zeros(0, 3))
    result = resample_truth(SceneTruth(empty, torch.zeros(0).long(), BAND), GRID, motion_of(10, (0, 0, 0)))
    assert len(result) == 0


def test_a_truth_states_its_band_and_labels() -> None:
    field = room_truth(GRID).field
    with pytest.raises(ValueError, match="band"):
        SceneTruth(field, torch.full((len(field),), IGNORE_LABEL), 0.0)
    with pytest.raises(ValueError, match="labels"):
        SceneTruth(field, torch.zeros(3).long(), BAND)
