from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.segmentation.catalog import (
    SegmenterSpec,
    folder_digest,
    make_frame_segmenter,
    make_image_segmenter,
    parse_spec,
    trained_digest,
)
from sparse_s4r.segmentation.geometric import STRUCTURE_NAMES
from sparse_s4r.segmentation.label_map import LabelMap
from sparse_s4r.segmentation.room_net import RoomNet
from sparse_s4r.segmentation.room_segmenter import RoomSegmenter, RoomWeights, save_room_weights
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import Camera, RGBDFrame
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError

NAMES = load_taxonomy("matterport11").class_names


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of an untrained network whose four classes have no shipped label map."""
    path = tmp_path / "w.safetensors"
    save_room_weights(path, RoomWeights(RoomNet(4).eval(), ("sky", "bunk", "rug", "stool"), "none", 0, long_side=96))
    return path


@pytest.fixture
def label_map(tmp_path: Path) -> Path:
    path = tmp_path / "map.yaml"
    members = {"bed": ["bunk"], "floor": ["rug"], "chair": ["stool"]}
    lines = "".join(f"  {name}: [{', '.join(members.get(name, []))}]\n" for name in NAMES)
    path.write_text(f"name: four\nclasses:\n{lines}ignored: [sky]\n")
    return path


def frame(name: str = "a") -> RGBDFrame:
    intrinsics = torch.tensor([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(intrinsics, torch.eye(4, dtype=torch.float64), 64, 48)
    return RGBDFrame(name, camera, torch.rand(48, 64, 3), torch.ones(48, 64))


def test_specs_are_taken_apart() -> None:
    assert parse_spec("shipped") == SegmenterSpec("shipped", None)
    assert parse_spec("shipped:w.safetensors") == SegmenterSpec("shipped", "w.safetensors")
    assert parse_spec("hf:org/model:v1") == SegmenterSpec("hf", "org/model:v1")
    assert [parse_spec(spec).needs_frames for spec in ("files:d", "geometry", "mseg:c", "hf:n", "shipped")] == [
        *(True, True),
        *(False, False, False),
    ]


@pytest.mark.parametrize("spec", ["", "best", "mseg", "hf:", "files", "geometry:x", "shipped:", ":a", "MSEG:c"])
def test_an_unknown_spec_lists_the_kinds(spec: str) -> None:
    for make in (make_image_segmenter, make_frame_segmenter):
        with pytest.raises(ConfigError) as caught:
            make(spec, "matterport11")
        kinds = ("shipped:WEIGHTS.safetensors", "mseg:CHECKPOINT.pth", "hf:NAME_OR_FOLDER", "files:DIR", "geometry")
        assert all(kind in str(caught.value) for kind in kinds)


@pytest.mark.parametrize("spec", ["files:d", "geometry"])
def test_what_needs_frames_is_no_image_segmenter(spec: str) -> None:
    with pytest.raises(ConfigError, match="labels any image"):
        make_image_segmenter(spec, "matterport11")


def test_weights_with_a_label_map_of_the_user(weights: Path, label_map: Path) -> None:
    images = make_image_segmenter(f"shipped:{weights}", "matterport11", label_map)
    assert isinstance(images, RoomSegmenter)
    assert images.long_side == 96
    assert images.class_names == NAMES
    frames = make_frame_segmenter(f"shipped:{weights}", "matterport11", label_map)
    view = frame()
    probabilities = images.probabilities(view.color.permute(2, 0, 1)[None])
    torch.testing.assert_close(frames.probabilities(view), probabilities[0])
    # Only what the map names: bunks, rugs and stools.
    stated = probabilities.sum(dim=(0, 2, 3)) > 0
    assert {name for name, known in zip(NAMES, stated.tolist(), strict=True) if known} <= {"bed", "floor", "chair"}
    with pytest.raises(DataError, match="rooms39-matterport11"):
        make_image_segmenter(f"shipped:{weights}", "matterport11")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.safetensors"):
        make_image_segmenter(f"shipped:{tmp_path}/none.safetensors", "matterport11")
    with pytest.raises(CheckpointError, match=r"none\.pth"):
        make_image_segmenter(f"mseg:{tmp_path}/none.pth", "matterport11")
    with pytest.raises(DataError, match="folder of label images"):
        make_frame_segmenter(f"files:{tmp_path}/none", "matterport11")


def test_options_that_a_kind_does_not_have(weights: Path, tmp_path: Path, label_map: Path) -> None:
    with pytest.raises(ConfigError, match="only mseg"):
        make_image_segmenter(f"shipped:{weights}", "matterport11", scales=(1.0, 1.5))
    for spec in (f"files:{tmp_path}", "geometry"):
        with pytest.raises(ConfigError, match="neither label map nor scales"):
            make_frame_segmenter(spec, "structure", label_map)
    with pytest.raises(ConfigError, match="taxonomy structure"):
        make_frame_segmenter("geometry", "matterport11")


def test_label_images_and_shapes(tmp_path: Path) -> None:
    values = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64) % len(NAMES)
    Image.fromarray(values).save(tmp_path / "a.png")
    files = make_frame_segmenter(f"files:{tmp_path}", "matterport11")
    np.testing.assert_array_equal(files.probabilities(frame()).argmax(dim=0).numpy(), values)
    # A wall, seen straight on, fills the frame; nothing of it is level.
    shapes = make_frame_segmenter("geometry", "structure")
    assert shapes.class_names == STRUCTURE_NAMES
    assert set(shapes.probabilities(frame()).argmax(dim=0).unique().tolist()) <= {
        STRUCTURE_NAMES.index("wall"),
        STRUCTURE_NAMES.index("object"),
    }


def test_the_digest_tells_weights_and_maps_apart(weights: Path, label_map: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(weights.read_bytes())
    first = make_image_segmenter(f"shipped:{weights}", "matterport11", label_map)
    again = make_image_segmenter(f"shipped:{moved}", "matterport11", label_map)
    assert trained_digest(first) == trained_digest(again)
    assert len(trained_digest(first)) == 64
    network = RoomNet(4).eval()
    network.load_state_dict(first.network.state_dict())
    assert isinstance(first.label_map, LabelMap)
    assert trained_digest(RoomSegmenter(network, first.label_map, 96)) == trained_digest(first)
    assert trained_digest(RoomSegmenter(network, first.label_map, 128)) != trained_digest(first)
    other_map = replace(first.label_map, targets=(255, 0, 1, 2))
    assert trained_digest(RoomSegmenter(network, other_map, 96)) != trained_digest(first)
    with torch.no_grad():
        network.classify.bias[0] += 1e-6
    assert trained_digest(RoomSegmenter(network, first.label_map, 96)) != trained_digest(first)


def test_the_digest_of_label_images_follows_their_contents(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("one")
    before = folder_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("two")
    assert folder_digest(tmp_path) == before
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    assert folder_digest(tmp_path) != before
