"""Which views may look at a box: a bound of their overlap, found without looking at them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_s4r.data.crops import crop_scan
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.view_samples import ViewSamples
from sparse_s4r.render import select_views
from sparse_s4r.structures import Camera, GridSpec, RGBDFrame, SampleBox
from tests.small_scene import shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder: Path = shared_scene(tmp_path_factory)
    return open_scene(folder)


def wall_at(distance: float, name: str) -> RGBDFrame:
    """What a camera at the origin sees of a wall ``distance`` metres in front of it, one pixel of four missing."""
    intrinsics = torch.tensor([[100.0, 0.0, 0.5], [0.0, 100.0, 0.5], [0.0, 0.0, 1.0]], dtype=torch.float64)
    depth = torch.full((2, 2), distance)
    depth[0, 0] = 0.0
    return RGBDFrame(name, Camera(intrinsics, torch.eye(4, dtype=torch.float64), 2, 2), torch.zeros(2, 2, 3), depth)


def test_samples_in_and_next_to_the_box_count() -> None:
    grid = GridSpec(0.1)
    samples = ViewSamples.of([wall_at(1.05, "a"), wall_at(3.05, "b"), wall_at(9.05, "c")], grid)
    assert samples.counts.tolist() == [3, 3, 3]
    assert samples.voxels[:3, 2].tolist() == [10, 10, 10]
    # Voxels 28 to 32 and nine on each side: the second wall at voxel 30, not those at 10 and 90.
    box = (torch.tensor([-5, -5, 28]), torch.tensor([5, 5, 33]))
    assert samples.best(box, 3, 0.5) == [1]
    wide = (torch.tensor([-5, -5, 15]), torch.tensor([5, 5, 33]))
    assert samples.best(wide, 3, 0.5) == [0, 1]
    assert samples.best(wide, 1, 0.5) == [0]
    assert samples.best((box[0] + 500, box[1] + 500), 3, 0.0) == []


def test_no_view_overlaps_more_than_its_share(scene: Scene) -> None:
    target = scene.load_scan("target")
    frames = [scene.load_frame(name, width=24) for name in scene.frame_names("input", "target")]
    samples = ViewSamples.of(frames, scene.grid)
    center = target.coordinates[len(target) // 2]
    box: SampleBox = (center - 8, center + 8)
    looking = select_views(frames, crop_scan(target, box), len(frames), 0.2)
    assert len(looking) > 0
    likely = {frames[view].name for view in samples.best(box, len(frames), 0.2)}
    assert {frame.name for frame in looking} <= likely
