import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_s4r.data.readers import open_capture
from sparse_s4r.structures.errors import DataError
from tests.data.readers.checks import off_room
from tests.data.writers.nerfstudio import CAMERA, HEIGHT, LENS, WIDTH, half_size_depth, room_poses, write_nerfstudio


def change(folder: Path, top: dict[str, object] | None = None, frame: dict[str, object] | None = None) -> Path:
    """Overwrite keys at the top and in the first frame of transforms.json; None removes a key."""
    document = json.loads((folder / "transforms.json").read_text())
    document.update(top or {})
    document["frames"][0].update(frame or {})
    for level in (document, document["frames"][0]):
        for key in [key for key, value in level.items() if value is None]:
            del level[key]
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder


def test_frames_see_the_room(tmp_path: Path) -> None:
    capture = open_capture(write_nerfstudio(tmp_path / "kitchen"))
    assert (capture.layout, capture.name) == ("nerfstudio", "kitchen")
    # In transforms.json they stand in reverse.
    assert capture.names == ("frame_00001", "frame_00002", "frame_00003")
    assert "recognised as nerfstudio: transforms.json" in capture.notes[0]
    assert not off_room(capture, 0.001)


def test_the_file_itself_and_poses_of_three_rows(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path / "kitchen")
    document = json.loads((folder / "transforms.json").read_text())
    for frame in document["frames"]:
        frame["transform_matrix"] = frame["transform_matrix"][:3]
    (folder / "transforms_train.json").write_text(json.dumps(document))
    assert not off_room(open_capture(folder / "transforms_train.json"), 0.001)


def test_cameras_per_frame_and_a_lens(tmp_path: Path) -> None:
    capture = open_capture(write_nerfstudio(tmp_path / "kitchen", lens=LENS, per_frame=True))
    assert capture.calibration_of(1).distortion == (LENS["k1"], LENS["k2"], LENS["p1"], LENS["p2"], 0.0)
    # Depth is picked at the nearest pixel: half a pixel of slope.
    assert not off_room(capture, 0.03, share=0.97)
    # Without the lens it would be off by far more.
    straight = open_capture(change(tmp_path / "kitchen", frame=dict.fromkeys(LENS, 0.0))).select([2])
    assert off_room(straight, 0.03, share=0.97)


def test_depth_of_another_size(tmp_path: Path) -> None:
    capture = open_capture(write_nerfstudio(tmp_path / "kitchen", half_depth=True))
    assert capture.sizes(0) == ((WIDTH, HEIGHT), (WIDTH // 2, HEIGHT // 2))
    # Exact but at the rim, where the nearest pixel stands for what is beyond, and where walls meet.
    assert not off_room(capture, 0.001, share=0.9)
    assert not off_room(capture, 0.02)
    assert not off_room(capture, 0.001, width=WIDTH // 2)


def test_depth_as_an_array(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path / "kitchen", half_depth=True)
    np.save(folder / "depth" / "3.npy", half_size_depth(room_poses(3)[2]).astype(np.float32) * 1000)
    assert not off_room(open_capture(change(folder, frame={"depth_file_path": "depth/3.npy"})), 0.001, share=0.9)


def test_depth_unit_and_applied_scale(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path / "kitchen", scale=0.4, top={"applied_scale": 0.4})
    capture = open_capture(folder)
    assert any("applied_scale 0.4" in note for note in capture.notes)
    assert not off_room(capture, 0.001)
    change(folder, {"depth_unit_scale_factor": 0.002})
    assert float(open_capture(folder).read_frame(0).depth.max()) == pytest.approx(
        2 * float(capture.read_frame(0).depth.max())
    )


def test_masks_hide_depth_but_not_colour(tmp_path: Path) -> None:
    capture = open_capture(write_nerfstudio(tmp_path / "kitchen", masks=True))
    assert any("3 of 3 frames have masks" in note for note in capture.notes)
    for width in (None, WIDTH // 2):
        frame = capture.read_frame(0, width)
        half = len(frame.depth) // 2
        assert not frame.depth[:half].any()
        assert bool((frame.depth[half:] > 0).all())
        assert bool((frame.color[:half] > 0).any())
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "kitchen" / "masks" / "1.png")
    with pytest.raises(DataError, match=r"masks/1\.png: expected the size of frame_00001\.jpeg, 96x72, got 5x5"):
        capture.read_frame(0)


@pytest.mark.parametrize(
    ("top", "frame", "message"),
    [
        ({}, {"depth_file_path": None}, r"depth_file_path in each of 3 frames, got 1 without: images/frame_00003"),
        ({"camera_model": "OPENCV_FISHEYE"}, {}, "camera_model.*OPENCV_FISHEYE"),
        ({"k4": 0.1}, {}, "k4 = 0.1"),
        ({"fl_y": None}, {}, "fl_y at the top"),
        ({"w": 96.5}, {}, "whole numbers"),
        ({"frames": []}, None, "the capture is empty"),
        ({}, {"transform_matrix": [[1, 2], [3, 4], [5, 6]]}, r"frames\.0\.transform_matrix"),
        ({}, {"file_path": "../other/1.jpg"}, "inside"),
        ({"applied_scale": 0}, {}, "applied_scale"),
    ],
)
def test_bad_files_are_named(
    tmp_path: Path, top: dict[str, object], frame: dict[str, object] | None, message: str
) -> None:
    folder = write_nerfstudio(tmp_path / "kitchen")
    if frame is None:
        document = json.loads((folder / "transforms.json").read_text())
        (folder / "transforms.json").write_text(json.dumps({**document, **top}))
    else:
        change(folder, top, frame)
    with pytest.raises(DataError, match=rf"transforms\.json: .*{message}"):
        open_capture(folder)


def test_size_of_images_and_missing_images(tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path / "kitchen")
    with pytest.raises(DataError, match=r"transforms\.json: expected colour images of 192x144, .* got 96x72"):
        open_capture(change(folder, {"w": CAMERA["w"] * 2, "h": CAMERA["h"] * 2})).read_frame(0)
    (folder / "images" / "frame_00001.jpeg").unlink()
    with pytest.raises(DataError, match=r"frame_00001\.jpeg: the image does not exist"):
        open_capture(folder).sizes(0)
    (folder / "transforms.json").write_text((folder / "transforms.json").read_text()[:-40])
    with pytest.raises(DataError, match=r"transforms\.json: expected the frames of nerfstudio as JSON"):
        open_capture(folder)
