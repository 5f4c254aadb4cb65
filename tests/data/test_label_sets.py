import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.label_sets import LabelSetDocument, begin_label_set, open_label_set
from sparse_s4r.data.scene_check import check_scene
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.data.scene_pack import PackOptions, pack_scene, unpack_scene
from sparse_s4r.structures.errors import DataError
from tests.data.test_scene_pack import contents, make_scene

NAMES = ("floor", "wall", "chair", "lamp")
DOCUMENT = LabelSetDocument(
    class_names=NAMES, segmenter="mseg:/old/net.pth", digest="ab" * 32, options={"scales": [1.0]}
)
WIDTH, HEIGHT = 64, 48


def truth(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and confidence, as stored, of the frame number ``index``."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    labels = np.where(rows < 5, 255, (rows // 7 + columns // 9 + index) % len(NAMES))
    return labels, np.where(labels == 255, 0, (rows * 5 + columns) % 255 + 1)


def write(folder: Path, name: str = "net", document: LabelSetDocument = DOCUMENT) -> Scene:
    scene = open_scene(folder)
    writer = begin_label_set(scene.path, name, document, scene.frame_names())
    for index, frame in enumerate(scene.frame_names()):
        labels, sure = truth(index)
        writer.write(frame, torch.from_numpy(labels), torch.from_numpy(sure / 255).float())
    return open_scene(folder)


def label_problems(folder: Path) -> list[str]:
    """Problems of the label sets; the scans of the scene at hand are no real ones."""
    return [line for line in check_scene(folder).problems if "/labels/" in line]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_scene(tmp_path / "scene", WIDTH, HEIGHT)
    return tmp_path / "scene"


def test_labels_come_back_beside_the_scenes_own(folder: Path) -> None:
    assert open_scene(folder).label_sets() == ()
    scene = write(folder)
    assert scene.label_sets() == ("net",)
    assert scene.class_names == ("x", "y", "z")
    assert scene.label_set("net").class_names == scene.class_names_of("net") == NAMES
    assert scene.class_names_of(None) == scene.class_names
    for index, name in enumerate(scene.frame_names()):
        labels, sure = truth(index)
        # As any other program would read them.
        np.testing.assert_array_equal(np.asarray(Image.open(folder / f"labels/net/{name}.png")), labels)
        np.testing.assert_array_equal(np.asarray(Image.open(folder / f"labels/net/{name}.confidence.png")), sure)
        own, frame = scene.load_frame(name), scene.load_frame(name, labels="net")
        assert own.confidence is None
        assert own.labels is not None
        assert int(own.labels.max()) == 2
        assert frame.labels is not None
        assert frame.confidence is not None
        np.testing.assert_array_equal(frame.labels.numpy(), labels)
        np.testing.assert_allclose(frame.confidence.numpy(), sure / 255, atol=1e-7)
        assert torch.equal(frame.color, own.color)
        assert torch.equal(frame.depth, own.depth)


def test_resized_labels_and_confidence_are_those_of_one_pixel(folder: Path) -> None:
    scene = write(folder)
    frame = scene.load_frame("b b", 16, 12, labels="net")
    labels, sure = truth(1)
    assert frame.labels is not None
    assert frame.confidence is not None
    # Of four pixels, the third is at the middle: (0.5 + 0) * 4 = 2.
    np.testing.assert_array_equal(frame.labels.numpy(), labels[2::4, 2::4])
    np.testing.assert_allclose(frame.confidence.numpy(), sure[2::4, 2::4] / 255, atol=1e-7)


@pytest.mark.parametrize("name", ["..", "../other", "/tmp/other", "a/b", ".hidden", "", "a\\b", "x\0y"])
def test_names_that_lead_elsewhere_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match="plain name"):
        open_scene(folder).label_set(name)
    with pytest.raises(DataError, match="plain name"):
        begin_label_set(folder, name, DOCUMENT, ["a"])
    assert not (folder / "labels").exists()


@pytest.mark.parametrize("linked", ["set", "all", "file"])
def test_links_out_of_the_scene_are_refused(folder: Path, tmp_path: Path, linked: str) -> None:
    write(folder)
    place = {"set": "labels/net", "all": "labels", "file": "labels/net/a.png"}[linked]
    os.rename(folder / place, tmp_path / "outside")
    os.symlink(tmp_path / "outside", folder / place)
    with pytest.raises(DataError, match="inside the scene folder, got a link"):
        open_scene(folder).load_frame("a", labels="net")


