"""Changed samples: moved and recoloured as a whole."""

from __future__ import annotations

import pytest
import torch

from sparse_s4r.build import build_dataset
from sparse_s4r.config import load_config
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.scene_dataset import SceneDataset
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.structures import CELL, SampleMotion
from tests.small_scene import shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


def make_dataset(scenes: list[Scene], *settings: str) -> SceneDataset:
    return build_dataset(load_config(None, ["data.image_width=24", "data.holes=0", *settings]), scenes)


@pytest.mark.parametrize("crop", ["null", "3"])
def test_moved_samples_are_those_of_the_moved_scene(scene: Scene, crop: str) -> None:
    dataset = make_dataset(
        [scene],
        f"data.crop={crop}",
        "data.augment.rotate=true",
        "data.augment.mirror=true",
        "data.augment.shift=true",
        "data.views=2",
    )
    whole = scene.load_scan("input")
    seen = set()
    for step in range(8):
        sample = dataset.sample(step)
        motion = sample.motion or SampleMotion()
        seen.add((motion.turns, motion.mirror, motion.shift))
        assert all(0 <= step < CELL for step in motion.shift)
        moved = motion.scan(whole)
        if sample.box is not None:
            lower, upper = sample.box
            assert bool((torch.cat([lower, upper]) % CELL == 0).all())
            moved = moved.select(((moved.coordinates >= lower) & (moved.coordinates < upper)).all(dim=1))
        assert torch.equal(sample.input.coordinates, moved.coordinates)
        assert torch.equal(sample.input.tsdf, moved.tsdf)
        expected = ObservationPyramid(motion.observation(scene.load_observation("target")))
        got = ObservationPyramid(sample.target_observation)
        for stride in (1, 8, CELL):
            cells = torch.div(sample.target.coordinates, stride, rounding_mode="floor")
            assert torch.equal(got.bits(cells, stride), expected.bits(cells, stride))
        for frame in sample.frames:
            # What the moved camera measured lies in the moved scan.
            points = frame.camera.unproject(frame.depth.double())[frame.depth > 0]
            rows = VoxelHash(sample.target.coordinates).rows(sample.target.grid.indices(points))
            assert float((rows >= 0).double().mean()) > 0.9
    assert len(seen) == 8
    assert {True, False} <= {mirror for _, mirror, _ in seen}


def test_colors_change_alike(scene: Scene) -> None:
    plain, changed = make_dataset([scene]).sample(3), make_dataset([scene], "data.augment.color=0.3").sample(3)
    assert changed.motion is None
    assert plain.target.color is not None
    assert changed.target.color is not None
    assert float((plain.target.color - changed.target.color).abs().mean()) > 0.01
    assert torch.equal(plain.frames[0].depth, changed.frames[0].depth)
    # A grey of the scan and the same grey in a picture stay the same grey: colours are looked up by value.
    before = torch.cat([plain.target.color, plain.frames[0].color.reshape(-1, 3)])
    after = torch.cat([changed.target.color, changed.frames[0].color.reshape(-1, 3)])
    for channel in range(3):
        order = torch.argsort(before[:, channel])
        assert bool((after[order, channel].diff() >= -1e-6).all())
