"""Differences of distance fields by hand, and against a dense volume filled voxel by voxel."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from sparse_s4r.evaluation.distance_errors import DistanceErrors, distance_errors
from sparse_s4r.evaluation.reference import KnownSpace, Reference
from sparse_s4r.evaluation.surface import ErrorSum
from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, ScenePrediction, SparseTSDF, VoxelState

GRID = GridSpec(0.02)
EDGE = 2 * BLOCK


def field(cells: torch.Tensor, voxels: torch.Tensor) -> SparseTSDF:
    """Distances given in voxels."""
    return SparseTSDF(GRID, cells, voxels.double() * 0.02, torch.ones(len(cells)))


def seen(state: np.ndarray) -> ObservationGrid:
    """A box of 2 x 2 x 2 blocks from the states (16, 16, 16) of its voxels; uniform blocks are stored as such."""
    blocks = torch.cartesian_prod(*[torch.arange(2)] * 3)
    inside = [torch.from_numpy(state[tuple(slice(BLOCK * int(i), BLOCK * int(i) + BLOCK) for i in b)]) for b in blocks]
    flat = torch.stack([block.reshape(-1) for block in inside]).byte()
    uniform = (flat == flat[:, :1]).all(dim=1)
    return ObservationGrid(GRID, blocks, torch.where(uniform, flat[:, 0], ObservationGrid.MIXED), flat[~uniform])


def test_a_row_of_voxels_by_hand() -> None:
    # The scan has distances 2, 1/2, -1/2 at voxels 4 to 6 of a row; the frames saw voxels 0 to 6 and nothing behind.
    # The input has seen voxels 0 to 4.
    state = np.full((EDGE, EDGE, EDGE), int(VoxelState.UNKNOWN))
    state[0:4, 0, 0] = int(VoxelState.FREE)
    target = field(torch.tensor([[4, 0, 0], [5, 0, 0], [6, 0, 0]]), torch.tensor([2.0, 0.5, -0.5]))
    state[4:7, 0, 0] = int(VoxelState.SURFACE)
    before = state.copy()
    before[5:] = int(VoxelState.UNKNOWN)
    scan_seen = KnownSpace(target.coordinates[:1], seen(before))
    # Predicted: something in free space, the first surface voxel, nothing at the second, a surface behind.
    cells = torch.tensor([[3, 0, 0], [5, 0, 0], [8, 0, 0]])
    prediction = ScenePrediction.from_scan(field(cells, torch.tensor([0.9, -0.5, -2.0])))
    found = distance_errors(prediction, Reference(target, None, seen(state)), scan_seen)
    # Known: 3 - 0.9 in free space, 3 - 2 missing in the band, 1 at the surface, 3.5 missing at it; 0 at voxels 0 to 2.
    assert found.entire.total == pytest.approx(2.1 + 1 + 1 + 3.5)
    assert found.entire.voxels == 7
    assert found.entire_everywhere == ErrorSum(pytest.approx(7.6 + 1), 8)
    assert found.unobserved == ErrorSum(pytest.approx(4.5), 2)
    assert found.unobserved_everywhere == ErrorSum(pytest.approx(5.5), 3)
    assert found.predicted == ErrorSum(pytest.approx(3.1), 2)
    assert found.predicted_3 == ErrorSum(pytest.approx(3.1), 2)
    assert found.predicted_everywhere == ErrorSum(pytest.approx(3.1), 2)
    assert found.predicted_3_everywhere == ErrorSum(pytest.approx(4.1), 3)
    assert found.target == ErrorSum(pytest.approx(4.5), 2)
    assert found.target_3 == ErrorSum(pytest.approx(5.5), 3)
    assert found.target_behind == ErrorSum(pytest.approx(1 + 2.5), 2)
    assert found.target_3_behind == ErrorSum(pytest.approx(1 + 2.5 + 5), 3)


def dense_errors(
    target: np.ndarray, found: np.ndarray, known: np.ndarray, observed: np.ndarray
) -> dict[str, tuple[float, int]]:
    """The same from volumes (E, E, E) in voxels, NaN where a field has nothing."""
    has = ~np.isnan(found)
    mine = np.where(has, found, 3.0).clip(-3, 3)
    unknown_value = np.where(mine > 0, 3.0, -3.0)
    theirs = np.where(np.isnan(target), np.where(known, 3.0, unknown_value), target).clip(-3, 3)
    error = np.abs(mine - theirs)
    behind = np.abs(np.where(has, found, -3.0).clip(-3, 3) - theirs)
    domains = {"": known, "_everywhere": known | has}
    result = {}
    for suffix, domain in domains.items():
        result[f"entire{suffix}"] = error[domain]
        result[f"unobserved{suffix}"] = error[domain & ~observed]
        result[f"predicted{suffix}"] = error[domain & has & (np.abs(mine) < 1)]
        result[f"predicted_3{suffix}"] = error[domain & has & (np.abs(mine) < 3)]
    for name, threshold in (("target", 1), ("target_3", 3)):
        near = ~np.isnan(target) & (np.abs(theirs) < threshold)
        result[name], result[f"{name}_behind"] = error[near], behind[near]
    return {name: (float(values.sum()), values.size) for name, values in result.items()}


@pytest.mark.parametrize("seed", range(4))
def test_a_dense_volume_says_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = rng.integers(0, 2, (EDGE, EDGE, EDGE))
    # One block entirely free, one entirely unknown; scans that reach out of the box to voxels 16 to 19.
    state[:BLOCK, :BLOCK, :BLOCK], state[BLOCK:, BLOCK:, BLOCK:] = int(VoxelState.FREE), int(VoxelState.UNKNOWN)
    volume = {}
    states = {}
    for name, share in (("target", 0.1), ("input", 0.05), ("prediction", 0.15)):
        values = np.full((EDGE + 4,) * 3, np.nan)
        chosen = rng.random(values.shape) < share
        values[chosen] = rng.uniform(-3.5, 3.5, int(chosen.sum()))
        volume[name] = values
        own = state if name == "target" else state * rng.integers(0, 2, state.shape)
        states[name] = np.where(chosen[:EDGE, :EDGE, :EDGE], int(VoxelState.SURFACE), own)

    def sparse(name: str) -> SparseTSDF:
        cells = np.argwhere(~np.isnan(volume[name]))
        return field(torch.from_numpy(cells), torch.from_numpy(volume[name][tuple(cells.T)]))

    def seen_of(name: str) -> np.ndarray:
        whole = ~np.isnan(volume[name])
        whole[:EDGE, :EDGE, :EDGE] |= states[name] > 0
        return whole

    known_input = KnownSpace(sparse("input").coordinates, seen(states["input"]))
    reference = Reference(sparse("target"), None, seen(states["target"]))
    found = distance_errors(ScenePrediction.from_scan(sparse("prediction")), reference, known_input)
    wanted = dense_errors(volume["target"], volume["prediction"], seen_of("target"), seen_of("input"))
    assert set(wanted) == {f.name for f in fields(DistanceErrors)}
    for name, (total, voxels) in wanted.items():
        error: ErrorSum = getattr(found, name)
        assert error.voxels == voxels > 0, name
        assert error.total == pytest.approx(total), name
    twice = found + found
    assert twice.entire.mean == pytest.approx(found.entire.mean)


def test_perfect_and_empty() -> None:
    cells = torch.cartesian_prod(torch.arange(4), torch.arange(4), torch.arange(-2, 3))
    target = field(cells, cells[:, 2].double())
    reference = Reference(target, None, seen(np.zeros((EDGE, EDGE, EDGE), dtype=int)))
    perfect = distance_errors(
        ScenePrediction.from_scan(target), reference, KnownSpace(cells[:0], reference.observation)
    )
    assert all(getattr(perfect, f.name).total == 0 for f in fields(DistanceErrors))
    assert (perfect.entire.voxels, perfect.target.voxels, perfect.target_3.voxels) == (80, 16, 80)
    nothing = ScenePrediction(GRID, cells[:0], torch.zeros(0))
    empty = distance_errors(nothing, reference)
    # Distances -2 to 2 against 3, and against -3.
    assert empty.target_3.mean == pytest.approx(3)
    assert empty.target_behind.mean == pytest.approx(3)
    assert empty.entire.mean == pytest.approx(3)
    assert math.isnan(empty.predicted.mean)
    assert math.isnan(empty.unobserved.mean)


def test_the_truth_has_no_volume() -> None:
    cells = torch.tensor([[0, 0, 0], [1, 0, 0]])
    truth = field(cells, torch.tensor([0.5, -0.5]))
    prediction = ScenePrediction.from_scan(field(torch.tensor([[0, 0, 0], [9, 9, 9]]), torch.tensor([0.5, -0.2])))
    found = distance_errors(prediction, Reference(truth, None, None, 0.95 * GRID.truncation))
    # Far from any surface, on whichever side: 3 - 0.2.
    assert found.predicted == found.predicted_everywhere == ErrorSum(pytest.approx(2.8), 2)
    assert found.target == ErrorSum(pytest.approx(3.5), 2)
    assert math.isnan(found.entire.mean)
    # A truth of the voxels on the surface alone cannot say what lies beside them.
    partial = distance_errors(prediction, Reference(truth, None, None, 0.5 * GRID.voxel_size))
    assert partial.target == found.target
    assert math.isnan(partial.predicted.mean)
    with pytest.raises(ValueError, match="grid"):
        distance_errors(replace(prediction, grid=GridSpec(0.04)), Reference(truth))