@pytest.mark.parametrize("linked", ["set", "all"])
def test_nothing_is_written_through_a_link_to_a_folder(folder: Path, tmp_path: Path, linked: str) -> None:
    (tmp_path / "outside").mkdir()
    place = folder / ("labels/net" if linked == "set" else "labels")
    place.parent.mkdir(exist_ok=True)
    os.symlink(tmp_path / "outside", place)
    with pytest.raises(DataError, match="inside the scene folder, got a link"):
        begin_label_set(folder, "net", DOCUMENT, ("a",), overwrite=True)
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", ".a.png.partial"])
def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "precious").write_text("mine")
    writer = begin_label_set(folder, "net", DOCUMENT, ("a",))
    os.symlink(tmp_path / "precious", writer.path / name)
    writer.write("a", torch.zeros(HEIGHT, WIDTH).long(), torch.ones(HEIGHT, WIDTH))
    assert (tmp_path / "precious").read_text() == "mine"
    assert int(writer.load("a")[0].max()) == 0


def test_sets_that_do_not_exist_and_frames_without_labels_are_named(folder: Path) -> None:
    scene = write(folder)
    with pytest.raises(DataError, match="no label set 'other'; it has net"):
        scene.load_frame("a", labels="other")
    (folder / "labels/net/a.confidence.png").unlink()
    assert scene.label_set("net").missing(scene.frame_names()) == ("a",)
    with pytest.raises(DataError, match=r"a\.confidence\.png: frame a is not labelled"):
        scene.load_frame("a", labels="net")


def set_document(folder: Path, **changes: object) -> None:
    path = folder / "labels/net/labels.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_names": []}, "class_names"),
        ({"class_names": ["a", "a"]}, "'a' twice"),
        ({"class_names": [str(index) for index in range(256)]}, "class_names"),
        ({"version": 2}, "version"),
        ({"digest": "short"}, "digest"),
        ({"extra": 1}, "extra"),
    ],
)
def test_broken_documents_name_the_key(folder: Path, change: dict[str, object], message: str) -> None:
    write(folder)
    set_document(folder, **change)
    with pytest.raises(DataError, match=f"labels.json.*{message}"):
        open_label_set(folder, "net")
    assert any("labels.json" in line and message in line for line in label_problems(folder))


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def resize(path: Path) -> None:
    Image.open(path).resize((32, 24)).save(path)


def other_class(path: Path) -> None:
    pixels = np.asarray(Image.open(path)).copy()
    pixels[7, 3] = 9
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("b b.png", spoil, "damaged"),
        ("b b.confidence.png", spoil, "damaged"),
        ("b b.png", resize, "64x48"),
        ("b b.confidence.png", resize, "64x48"),
        ("b b.png", other_class, "below 4 or 255, got 9"),
        ("b b.png", Path.unlink, "not labelled"),
    ],
)
def test_damage_is_named_when_read_and_by_the_check(
    folder: Path, file: str, change: Callable[[Path], None], message: str
) -> None:
    scene = write(folder)
    assert label_problems(folder) == []
    assert "label set net: 4 classes, 3 of 3 frames, by mseg:/old/net.pth" in check_scene(folder).facts
    change(folder / "labels/net" / file)
    with pytest.raises(DataError, match=message) as caught:
        scene.load_frame("b b", labels="net")
    assert file in str(caught.value)
    problems = label_problems(folder)
    assert len(problems) == 1
    assert file.split(".")[0] in problems[0]


def test_the_check_names_every_frame_without_labels(folder: Path) -> None:
    write(folder)
    for name in ("a", "c"):
        (folder / f"labels/net/{name}.png").unlink()
    (problem,) = label_problems(folder)
    assert "labels/net: expected labels of 3 frames, got none of 2: a, c" in problem


def test_the_check_names_a_confidence_without_label(folder: Path) -> None:
    write(folder)
    path = folder / "labels/net/a.confidence.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[1, :3] = 9
    Image.fromarray(pixels).save(path)
    (problem,) = label_problems(folder)
    assert "a.confidence.png: expected 0 where there is no label, got more in 3 pixels" in problem


