import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sparse_s4r.data.label_sets import open_label_set
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.data.scene_pack import PackOptions, pack_scene, unpack_scene
from sparse_s4r.inference.label_scene import (
    Labeller,
    LabelOptions,
    ask_images,
    label_scene,
    label_scenes,
    most_probable,
)
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import ConfigError, DataError
from tests.data.test_scene_pack import contents, make_scene

TAXONOMY = load_taxonomy("matterport11")
NAMES = TAXONOMY.class_names
OPTIONS = LabelOptions("shipped", name="fake")


class Fake:
    """Tells classes from the image alone, by a rule that the tests can compute: class 2 where it is red, else 5.

    Sure by the green there; nothing where the row is 0. Notes the sizes of the batches that it is asked for.
    """

    class_names = NAMES

    def __init__(self, fail_after: int | None = None) -> None:
        self.asked: list[tuple[int, ...]] = []
        self._fail_after = fail_after

    def probabilities(self, images: Tensor) -> Tensor:
        if self._fail_after is not None and len(self.asked) == self._fail_after:
            raise KeyboardInterrupt
        self.asked.append(tuple(images.shape))
        sure = 0.5 + images[:, 1] / 2
        result = ((1 - sure) / 10).unsqueeze(1).repeat(1, len(NAMES), 1, 1)
        chosen = torch.where(images[:, 0] > 0.5, 2, 5)
        result.scatter_(1, chosen.unsqueeze(1), sure.unsqueeze(1))
        result[:, :, 0] = 0
        return result


def labeller(segmenter: Fake, digest: str = "ab" * 32) -> Labeller:
    return Labeller(NAMES, digest, ask_images(segmenter))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_scene(tmp_path / "scene")
    return tmp_path / "scene"


def expected(frame: RGBDFrame) -> tuple[np.ndarray, np.ndarray]:
    color = frame.color.numpy()
    labels = np.where(color[..., 0] > 0.5, 2, 5)
    sure = np.rint((0.5 + color[..., 1] / 2) * 255)
    labels[0], sure[0] = 255, 0
    return labels, sure


def test_every_frame_is_labelled_and_told_of(folder: Path) -> None:
    scene, segmenter = open_scene(folder), Fake()
    summary = label_scene(scene, labeller(segmenter), LabelOptions("shipped", name="fake", batch=2))
    assert segmenter.asked == [(2, 3, 48, 64), (1, 3, 48, 64)]
    counts, sure_sum = np.zeros(256, dtype=np.int64), 0.0
    for name in scene.frame_names():
        labels, sure = expected(scene.load_frame(name))
        found = np.asarray(Image.open(folder / f"labels/fake/{name}.png"))
        np.testing.assert_array_equal(found, labels)
        # Half a step of rounding more: float32 may fall on either side.
        np.testing.assert_allclose(np.asarray(Image.open(folder / f"labels/fake/{name}.confidence.png")), sure, atol=1)
        counts += np.bincount(labels.flatten(), minlength=256)
        sure_sum += sure.sum() / 255
    pixels = counts.sum()
    assert summary.shares == pytest.approx(counts[: len(NAMES)] / pixels)
    assert summary.unlabelled == pytest.approx(1 / 48)
    assert summary.confidence == pytest.approx(sure_sum / (pixels - counts[255]), abs=0.003)
    assert (summary.frames, summary.newly, summary.confusion) == (3, 3, None)
    document = json.loads((folder / "labels/fake/labels.json").read_text())
    assert document["class_names"] == list(NAMES)
    assert document["segmenter"] == "shipped"
    assert document["options"] == {"taxonomy": "matterport11", "min_confidence": 0.0, "scales": None}


