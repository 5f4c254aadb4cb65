"""Labels of Matterport3D frames, from the annotated meshes of regions."""

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_s4r.data.import_options import Labelling
from sparse_s4r.data.readers.matterport import open_matterport
from sparse_s4r.data.readers.matterport_labels import find_labels, label_matterport, load_categories
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError
from tests.data.captures import ROOM_LOWER, ROOM_UPPER
from tests.data.writers import matterport, room
from tests.data.writers.bounded import expect_bounded
from tests.data.writers.matterport import HOUSE, WALLS, write_house


def house_with_labels(folder: Path) -> Path:
    house = write_house(folder / "scans" / HOUSE)
    matterport.write_region(house, 0, ("west", "south", "floor"))
    matterport.write_region(house, 11, ("east", "north", "ceiling"))
    matterport.write_categories(folder / "metadata" / "category_mapping.tsv")
    return house


def walls_of(frame: RGBDFrame) -> np.ndarray:
    """Which of ``WALLS`` each pixel's point lies on, by the nearest plane."""
    points, _ = room.unprojected(frame)
    distances = np.stack([np.abs(points - ROOM_LOWER), np.abs(points - ROOM_UPPER)], axis=-1).reshape(len(points), 6)
    # At an edge of two walls either will do.
    nearest = distances.argmin(axis=1)
    return np.where(np.sort(distances, axis=1)[:, 1] > 0.005, nearest, -1).reshape(frame.depth.shape)


def labels_of(labelling: Labelling, frame: RGBDFrame) -> np.ndarray:
    assert labelling.label_frame is not None
    return labelling.label_frame(frame).numpy()


def test_pixels_take_the_class_of_the_wall_that_they_see(tmp_path: Path) -> None:
    house = house_with_labels(tmp_path)
    capture = open_matterport(house)
    labelling = label_matterport(capture, house)
    names = labelling.class_names
    wall, floor = names.index("wall"), names.index("floor")
    # North belongs to no object, and the ceiling's label has no class.
    expected = {"west": wall, "east": wall, "south": wall, "north": 255, "floor": floor, "ceiling": 255}
    table = np.array([expected[name] for name in WALLS])
    seen: set[int] = set()
    for index in range(6):
        frame = capture.read_frame(index)
        walls = walls_of(frame)
        inner = walls >= 0
        assert inner.mean() > 0.9
        np.testing.assert_array_equal(labels_of(labelling, frame)[inner], table[walls[inner]])
        seen |= set(walls[inner].tolist())
    assert seen >= {WALLS.index(name) for name in ("west", "east", "south", "north", "floor")}


def test_the_scenes_world_may_be_turned(tmp_path: Path) -> None:
    house = house_with_labels(tmp_path)
    capture = open_matterport(house)
    labelling = label_matterport(capture, house)
    frame = capture.read_frame(1, 48)
    turned = torch.tensor([[0.0, -1, 0, 5], [1, 0, 0, 2], [0, 0, 1, -1], [0, 0, 0, 1]], dtype=torch.float64)
    moved = replace(frame, camera=replace(frame.camera, camera_to_world=turned @ frame.camera.camera_to_world))
    np.testing.assert_array_equal(labels_of(labelling, moved), labels_of(labelling, frame))


def test_pixels_that_see_something_else_are_ignored(tmp_path: Path) -> None:
    house = house_with_labels(tmp_path)
    capture = open_matterport(house)
    labelling = label_matterport(capture, house)
    frame = capture.read_frame(0)
    depth = frame.depth.clone()
    depth[:40] -= 0.2
    depth[70:] = 0
    labels = labels_of(labelling, replace(frame, depth=depth))
    assert (labels[:40] == 255).all()
    # Without a depth, the mesh is all there is.
    np.testing.assert_array_equal(labels[40:], labels_of(labelling, frame)[40:])
    assert (labels[70:] != 255).all()


