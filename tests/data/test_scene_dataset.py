"""Training samples: fixed by seed and step, cropped as told, views that see the crop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.build import build_dataset
from sparse_s4r.config import load_config
from sparse_s4r.data.input_variants import depth_max_of
from sparse_s4r.data.label_sets import LabelSetDocument, begin_label_set
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.scene_dataset import SceneDataset
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.structures import CELL, SceneSample, VoxelState
from sparse_s4r.structures.errors import DataError
from tests.small_scene import VOXEL, make_small_scene, shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return open_scene(shared_scene(tmp_path_factory))


def make_dataset(scenes: list[Scene], *settings: str) -> SceneDataset:
    return build_dataset(load_config(None, ["data.image_width=24", "data.holes=0", *settings]), scenes)


def cropped(scene: Scene, *settings: str) -> SceneDataset:
    return make_dataset([scene], "data.crop=3", "data.views=2", *settings)


def fingerprint(sample: SceneSample) -> tuple[object, ...]:
    box = None if sample.box is None else tuple(tuple(bound.tolist()) for bound in sample.box)
    return sample.name, box, tuple(frame.name for frame in sample.frames)


def test_whole_scenes(scene: Scene) -> None:
    sample = make_dataset([scene], "data.views=3").sample(0)
    assert (sample.name, sample.box) == (scene.name, None)
    assert torch.equal(sample.input.coordinates, scene.load_scan("input").coordinates)
    assert torch.equal(sample.target.tsdf, scene.load_scan("target").tsdf)
    assert torch.equal(sample.input_observation.voxel_state, scene.load_observation("input").voxel_state)
    assert torch.equal(sample.target_observation.voxel_state, scene.load_observation("target").voxel_state)
    assert len({frame.name for frame in sample.frames}) == 3
    for frame in sample.frames:
        assert (frame.camera.width, frame.camera.height) == (24, 18)
        assert torch.equal(frame.depth, scene.load_frame(frame.name, width=24).depth)


def test_held_out_frames_are_never_drawn(scene: Scene) -> None:
    dataset = make_dataset([scene], "data.views=2")
    drawn = {frame.name for step in range(40) for frame in dataset.sample(step).frames}
    # 80 draws of 8 frames: to miss one is less likely than 1e-3, and the draws are fixed.
    assert drawn == set(scene.frame_names("input", "target"))
    assert drawn.isdisjoint(scene.frame_names("held_out"))


def test_more_views_than_frames_gives_all_frames(scene: Scene) -> None:
    sample = make_dataset([scene], "data.views=50").sample(3)
    assert sorted(frame.name for frame in sample.frames) == sorted(scene.frame_names("input", "target"))


def test_samples_follow_from_seed_and_step_alone(scene: Scene) -> None:
    first, second, other = cropped(scene), cropped(scene), cropped(scene, "seed=1")
    there = [fingerprint(first.sample(step)) for step in range(12)]
    back = [fingerprint(second.sample(step)) for step in reversed(range(12))]
    assert there == back[::-1]
    assert len(set(there)) > 6
    assert there != [fingerprint(other.sample(step)) for step in range(12)]


def test_crops_hold_what_lies_in_their_box(scene: Scene) -> None:
    dataset = cropped(scene)
    whole_input, whole_target = scene.load_scan("input"), scene.load_scan("target")
    for step in range(6):
        sample = dataset.sample(step)
        assert sample.box is not None
        lower, upper = sample.box
        assert bool((lower % CELL == 0).all())
        assert bool((upper % CELL == 0).all())
        # Two cells of 16 voxels of 16 cm are 5.12 m: the least that a crop may have.
        assert ((upper - lower)[:2] * VOXEL).tolist() == pytest.approx([5.12, 5.12])
        for part, whole in ((sample.input, whole_input), (sample.target, whole_target)):
            inside = ((whole.coordinates >= lower) & (whole.coordinates < upper)).all(dim=1)
            assert torch.equal(part.coordinates, whole.coordinates[inside])
            assert torch.equal(part.tsdf, whole.tsdf[inside])
        # The full height.
        height = whole_target.coordinates[:, 2]
        assert int(lower[2]) <= int(height.min())
        assert int(height.max()) < int(upper[2])
        assert len(sample.input) > 0


def test_views_of_a_crop_have_no_depth_outside_it(scene: Scene) -> None:
    dataset = cropped(scene)
    masked = 0
    for step in range(6):
        sample = dataset.sample(step)
        assert sample.box is not None
        lower, upper = ((bound * VOXEL + torch.tensor(scene.grid.origin)).numpy() for bound in sample.box)
        for frame in sample.frames:
            stored = scene.load_frame(frame.name, width=24)
            points = stored.camera.unproject(stored.depth).numpy()
            inside = np.all((points >= lower) & (points < upper), axis=-1)
            # A point within rounding of the border may fall on either side.
            border = np.any((np.abs(points - lower) < 1e-4) | (np.abs(points - upper) < 1e-4), axis=-1)
            expected = np.where(inside, stored.depth.numpy(), 0)
            assert np.array_equal(frame.depth.numpy()[~border], expected[~border])
            masked += int(((stored.depth.numpy() > 0) & ~inside).sum())
            assert torch.equal(frame.color, stored.color)
    assert masked > 0


def test_views_of_a_crop_look_at_it(scene: Scene) -> None:
    dataset = cropped(scene, "data.min_overlap=0.6", "data.views=8", "data.view_candidates=8")
    counts = []
    for step in range(8):
        sample = dataset.sample(step)
        counts.append(len(sample.frames))
        # A crop that no view sees enough of gets its best one, however little that sees.
        for frame in sample.frames if len(sample.frames) > 1 else ():
            stored = scene.load_frame(frame.name, width=24)
            # Overlap was measured on another size of the picture and near the band: leave a tenth for that.
            assert float((frame.depth > 0).sum() / (stored.depth > 0).sum()) > 0.5
    assert min(counts) == 1
    assert sorted(counts)[len(counts) // 2] < 8


def test_scenes_take_turns(scene: Scene, tmp_path: Path) -> None:
    twin = Scene(scene.path, scene.document)
    twin.name = "twin"
    dataset = make_dataset([scene, twin])
    assert {dataset.sample(step).name for step in range(20)} == {scene.name, "twin"}


def test_refuses_what_it_cannot_sample(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scenes: expected at least one scene folder, got none"):
        make_dataset([])
    with pytest.raises(DataError, match="expected the same classes in all"):
        make_dataset([scene, make_small_scene(tmp_path, labels=False)])
    held_out = [frame.model_copy(update={"split": "held_out"}) for frame in scene.document.frames]
    with pytest.raises(DataError, match="expected frames to train on, got none"):
        make_dataset([Scene(scene.path, scene.document.model_copy(update={"frames": held_out}))])


def test_samples_move_whole(scene: Scene) -> None:
    sample = cropped(scene).sample(0)
    moved = sample.to("cpu")
    assert fingerprint(moved) == fingerprint(sample)
    assert torch.equal(moved.target.tsdf, sample.target.tsdf)
    assert dataclasses.astuple(moved.input.grid) == dataclasses.astuple(sample.input.grid)


def test_holes_are_cut_out_of_the_input_alone(scene: Scene) -> None:
    size = 1.2
    with_holes = make_dataset([scene], "data.holes=2", f"data.hole_size={size}")
    whole = scene.load_scan("input")
    for step in range(5):
        sample = with_holes.sample(step)
        assert torch.equal(sample.target.coordinates, scene.load_scan("target").coordinates)
        kept = {tuple(cell) for cell in sample.input.coordinates.tolist()}
        lost = [cell for cell in whole.coordinates.tolist() if tuple(cell) not in kept]
        assert 0 < len(lost) < len(whole)
        assert len(kept) == len(whole) - len(lost)
        # Two boxes: some voxel that was lost has every other within a box's size, or belongs to the second box.
        first = np.array(lost)
        near = np.abs(first - first[0]).max(axis=1) <= size / VOXEL
        second = first[~near]
        assert len(second) == 0 or (np.ptp(second, axis=0) <= size / VOXEL).all()


def test_holes_never_take_the_whole_input(scene: Scene) -> None:
    sample = make_dataset([scene], "data.holes=1", "data.hole_size=1000").sample(0)
    assert len(sample.input) == len(scene.load_scan("input"))


def test_the_boxes_of_holes_reach_beyond_what_was_removed(scene: Scene) -> None:
    sample = make_dataset([scene], "data.holes=2", "data.hole_size=1.2").sample(0)
    assert len(sample.holes) == 2
    kept = {tuple(cell) for cell in sample.input.coordinates.tolist()}
    lost = np.array([cell for cell in scene.load_scan("input").coordinates.tolist() if tuple(cell) not in kept])
    # By the truncation of 3 voxels at least, on every side of every box.
    covered = np.zeros(len(lost), dtype=bool)
    for lower, upper in sample.holes:
        covered |= ((lost >= lower.numpy() + 3) & (lost < upper.numpy() - 3)).all(axis=1)
    assert covered.all()
    assert make_dataset([scene]).sample(0).holes == ()


def test_steps_share_a_scene_and_all_scenes_come(scene: Scene) -> None:
    others = [Scene(scene.path, scene.document) for _ in range(4)]
    for index, other in enumerate(others):
        other.name = str(index)
    dataset = make_dataset([scene, *others], "data.scene_repeat=3")
    drawn = [dataset.sample(step).scene_index for step in range(30)]
    groups = [drawn[first : first + 3] for first in range(0, 30, 3)]
    assert all(len(set(group)) == 1 for group in groups)
    order = [group[0] for group in groups]
    assert sorted(order[:5]) == sorted(order[5:]) == [0, 1, 2, 3, 4]
    assert order[:5] != order[5:]
    # The places of a batch hold different scenes, and the same one for three steps.
    places = [[dataset.sample(step, slot, slots=2).scene_index for slot in range(2)] for step in range(6)]
    assert places[0] == places[1] == places[2]
    assert len({*places[0], *places[3]}) == 4


def test_inputs_from_other_frames(scene: Scene) -> None:
    dataset = make_dataset(
        [scene], "data.input_variants=3", "data.keep=[0.2,0.4]", "data.keep_mode=random", "data.scene_repeat=1"
    )
    samples = [dataset.sample(step) for step in range(12)]
    sizes = {len(sample.input) for sample in samples}
    assert 1 < len(sizes) <= 3
    assert len(scene.load_scan("input")) not in sizes
    target = ObservationPyramid(scene.load_observation("target"))
    for sample in samples[:3]:
        assert torch.equal(sample.target.coordinates, scene.load_scan("target").coordinates)
        # Fewer frames see less; fusion may move a voxel into the band or out of it.
        states = target.states(sample.input.coordinates)
        assert float((states == int(VoxelState.SURFACE)).double().mean()) > 0.95
        seen = ObservationPyramid(sample.input_observation)
        assert bool((seen.states(sample.input.coordinates) == int(VoxelState.SURFACE)).all())


def test_labels_of_a_set_are_learned_instead(tmp_path: Path) -> None:
    scene = make_small_scene(tmp_path)
    names = scene.frame_names("input", "target")
    document = LabelSetDocument(class_names=("one", "two"), segmenter="test")
    labels = begin_label_set(scene.path, "mine", document, names)
    for name in names:
        camera = scene.camera(name)
        size = (camera.height, camera.width)
        labels.write(name, torch.ones(size, dtype=torch.int64), torch.full(size, 0.5))
    scene = open_scene(scene.path)
    dataset = make_dataset([scene], "data.labels=mine")
    assert dataset.class_names == ("one", "two")
    frame = dataset.sample(0).frames[0]
    assert frame.labels is not None
    assert frame.confidence is not None
    assert set(frame.labels.unique().tolist()) == {1}
    assert float(frame.confidence.mean()) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(DataError, match="other"):
        make_dataset([scene], "data.labels=other")


def test_fields_and_cameras_as_the_scene_has_them(scene: Scene) -> None:
    dataset = make_dataset([scene], "data.augment.rotate=true", "data.crop=3")
    fields = dataset.scene_fields(0)
    assert torch.equal(fields.target.coordinates, scene.load_scan("target").coordinates)
    assert torch.equal(fields.input_observation.voxel_state, scene.load_observation("input").voxel_state)
    cameras = dataset.cameras(0)
    assert len(cameras) == len(scene.frame_names("input", "target"))
    assert cameras[0].width == scene.camera(scene.frame_names("input", "target")[0]).width


def test_labels_lifted_to_the_scan(scene: Scene) -> None:
    dataset = make_dataset([scene], "loss.lifted.weight=1")
    sample = dataset.sample(0)
    assert sample.lifted is not None
    assert torch.equal(sample.lifted.field.coordinates, sample.target.coordinates)
    frames = [scene.load_frame(name, width=24) for name in scene.frame_names("input", "target")]
    names = scene.class_names or ()
    wanted = lift_labels(frames, scene.grid, sample.target.coordinates, len(names), depth_max=depth_max_of(scene))
    assert torch.equal(sample.lifted.labels, wanted.labels)
    assert len(wanted.labels.unique()) > 2
    assert make_dataset([scene]).sample(0).lifted is None


def test_lifted_labels_move_with_the_scan(scene: Scene) -> None:
    still = make_dataset([scene], "loss.lifted.weight=1").sample(0).lifted
    assert still is not None
    where = {
        tuple(cell): int(label) for cell, label in zip(still.field.coordinates.tolist(), still.labels, strict=True)
    }
    moves = ["data.augment={rotate: true, mirror: true, shift: true, color: 0.2}", "loss.lifted.weight=1"]
    moved = cropped(scene, *moves).sample(3)
    assert moved.lifted is not None
    assert moved.motion is not None
    back = moved.motion.inverse().labelled(moved.lifted)
    assert len(back) > 100
    labels = [where[tuple(cell)] for cell in back.field.coordinates.tolist()]
    assert back.labels.tolist() == labels
    assert torch.equal(moved.lifted.field.color, moved.target.color)


def test_no_labels_to_lift(tmp_path: Path) -> None:
    bare = make_small_scene(tmp_path, labels=False)
    with pytest.raises(DataError, match="expected labels to lift to the scan, got none"):
        make_dataset([bare], "loss.lifted.weight=1").sample(0)