def test_killed_and_started_again_it_asks_only_for_the_rest(folder: Path, tmp_path: Path) -> None:
    options = LabelOptions("shipped", name="fake", batch=1)
    with pytest.raises(KeyboardInterrupt):
        label_scene(open_scene(folder), labeller(Fake(fail_after=2)), options)
    half = contents(folder / "labels/fake")
    assert sorted(half) == ["a.confidence.png", "a.png", "b b.confidence.png", "b b.png", "labels.json"]
    # Killed while a file was written: what is left of it is no label.
    (folder / "labels/fake/.c.png.partial").write_bytes(b"half")
    (folder / "labels/fake/c.confidence.png").write_bytes(b"half")
    rest = Fake()
    summary = label_scene(open_scene(folder), labeller(rest), options)
    assert len(rest.asked) == summary.newly == 1
    make_scene(tmp_path / "again")
    label_scene(open_scene(tmp_path / "again"), labeller(Fake()), options)
    whole = contents(tmp_path / "again/labels/fake")
    assert contents(folder / "labels/fake") == whole
    # And a third time there is nothing to ask.
    idle = Fake()
    assert label_scene(open_scene(folder), labeller(idle), options).newly == 0
    assert idle.asked == []
    assert contents(folder / "labels/fake") == whole


@pytest.mark.parametrize("change", ["weights", "min_confidence"])
def test_another_segmenter_needs_overwrite(folder: Path, change: str) -> None:
    label_scene(open_scene(folder), labeller(Fake()), OPTIONS)
    before = contents(folder)
    digest = "cd" * 32 if change == "weights" else "ab" * 32
    least = 0.9 if change == "min_confidence" else 0.0
    with pytest.raises(DataError, match="--overwrite"):
        label_scene(
            open_scene(folder),
            labeller(Fake(), digest),
            LabelOptions("shipped", name="fake", min_confidence=least),
        )
    assert contents(folder) == before
    options = LabelOptions("shipped", name="fake", min_confidence=least, overwrite=True)
    assert label_scene(open_scene(folder), labeller(Fake(), digest), options).newly == 3
    assert open_label_set(folder, "fake").document.digest == digest


def test_pixels_below_the_least_confidence_have_no_label(folder: Path) -> None:
    options = LabelOptions("shipped", name="fake", min_confidence=0.8)
    summary = label_scene(open_scene(folder), labeller(Fake()), options)
    frame = open_scene(folder).load_frame("a", labels="fake")
    assert frame.labels is not None
    assert frame.confidence is not None
    sure = 0.5 + frame.color[..., 1].numpy() / 2
    sure[0] = 0
    np.testing.assert_array_equal((frame.labels == 255).numpy(), sure < 0.8)
    assert bool((frame.confidence[frame.labels == 255] == 0).all())
    assert summary.confidence > 0.8


@pytest.mark.parametrize("bad", ["damaged", "class"])
def test_a_damaged_file_is_named_and_nothing_is_repaired(folder: Path, bad: str) -> None:
    label_scene(open_scene(folder), labeller(Fake()), OPTIONS)
    path = folder / "labels/fake/b b.png"
    if bad == "damaged":
        path.write_bytes(path.read_bytes()[:50])
    else:
        Image.fromarray(np.full((48, 64), 11, dtype=np.uint8)).save(path)
    spoiled = path.read_bytes()
    with pytest.raises(DataError, match=r"b b\.png"):
        label_scene(open_scene(folder), labeller(Fake()), OPTIONS)
    assert path.read_bytes() == spoiled


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(3, 48, 64), r"expected shape \(11, 48, 64\)"),
        (torch.zeros(11, 24, 64), r"expected shape \(11, 48, 64\)"),
        (torch.full((11, 48, 64), float("nan")), "NaN"),
        (torch.full((11, 48, 64), 2.0), "values in"),
    ],
)
def test_what_is_no_probability_is_refused(folder: Path, value: Tensor, message: str) -> None:
    def ask(frames: Sequence[RGBDFrame]) -> Sequence[Tensor]:
        return [value for _ in frames]

    with pytest.raises(DataError, match=f"frame a: shipped: .*{message}"):
        label_scene(open_scene(folder), Labeller(NAMES, None, ask), OPTIONS)
    assert sorted(contents(folder / "labels/fake")) == ["labels.json"]


def test_the_most_probable_class_by_hand() -> None:
    probabilities = torch.tensor([[[0.6, 0.2, 0.0, 0.5]], [[0.4, 0.8, 0.0, 0.5]]])
    labels, confidence = most_probable(probabilities, 0.6)
    assert labels.tolist() == [[0, 1, 255, 255]]
    assert confidence.tolist() == [[pytest.approx(0.6), pytest.approx(0.8), 0.0, 0.0]]
    assert most_probable(probabilities)[0].tolist() == [[0, 1, 255, 0]]
    # Sums of float32 may exceed 1 by their rounding.
    assert most_probable(torch.full((1, 1, 1), 1.00001))[1].item() == 1.0