def test_labels_are_found_or_the_note_says_why_not(tmp_path: Path) -> None:
    house = write_house(tmp_path / "a" / "b" / "c" / HOUSE)
    capture = open_matterport(house)
    assert find_labels(capture, house) == (None, "labels: none, as there is no region_segmentations/regionN.ply")
    matterport.write_region(house, 0, ("west", "floor"))
    found, note = find_labels(capture, house)
    assert found is None
    assert note.startswith("labels: region_segmentations/ is not read, as category_mapping.tsv")
    table = matterport.write_categories(house / "category_mapping.tsv")
    found, note = find_labels(capture, house, "eigen13")
    assert found is not None
    assert len(found.class_names) == 13
    assert note == f"labels: region_segmentations/, as eigen13 by {table}"


def test_categories_follow_the_table(tmp_path: Path) -> None:
    table = matterport.write_categories(tmp_path / "category_mapping.tsv")
    assert load_categories(table) == {
        "wall": 9,
        'door /outside"s': 9,
        "rug": 3,
        "book": 5,
        "remove": 255,
        "storage": 255,
    }
    assert load_categories(table, "eigen13")["book"] == 1
    table.write_text(table.read_text().replace("Books", "Bookses"))
    with pytest.raises(
        DataError, match=r"category_mapping\.tsv: expected eigen13class among .* got 'Bookses' for 'book'"
    ):
        load_categories(table)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("region0.fsegs.json", "[100, ", "[", r"region0\.fsegs\.json: expected 6 segments as region0\.ply has, got 5"),
        ("region0.fsegs.json", "segIndices", "seg", r"region0\.fsegs\.json: .*segIndices"),
        ("region0.semseg.json", '"rug"', '"rugg"', r"region0\.semseg\.json: expected labels with a row in .* 'rugg'"),
        ("region0.semseg.json", "{", "[", r"region0\.semseg\.json: expected the objects of a region as JSON"),
        ("region11.ply", "end_header", "end_hedaer", r"region11\.ply: expected a mesh, got a damaged"),
        ("region11.ply", "vertex 8", "vertex 3", r"region11\.ply: expected"),
        ("region11.ply", "face 6", "face 0", r"region11\.ply: expected"),
        ("region11.ply", "vertex 8", "vertex 800000000", r"region11\.ply: expected"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    house = house_with_labels(tmp_path)
    path = house / "region_segmentations" / file
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode()))
    capture = open_matterport(house)
    error = expect_bounded(lambda: label_matterport(capture, house))
    assert isinstance(error, DataError)
    assert re.search(message, str(error)), str(error)


def test_missing_files_are_named(tmp_path: Path) -> None:
    house = write_house(tmp_path / "a" / "b" / "c" / HOUSE)
    capture = open_matterport(house)
    with pytest.raises(DataError, match=r"expected category_mapping\.tsv"):
        label_matterport(capture, house)
    matterport.write_categories(house / "category_mapping.tsv")
    with pytest.raises(DataError, match="region_segmentations"):
        label_matterport(capture, house)
    (matterport.write_region(house) / "region0.semseg.json").unlink()
    with pytest.raises(DataError, match=r"region0\.semseg\.json: .*does not exist"):
        label_matterport(capture, house)
    with pytest.raises(DataError, match="expected one of eigen13, matterport11, got 'coco'"):
        label_matterport(capture, house, "coco")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A house with labels."""
    return house_with_labels(tmp_path_factory.mktemp("matterport"))


FILES = (
    "region_segmentations/region0.ply",
    "region_segmentations/region0.fsegs.json",
    "region_segmentations/region0.semseg.json",
    "category_mapping.tsv",
)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(FILES),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6)), max_size=4),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_other_damage_raises_named_errors_only(
    sound: Path, name: str, edits: list[tuple[float, bytes]], cut: float | None
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(sound, Path(place) / sound.name))
        matterport.write_categories(folder / "category_mapping.tsv")
        data = bytearray((folder / name).read_bytes())
        for share, word in edits:
            spot = int(share * len(data))
            data[spot : spot + len(word)] = word
        (folder / name).write_bytes(data if cut is None else data[: int(cut * len(data))])
        capture = open_matterport(folder)
        result = expect_bounded(lambda: labels_of(label_matterport(capture, folder), capture.read_frame(0)))
    assert isinstance(result, np.ndarray | DataError)
