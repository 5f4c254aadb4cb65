"""The prediction of a box with the scan around it, on a row of voxels and on a room."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sparse_s4r.render import Raycaster
from sparse_s4r.render.composed import compose
from sparse_s4r.structures import GridSpec, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import DataError
from tests.render.fields import look_at, plane_field

GRID = GridSpec(0.5)
BOX = (torch.tensor([2, 0, 0]), torch.tensor([4, 16, 16]))


def make_scan(rows: list[tuple[int, float]]) -> SparseTSDF:
    """Voxels (x, 0, 0) with a distance each; red is x / 10."""
    x, tsdf = torch.tensor([x for x, _ in rows]), torch.tensor([value for _, value in rows])
    color = torch.stack([x / 10, torch.zeros(len(x)), torch.ones(len(x))], dim=1)
    return SparseTSDF(GRID, torch.stack([x, 0 * x, 0 * x], dim=1), tsdf, torch.ones(len(x)), color)


def make_prediction() -> ScenePrediction:
    return ScenePrediction(
        GRID,
        torch.tensor([[3, 0, 0], [2, 0, 0]]),
        torch.tensor([0.7, -0.7], requires_grad=True),
        torch.tensor([[0.5, 0.6, 0.7], [0.1, 0.2, 0.3]], requires_grad=True),
        torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True),
        observed=torch.tensor([True, False]),
    )


def test_a_row_of_voxels_by_hand() -> None:
    prediction = make_prediction()
    # Voxels 2 and 3 are the prediction's, though the scan has them too; the box ends before 4.
    field = compose(prediction, make_scan([(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (9, 0.9)]), BOX)
    assert field.coordinates[:, 0].tolist() == [3, 2, 1, 4, 9]
    assert field.tsdf.tolist() == pytest.approx([0.7, -0.7, 0.1, 0.4, 0.9])
    assert field.color is not None
    assert field.color[:, 0].tolist() == pytest.approx([0.5, 0.1, 0.1, 0.4, 0.9])
    assert field.semantic_logits is not None
    assert field.semantic_logits.tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    (field.tsdf.sum() + field.semantic_logits.sum()).backward()
    assert prediction.tsdf.grad is not None
    assert prediction.tsdf.grad.tolist() == [1, 1]


def test_geometry_alone() -> None:
    bare = replace(make_prediction(), color=None, semantic_logits=None)
    field = compose(bare, replace(make_scan([(1, 0.1)]), color=None), BOX)
    assert field.color is None
    assert field.semantic_logits is None
    assert len(field) == 3


def test_what_does_not_fit_is_refused() -> None:
    scan = make_scan([(1, 0.1)])
    with pytest.raises(ValueError, match="expected both on one grid"):
        compose(make_prediction(), replace(scan, grid=GridSpec(0.25)), BOX)
    with pytest.raises(DataError, match="expected a scan with colour around the prediction"):
        compose(make_prediction(), replace(scan, color=None), BOX)


def test_pixels_tell_whose_voxel_they_show() -> None:
    wall = replace(plane_field((1.0, 0.0, 0.0), 0.0, dtype=torch.float32))
    scan = SparseTSDF(wall.grid, wall.coordinates, wall.tsdf, torch.ones(len(wall)), torch.zeros(len(wall), 3))
    # The part of the wall with y >= 0 is predicted, and in white.
    box = (torch.tensor([-100, 0, -100]), torch.tensor([100, 100, 100]))
    own = wall.select(wall.coordinates[:, 1] >= 0)
    prediction = replace(own, color=torch.ones(len(own), 3), semantic_logits=torch.ones(len(own), 1))
    view = Raycaster()(compose(prediction, scan, box), look_at((1.0, 0.013, 0.0), (0.0, 0.013, 0.0), (24, 16), 60))
    assert bool(view.hit.all())
    shown = view.voxel < len(prediction)
    # From the front, the world's +y is to the right of +z up and -x ahead.
    y = view.camera.unproject(view.depth.double())[..., 1]
    clear = y.abs() > 0.011
    assert torch.equal(shown[clear], (y > 0)[clear])
    assert 0.2 < float(shown.float().mean()) < 0.8
    assert view.color is not None
    assert view.semantic_logits is not None
    # Beyond the voxels next to the seam, colours and logits do not mix.
    clear = y.abs() > 0.031
    torch.testing.assert_close(view.color[clear][:, 0], (y > 0)[clear].float())
    torch.testing.assert_close(view.semantic_logits[clear][:, 0], (y > 0)[clear].float())