def write_label_images(folder: Path, scene: Path, shift: int = 0) -> None:
    """Label images for the frames of a scene: its own labels, with ``shift`` rows of none above."""
    folder.mkdir(parents=True)
    for path in (scene / "frames").glob("*.labels.png"):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[:shift] = 255
        Image.fromarray(pixels).save(folder / path.name.replace(".labels", ""))


def test_label_images_of_several_scenes_and_their_agreement(tmp_path: Path) -> None:
    scenes = [tmp_path / "one", tmp_path / "two"]
    taxonomy = tmp_path / "xyz.yaml"
    taxonomy.write_text(
        "name: xyz\nclasses:\n" + "".join(f"- {{name: {name}, color: [9, 9, 9]}}\n" for name in ("x", "'y'", "z"))
    )
    for shift, scene in enumerate(scenes):
        make_scene(scene)
        write_label_images(tmp_path / "images" / scene.name, scene, shift * 12)
    options = LabelOptions(f"files:{tmp_path}/images/{{scene}}", str(taxonomy))
    one, two = label_scenes(scenes, options)
    for scene, shift in zip(scenes, (0, 12), strict=True):
        handle = open_scene(scene)
        assert handle.label_sets() == ("files",)
        own, frame = handle.load_frame("c"), handle.load_frame("c", labels="files")
        assert own.labels is not None
        assert frame.labels is not None
        assert torch.equal(own.labels[shift:], frame.labels[shift:])
        assert bool((frame.labels[:shift] == 255).all())
    assert one.confusion is not None
    assert two.confusion is not None
    # All on the diagonal; in the second scene a quarter of the 48 rows is not labelled.
    assert int(one.confusion.sum()) == int(one.confusion[:, :3].trace()) == 3 * 48 * 64
    assert int(two.confusion[:, 3].sum()) == 3 * 12 * 64
    assert int(two.confusion[:, :3].trace()) == 3 * 36 * 64
    assert (one.unlabelled, two.unlabelled) == (0.0, pytest.approx(0.25))
    # Other images under the same name are another segmenter.
    Image.fromarray(np.zeros((48, 64), dtype=np.uint8)).save(tmp_path / "images/one/a.png")
    with pytest.raises(DataError, match="digest"):
        list(label_scenes(scenes, options))


def test_all_scenes_are_opened_before_the_first_is_labelled(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none"):
        list(label_scenes([folder, tmp_path / "none"], LabelOptions("geometry")))
    assert not (folder / "labels").exists()


def test_geometry_takes_its_own_classes_alone(folder: Path) -> None:
    assert LabelOptions("geometry").classes == "structure"
    with pytest.raises(ConfigError, match="expected the taxonomy structure, got matterport11"):
        list(label_scenes([folder], LabelOptions("geometry", "matterport11")))
    assert not (folder / "labels").exists()


def test_options_out_of_range() -> None:
    with pytest.raises(ConfigError, match="batch"):
        LabelOptions("shipped", batch=0)
    with pytest.raises(ConfigError, match="min_confidence"):
        LabelOptions("shipped", min_confidence=1.5)
    with pytest.raises(ConfigError, match="scales"):
        LabelOptions("mseg:a.pth", scales=(0.0,))
    with pytest.raises(ConfigError, match=r"expected one of shipped.*mseg:CHECKPOINT.*hf:.*files:DIR.*geometry"):
        LabelOptions("clever")


def test_a_packed_scene_is_labelled_like_the_scene(folder: Path, tmp_path: Path) -> None:
    label_scene(open_scene(folder), labeller(Fake()), OPTIONS)
    pack_scene(folder, tmp_path / "a.pack", PackOptions(color="png"))
    back = unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    assert contents(back.path) == contents(folder)
    idle = Fake()
    assert label_scene(back, labeller(idle), OPTIONS).newly == 0
    assert idle.asked == []
    label_scene(back, labeller(Fake()), LabelOptions("shipped", name="again"))
    assert contents(back.path / "labels/again") == contents(folder / "labels/fake") | {
        "overview.jpg": contents(back.path / "labels/again")["overview.jpg"]
    }
