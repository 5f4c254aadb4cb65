"""Labels by votes of virtual views, against a painted scan, a loop, and the evaluation that takes them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse_s4r.data.import_options import ImportOptions
from sparse_s4r.data.import_scene import import_scene
from sparse_s4r.data.prediction_format import load_prediction_of, predicted_scan
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.evaluation.rooms import Method, score_scene
from sparse_s4r.evaluation.virtual_lifting import VotingOptions, virtual_frames, vote_labels, wide_cameras
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.render import Raycaster, VirtualViewOptions
from sparse_s4r.structures import Camera, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import DataError
from tools.lift_virtual import main

SMALL = VirtualViewOptions(width=64, height=48)


class RedOrBlue:
    """Class 0 where a picture is red, 1 where it is blue; nothing where it is neither."""

    class_names = ("red", "blue")

    def probabilities(self, images: Tensor) -> Tensor:
        red, blue = images[:, 0] > 0.7, images[:, 2] > 0.7
        return torch.stack([0.9 * (red & ~blue), 0.8 * (blue & ~red)], dim=1).float()


class Painted:
    """A scene whose scans are red on one side of a plane and blue on the other."""

    def __init__(self, scene: Scene, middle: int) -> None:
        self._scene, self._middle = scene, middle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scene, name)

    def load_scan(self, name: str) -> SparseTSDF:
        scan = self._scene.load_scan(name)
        return replace(scan, color=torch.eye(3)[2 * self.side(scan.coordinates)])

    def side(self, coordinates: Tensor) -> Tensor:
        return (coordinates[:, 0] >= self._middle).long()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A generated room, fine enough that cameras find room in what was seen free."""
    base = tmp_path_factory.mktemp("room")
    room = make_room(seed=3)
    write_capture(room, make_trajectory(room, 16, seed=3, width=64, height=48), base / "capture", labels=False)
    options = ImportOptions(voxel_size=0.06, keep=0.7, held_out=0.2, seed=1)
    import_scene(open_capture(base / "capture", "auto"), base / "home", options, None)
    return open_scene(base / "home")


@pytest.fixture(scope="module")
def painted(scene: Scene) -> Any:
    return Painted(scene, int(scene.load_scan("input").coordinates[:, 0].median()))


def test_virtual_views_find_the_paint(painted: Any) -> None:
    options = VotingOptions(views=6, real=False, virtual=SMALL)
    found = vote_labels(painted, RedOrBlue(), "target", options)
    scan, prediction = painted.load_scan("target"), found.prediction
    assert (found.virtual_views, found.real_views) == (6, 0)
    assert torch.equal(prediction.coordinates, scan.coordinates)
    assert torch.equal(prediction.tsdf, scan.tsdf)
    assert prediction.semantic_logits is not None
    assert prediction.label_confidence is not None
    voted = prediction.label_confidence > 0
    assert float(voted.double().mean()) == pytest.approx(found.voted)
    assert found.voted > 0.3
    right = prediction.semantic_logits.argmax(1) == painted.side(scan.coordinates)
    # Wrong only beside the plane, where a pixel and its voxel lie on different sides.
    assert float(right[voted].double().mean()) > 0.97
    had = {tuple(cell) for cell in painted.load_scan("input").coordinates.tolist()}
    assert prediction.observed is not None
    assert prediction.observed.tolist() == [tuple(cell) in had for cell in scan.coordinates.tolist()]
    assert 0 < int(prediction.observed.sum()) < len(scan)


def test_the_same_seed_gives_the_same_labels(painted: Any) -> None:
    one, other = (vote_labels(painted, RedOrBlue(), "input", VotingOptions(2, True, 1, SMALL)) for _ in range(2))
    assert torch.equal(one.prediction.semantic_logits, other.prediction.semantic_logits)
    assert one.real_views == len(painted.frame_names("input"))


def loop_votes(scan: SparseTSDF, frames: Sequence[tuple[Camera, Tensor, Tensor]]) -> np.ndarray:
    """Votes of pictures (camera, depth, probabilities) for the voxels of a scan, one by one."""
    votes = np.zeros((len(scan), 2))
    for camera, depth, probabilities in frames:
        inverse, k = np.linalg.inv(camera.camera_to_world.numpy()), camera.intrinsics.numpy()
        for number, cell in enumerate(scan.coordinates.tolist()):
            at = np.array(scan.grid.origin) + (np.array(cell) + 0.5) * scan.grid.voxel_size
            x, y, z = (inverse @ np.array([*at, 1.0]))[:3]
            if z <= 0:
                continue
            column, row = math.floor(k[0, 0] * x / z + k[0, 2] + 0.5), math.floor(k[1, 1] * y / z + k[1, 2] + 0.5)
            if not (0 <= column < camera.width and 0 <= row < camera.height):
                continue
            seen = float(depth[row, column])
            if seen > 0 and abs(seen - z) < scan.grid.truncation:
                best = int(probabilities[:, row, column].argmax())
                votes[number, best] += float(probabilities[best, row, column])
    return votes


