"""Pictures of depth, labels and colour, pixel by pixel."""

from __future__ import annotations

import dataclasses

import torch

from sparse_s4r.render.pictures import (
    class_palette,
    color_picture,
    comparison,
    depth_picture,
    label_picture,
    probability_colors,
    probability_picture,
    tile,
)
from sparse_s4r.structures import IGNORE_LABEL
from tests.losses.views import make_frame, make_view

GREY = [40, 40, 40]


def test_color_is_rounded_and_clamped() -> None:
    color = torch.tensor([[[0.0, 0.5, 1.0], [-1.0, 2.0, 0.001]]], requires_grad=True)
    assert color_picture(color).tolist() == [[[0, 128, 255], [0, 255, 0]]]
    assert color_picture(color, torch.tensor([[True, False]])).tolist() == [[[0, 128, 255], GREY]]


def test_depth_runs_from_red_to_violet() -> None:
    picture = depth_picture(torch.tensor([[0.0, 1e-6, 2.0, 10.0, 99.0]]), far=10.0)
    assert picture.dtype == torch.uint8
    missing, near, second, far, beyond = picture[0].tolist()
    assert missing == GREY
    assert near[0] > near[1]
    assert near[0] > near[2]
    # 2 m of 10 is the second of six stops.
    assert second == [246, 168, 53]
    assert far == beyond == [46, 30, 90]


def test_depth_colors_tell_depths_apart() -> None:
    picture = depth_picture(torch.linspace(0.1, 10, 50)[None], far=10.0)[0]
    assert len(torch.unique(picture, dim=0)) == 50


def test_labels_take_the_palette() -> None:
    palette = torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.uint8)
    labels = torch.tensor([[0, 1, IGNORE_LABEL]])
    assert label_picture(labels, palette).tolist() == [[[1, 2, 3], [4, 5, 6], GREY]]


def test_the_palette_separates_classes() -> None:
    palette = class_palette(20)
    assert palette.shape == (20, 3)
    assert torch.equal(palette[:7], class_palette(7))
    distance = torch.cdist(palette.float(), palette.float()) + 1000 * torch.eye(20)
    assert float(distance.min()) > 20
    assert float((palette.float() - 40).abs().sum(1).min()) > 60
    assert class_palette(0).shape == (0, 3)


def test_tiles_on_white() -> None:
    black = torch.zeros(2, 3, 3, dtype=torch.uint8)
    sheet = tile([[black, black], [black]], gap=1)
    assert sheet.shape == (5, 7, 3)
    dark = sheet.eq(0).all(dim=-1)
    assert dark[:2, :3].all()
    assert dark[:2, 4:].all()
    assert dark[3:, :3].all()
    assert int(dark.sum()) == 18
    assert sheet[2].eq(255).all()


def test_comparison_shows_the_frame_above_the_render() -> None:
    color = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    view = make_view([1.0, 2.0], [True, False], color, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    frame = make_frame([1.0, 2.0], 1 - color, [0, IGNORE_LABEL])
    sheet = comparison(view, frame)
    # Three pictures of 2x1 pixels in two rows, 4 pixels apart.
    assert sheet.shape == (2 + 4, 3 * 2 + 2 * 4, 3)
    palette = class_palette(2)
    assert sheet[0, :2].tolist() == [[0, 255, 255], [255, 0, 255]]
    assert sheet[5, :2].tolist() == [[255, 0, 0], GREY]
    assert sheet[0, 12:].tolist() == [palette[0].tolist(), GREY]
    assert sheet[5, 12:].tolist() == [palette[1].tolist(), GREY]
    # The same depth has the same colour in both rows.
    assert torch.equal(sheet[0, 6], sheet[5, 6])


def test_comparison_of_a_bare_field() -> None:
    view = make_view([1.0])
    sheet = comparison(view, make_frame([1.0]))
    assert sheet.shape == (6, 6, 3)
    assert sheet[5, 0].tolist() == GREY
    labelled = dataclasses.replace(view, semantic_logits=torch.rand(1, 1, 2))
    assert comparison(labelled, make_frame([1.0])).shape == (6, 11, 3)


def test_probabilities_run_from_yellow_over_red_to_blue() -> None:
    colors = probability_colors(torch.tensor([0.0, 0.25, 0.5, 1.0, 7.0]))
    assert colors.dtype == torch.uint8
    assert colors.tolist() == [[255, 225, 70], [240, 155, 60], [225, 85, 50], [45, 60, 110], [45, 60, 110]]


def test_probabilities_are_those_of_the_voxels_that_are_seen() -> None:
    view = make_view([1.0, 1.0, 0.0], [True, True, False])
    view = dataclasses.replace(view, voxel=torch.tensor([[1, 0, -1]]))
    picture = probability_picture(torch.tensor([0.5, 1.0]), view)
    assert picture.tolist() == [[[45, 60, 110], [225, 85, 50], GREY]]
    blind = dataclasses.replace(view, hit=torch.zeros(1, 3, dtype=torch.bool), voxel=torch.full((1, 3), -1))
    assert probability_picture(torch.zeros(0), blind).tolist() == [[GREY, GREY, GREY]]
