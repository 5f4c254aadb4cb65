"""A scene laid out several times is, at every copy, the scene."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_s4r.data.scene import open_scene
from sparse_s4r.data.scene_dataset import SamplingOptions, SceneDataset
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.render import select_views
from sparse_s4r.structures import CELL
from tests.small_scene import shared_scene
from tools.bench_rooms import tile_observation, tile_sample, tile_scan, tile_step


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


def test_every_copy_holds_the_scan_and_its_observation(folder: Path) -> None:
    scene = open_scene(folder)
    scan, observation = scene.load_scan("input"), scene.load_observation("input")
    step = tile_step(observation)
    assert all(length % CELL == 0 for length in step)
    tiled, seen = tile_scan(scan, 2, step), tile_observation(observation, 2, step)
    assert len(tiled) == 4 * len(scan)
    rows = tiled.coordinates.tolist()
    assert rows == sorted(rows)
    assert seen.block_coordinates.tolist() == sorted(seen.block_coordinates.tolist())
    assert len(torch.unique(seen.block_coordinates, dim=0)) == 4 * len(observation.block_coordinates)
    whole, copies = ObservationPyramid(observation), ObservationPyramid(seen)
    lower, upper = scan.coordinates.amin(0) - 3, scan.coordinates.amax(0) + 3
    cells = lower + (torch.rand(2000, 3) * (upper - lower)).long()
    for x in (0, step[0]):
        for y in (0, step[1]):
            shift = torch.tensor([x, y, 0])
            inside = ((tiled.coordinates >= lower + shift) & (tiled.coordinates <= upper + shift)).all(dim=1)
            assert torch.equal(tiled.coordinates[inside] - shift, scan.coordinates)
            assert torch.equal(tiled.tsdf[inside], scan.tsdf)
            assert torch.equal(copies.states(cells + shift), whole.states(cells))


def test_a_sample_is_laid_out_with_its_holes(folder: Path) -> None:
    options = SamplingOptions(24, 1, None, 2, 0.8, 5, 0.05, 0)
    sample = SceneDataset([open_scene(folder)], options, select_views).sample(0)
    tiled = tile_sample(sample, 3)
    assert len(tiled.input) == 9 * len(sample.input)
    assert len(tiled.target) == 9 * len(sample.target)
    assert len(tiled.holes) == 9 * 2
    step = tile_step(sample.target_observation)
    lower, upper = tiled.holes[-1]
    assert torch.equal(lower, sample.holes[-1][0] + torch.tensor([2 * step[0], 2 * step[1], 0]))
    # A hole is empty in its copy, too; its box reaches three voxels beyond.
    margin = 3
    cut = (tiled.input.coordinates >= lower + margin) & (tiled.input.coordinates < upper - margin)
    assert not bool(cut.all(dim=1).any())
    assert tiled.frames is sample.frames
