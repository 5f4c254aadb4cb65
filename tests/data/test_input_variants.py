"""Inputs from a random part of the frames: which frames, and what is fused from them."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.data.input_variants import KeepMode, VariantOptions, choose_frames, fuse_variant
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.structures.errors import DataError
from tests.small_scene import shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


def choose(count: int, low: float, high: float, mode: KeepMode, seed: int) -> list[int]:
    names = [str(number) for number in range(count)]
    chosen = choose_frames(names, VariantOptions(1, (low, high), mode), torch.Generator().manual_seed(seed))
    return [int(name) for name in chosen]


def runs_left_out(kept: list[int], count: int) -> int:
    """Number of runs of missing frames, the last one joined to the first."""
    missing = [number not in kept for number in range(count)]
    return sum(one and not other for one, other in itertools.pairwise([*missing, missing[0]]))


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
    st.sampled_from(["random", "block", "mixed"]),
    st.integers(0, 99),
)
def test_a_share_is_kept_in_order(count: int, one: float, other: float, mode: KeepMode, seed: int) -> None:
    low, high = sorted((one, other))
    kept = choose(count, low, high, mode, seed)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(range(count))
    assert max(1, round(low * count)) <= len(kept) <= max(1, round(high * count))
    assert kept == choose(count, low, high, mode, seed)
    if mode == "block":
        assert runs_left_out(kept, count) <= 3


def test_shares_and_ways_vary() -> None:
    drawn = [choose(40, 0.2, 0.6, "mixed", seed) for seed in range(60)]
    sizes = [len(kept) for kept in drawn]
    assert min(sizes) <= 10
    assert max(sizes) >= 22
    runs = [runs_left_out(kept, 40) for kept in drawn]
    # Runs of half, single frames of the other half; one, two and three runs.
    assert 15 < sum(number <= 3 for number in runs) < 45
    assert {1, 2, 3} <= set(runs)


def test_the_scenes_own_input_comes_out_of_its_own_frames(scene: Scene) -> None:
    scan, observation = fuse_variant(scene, scene.frame_names("input"))
    stored, seen = scene.load_scan("input"), scene.load_observation("input")
    assert torch.equal(scan.coordinates, stored.coordinates)
    torch.testing.assert_close(scan.tsdf, stored.tsdf, atol=1e-6, rtol=0)
    assert torch.equal(scan.weight, stored.weight)
    assert scan.color is not None
    assert stored.color is not None
    # Stored in 8 bits.
    assert float((scan.color - stored.color).abs().max()) <= 0.5 / 255 + 1e-6
    assert torch.equal(observation.block_coordinates, seen.block_coordinates)
    assert torch.equal(observation.block_state, seen.block_state)
    assert torch.equal(observation.voxel_state, seen.voxel_state)


def test_a_range_that_is_none_is_refused(scene: Scene) -> None:
    made_by = {**scene.document.made_by, "options": {"depth_max": "far"}}
    broken = Scene(scene.path, scene.document.model_copy(update={"made_by": made_by}))
    with pytest.raises(DataError, match=r"made_by\.options\.depth_max: expected metres > 0, got 'far'"):
        fuse_variant(broken, scene.frame_names("input"))
