from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.data.label_sets import open_label_set
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.inference.label_overview import LabelOverview, paint_labels
from sparse_s4r.inference.label_scene import LabelOptions, label_scene
from sparse_s4r.segmentation.taxonomy import Taxonomy, load_taxonomy
from tests.data.test_scene_pack import make_scene
from tests.inference.test_label_scene import Fake, labeller

COLORS = ((255, 0, 0), (0, 255, 0))


def count(sheet: np.ndarray, color: tuple[int, int, int], tolerance: int = 0) -> int:
    return int((np.abs(sheet.astype(int) - color).max(axis=2) <= tolerance).sum())


def test_paint_fades_with_the_confidence_and_is_grey_without_label() -> None:
    color = torch.tensor([[[0.2, 0.4, 0.6]] * 4])
    labels = torch.tensor([[0, 0, 0, 255]])
    painted = paint_labels(color, labels, torch.tensor([[1.0, 0.5, 0.0, 0.0]]), Taxonomy("two", ("a", "b"), COLORS))
    # 0.65 of red where it is certain, half of that at 0.5, none at 0; half of the mean brightness without label.
    expected = [[0.2 * 0.35 + 0.65, 0.4 * 0.35, 0.6 * 0.35], [0.2 * 0.675 + 0.325, 0.4 * 0.675, 0.6 * 0.675]]
    np.testing.assert_allclose(painted[0].numpy(), [*expected, [0.2, 0.4, 0.6], [0.2, 0.2, 0.2]], atol=1e-6)


@pytest.mark.parametrize(("frames", "tiles", "rows"), [(1, 1, 1), (5, 5, 2), (300, 12, 3)])
def test_frames_are_spread_over_the_scene(frames: int, tiles: int, rows: int) -> None:
    overview = LabelOverview("room", Taxonomy("two", ("a", "b"), COLORS), frames)
    chosen = [index for index in range(frames) if overview.wants(index)]
    assert len(chosen) == tiles
    gaps = np.diff([-0.5 - (chosen[0] + 0.5), *chosen]) if len(chosen) > 1 else np.array([1])
    assert gaps.max() - gaps.min() <= 1 + 1e-9
    for index in range(frames):
        overview.add(index, torch.ones(24, 32, 3), torch.ones(24, 32).long(), torch.ones(24, 32))
    sheet = overview.draw((0.25, 0.75)).numpy()
    # Tiles of 320 x 240 in 65 % green over white.
    assert count(sheet, (89, 255, 89), 1) == tiles * 320 * 240
    assert rows * 240 < sheet.shape[0] < rows * 240 + 200


def test_the_legend_shows_every_class_below_the_frames() -> None:
    overview = LabelOverview("room", Taxonomy("two", ("a", "b"), COLORS), 1)
    overview.add(0, torch.zeros(24, 32, 3), torch.zeros(24, 32).long(), torch.zeros(24, 32))
    sheet = overview.draw((0.25, 0.75)).numpy()
    legend = sheet[300:]
    for color in COLORS:
        assert count(legend, color) > 100
        assert count(sheet[:300], color) == 0
    # Names in ink beside the swatches; another name gives other letters.
    other = LabelOverview("room", Taxonomy("two", ("a", "w"), COLORS), 1)
    other.add(0, torch.zeros(24, 32, 3), torch.zeros(24, 32).long(), torch.zeros(24, 32))
    assert not np.array_equal(other.draw((0.25, 0.75)).numpy()[300:], legend)


def test_a_legend_of_many_classes_has_a_swatch_for_each() -> None:
    names = tuple(f"a class of the name {index}" for index in range(39))
    colors = tuple((6 * index, 250 - 6 * index, 77) for index in range(39))
    overview = LabelOverview("room", Taxonomy("many", names, colors), 1)
    overview.add(0, torch.zeros(24, 32, 3), torch.full((24, 32), 255), torch.zeros(24, 32))
    sheet = overview.draw((0.0,) * 39).numpy()
    assert all(count(sheet, color) > 100 for color in colors)


def test_the_picture_of_a_scene_lies_in_its_set(tmp_path: Path) -> None:
    make_scene(tmp_path / "scene")
    summary = label_scene(open_scene(tmp_path / "scene"), labeller(Fake()), LabelOptions("shipped", name="fake"))
    assert summary.overview == open_label_set(tmp_path / "scene", "fake").path / "overview.jpg"
    from PIL import Image

    picture = np.asarray(Image.open(summary.overview))
    # JPEG changes colours a little; the swatches of all eleven classes are there.
    legend = picture[300:]
    assert all(count(legend, color, 12) > 60 for color in load_taxonomy("matterport11").colors)