def test_a_set_made_in_the_same_way_goes_on_wherever_the_weights_lie(folder: Path) -> None:
    write(folder)
    before = contents(folder / "labels/net")
    moved = DOCUMENT.model_copy(update={"segmenter": "mseg:/new/net.pth"})
    writer = begin_label_set(folder, "net", moved, ("a", "b b", "c"))
    assert writer.missing(("a", "b b", "c")) == ()
    assert contents(folder / "labels/net") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "cd" * 32}, "digest abab.* instead of cdcd"),
        ({"options": {"scales": [1.0, 1.5]}}, "options"),
        ({"class_names": ("floor", "wall")}, "class_names"),
        ({"segmenter": "hf:net"}, "segmenter mseg instead of hf"),
        ({"segmenter": "mseg:/other", "digest": None}, "segmenter"),
    ],
)
def test_another_way_needs_overwrite(folder: Path, change: dict[str, object], message: str) -> None:
    write(folder)
    before = contents(folder)
    other = DOCUMENT.model_copy(update=change)
    with pytest.raises(DataError, match=message):
        begin_label_set(folder, "net", other, ("a", "b b", "c"))
    assert contents(folder) == before
    (folder / "labels/net/notes.txt").write_text("mine")
    writer = begin_label_set(folder, "net", other, ("a", "b b", "c"), overwrite=True)
    assert writer.missing(("a", "b b", "c")) == ("a", "b b", "c")
    assert sorted(contents(folder / "labels/net")) == ["labels.json", "notes.txt"]
    assert open_label_set(folder, "net").document == other


def test_images_of_unknown_origin_are_not_taken_over(folder: Path) -> None:
    write(folder)
    (folder / "labels/net/labels.json").unlink()
    with pytest.raises(DataError, match=r"no labels\.json"):
        begin_label_set(folder, "net", DOCUMENT, ("a", "b b", "c"))


def test_frames_whose_files_would_be_the_same_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"two that need a\.confidence\.png"):
        begin_label_set(folder, "net", DOCUMENT, ("a", "a.confidence"))
    assert not (folder / "labels").exists()


@pytest.mark.parametrize(
    ("labels", "confidence"),
    [
        (torch.full((2, 3), 4), torch.ones(2, 3)),
        (torch.full((2, 3), -1), torch.ones(2, 3)),
        (torch.zeros(2, 3).long(), torch.full((2, 3), 1.5)),
        (torch.zeros(2, 3).long(), torch.full((2, 3), float("nan"))),
        (torch.zeros(2, 3).long(), torch.ones(3, 2)),
    ],
)
def test_wrong_values_are_not_written(folder: Path, labels: torch.Tensor, confidence: torch.Tensor) -> None:
    writer = begin_label_set(folder, "net", DOCUMENT, ("a",))
    with pytest.raises(ValueError, match="frame a"):
        writer.write("a", labels, confidence)
    assert sorted(contents(writer.path)) == ["labels.json"]


def test_a_pack_carries_the_sets(folder: Path, tmp_path: Path) -> None:
    write(folder)
    write(folder, "other", DOCUMENT.model_copy(update={"segmenter": "shipped", "class_names": (*NAMES, "more")}))
    (folder / "labels/other/c.png").unlink()
    (folder / "labels/other/notes.txt").write_text("not of the set")
    pack_scene(folder, tmp_path / "a.pack", PackOptions(color="png"))
    back = unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    expected = contents(folder)
    # What belongs to no labelled frame stays behind.
    for name in ("labels/other/notes.txt", "labels/other/c.confidence.png"):
        expected.pop(name)
    assert contents(back.path) == expected
    assert back.label_sets() == ("net", "other")


def test_a_smaller_pack_picks_labels_and_confidence(folder: Path, tmp_path: Path) -> None:
    scene = write(folder)
    pack_scene(folder, tmp_path / "a.pack", PackOptions(image_width=16))
    back = unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    small, expected = back.load_frame("c", labels="net"), scene.load_frame("c", 16, labels="net")
    assert small.labels is not None
    assert small.confidence is not None
    assert expected.labels is not None
    assert expected.confidence is not None
    assert small.labels.shape == (12, 16)
    assert torch.equal(small.labels, expected.labels)
    assert torch.equal(small.confidence, expected.confidence)
    assert label_problems(back.path) == []


def test_a_damaged_set_is_not_packed(folder: Path, tmp_path: Path) -> None:
    write(folder)
    spoil(folder / "labels/net/a.png")
    with pytest.raises(DataError, match=r"a\.png"):
        pack_scene(folder, tmp_path / "a.pack")
    assert not (tmp_path / "a.pack").exists()