def test_votes_agree_with_a_loop(painted: Any) -> None:
    scan = painted.load_scan("input")
    part = scan.select(torch.arange(0, len(scan), max(1, len(scan) // 400)))
    cameras = [painted.camera(name).resized(64, 48) for name in painted.frame_names("input")[:3]]
    frames = []
    for camera in cameras:
        view = Raycaster(near=0.0)(ScenePrediction.from_scan(scan), camera)
        frames.append((camera, view.depth, RedOrBlue().probabilities(view.color.permute(2, 0, 1)[None])[0]))
    votes = loop_votes(part, frames)
    found = list(virtual_frames(scan, cameras, RedOrBlue(), 10.0))
    lifted = lift_labels(found, scan.grid, part.coordinates, 2, depth_max=10.0)
    voted = votes.sum(1) > 0
    assert voted.sum() > 50
    assert np.array_equal(lifted.voted.numpy(), voted)
    assert np.array_equal(lifted.labels.numpy()[voted], votes[voted].argmax(1))


def test_wide_views_make_up_for_places_that_are_lacking(painted: Any) -> None:
    # Nobody can stand back that far in a room.
    options = VotingOptions(4, real=False, virtual=replace(SMALL, pull_back=(50.0, 60.0), tries=1))
    found = vote_labels(painted, RedOrBlue(), "input", options)
    assert (found.virtual_views, found.wide_views, found.real_views) == (0, 4, 0)
    assert found.voted > 0.3
    cameras = [painted.camera(name) for name in painted.frame_names("input")]
    wide = wide_cameras(cameras, 4, SMALL)
    centers = [camera.center.tolist() for camera in cameras]
    assert len({centers.index(camera.center.tolist()) for camera in wide}) == 4
    for camera in wide:
        half = math.degrees(math.atan(0.5 * camera.width / float(camera.intrinsics[0, 0])))
        assert 2 * half == pytest.approx(SMALL.field_of_view)
    assert len(wide_cameras(cameras, 1000, SMALL)) == len(cameras)
    assert wide_cameras(cameras, 0, SMALL) == wide_cameras([], 3, SMALL) == []


class Silent(RedOrBlue):
    """Says nothing."""

    def probabilities(self, images: Tensor) -> Tensor:
        return torch.zeros(len(images), 2, *images.shape[2:])


def test_what_cannot_be_voted_on_is_refused(painted: Any) -> None:
    with pytest.raises(DataError, match="expected a vote for some voxel, got none"):
        vote_labels(painted, Silent(), "input", VotingOptions(0))
    with pytest.raises(ValueError, match="expected virtual views or real ones"):
        VotingOptions(0, real=False)


def test_the_tool_writes_what_the_evaluation_takes(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "voted"
    arguments = [str(scene.path), "--taxonomy", "scannet15", "--views", "2", "--out", str(root)]
    main(arguments)
    assert re.search(r"home: [012] of 2 virtual views, \d wide ones at real cameras and", capsys.readouterr().out)
    prediction, info = load_prediction_of(root / "home", scene)
    assert len(info.class_names) == 15
    assert len(prediction) == len(scene.load_scan("input"))
    assert {path.name for path in (root / "home").iterdir()} == {
        "prediction.safetensors",
        "mesh.ply",
        "prediction.json",
    }
    record = json.loads((root / "home" / "prediction.json").read_text())
    assert record["virtual_views"] + record["wide_views"] == 2
    assert predicted_scan(root / "home") == record["scan"] == "input"
    assert record["real_views"] == len(scene.frame_names("input"))
    scores = {score.method: score for score in score_scene(scene, [Method("virtual", root)])}
    # It has the input's geometry.
    assert scores["virtual"].target.narrow == scores["input"].target.narrow
    with pytest.raises(SystemExit, match="home: expected a folder that does not exist yet"):
        main(arguments)
    with pytest.raises(SystemExit, match="expected virtual views or real ones"):
        main([*arguments, "--views", "0", "--no-real"])
