"""The view from above: it shows all of the scene, and what was completed."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.structures import GridSpec, ScenePrediction
from sparse_s4r.viewer.overview import overview, overview_camera


@given(
    st.tuples(*[st.floats(-50.0, 50.0)] * 3),
    st.tuples(*[st.floats(0.5, 20.0)] * 3),
    st.floats(0.0, 360.0),
)
def test_the_camera_sees_all_points(
    lower: tuple[float, float, float], size: tuple[float, float, float], azimuth: float
) -> None:
    corner, edges = torch.tensor(lower, dtype=torch.float64), torch.tensor(size, dtype=torch.float64)
    points = corner + torch.rand(200, 3, dtype=torch.float64) * edges
    camera = overview_camera(points, 120, 100, azimuth)
    pixels, depth = camera.project(points)
    assert bool((depth > 0).all())
    assert bool((pixels >= -0.5).all())
    assert bool((pixels < torch.tensor([119.5, 99.5])).all())
    # From above, and close enough that the points fill a good part of the picture in one direction.
    assert float(camera.center[2]) > float(points[:, 2].max())
    assert float(camera.camera_to_world[2, 2]) == pytest.approx(-0.788, abs=1e-3)


def floor() -> ScenePrediction:
    """A floor of 24 x 24 voxels of 10 cm, the half with y >= 12 completed and blue, the other red."""
    axis = torch.arange(24)
    cells = torch.cartesian_prod(axis, axis, torch.arange(-3, 3))
    completed = cells[:, 1] >= 12
    color = torch.where(completed[:, None], torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]))
    return ScenePrediction(
        GridSpec(0.1),
        cells,
        (cells[:, 2] + 0.5) * 0.1,
        color,
        torch.stack([1.0 - completed.float(), completed.float()], dim=1),
        ~completed,
    )


def test_a_floor_in_its_three_aspects() -> None:
    field = floor()
    camera = overview_camera(field.grid.centers(field.coordinates), 60, 50)
    pictures = overview(field, camera)
    assert pictures.color is not None
    assert pictures.labels is not None
    points = torch.tensor([[0.6, 0.6, 0.0], [0.6, 1.8, 0.0]])
    (seen, completed), _ = camera.project(points)
    at = [(int(pixel[1].round()), int(pixel[0].round())) for pixel in (seen, completed)]
    red, blue = (pictures.color[place].tolist() for place in at)
    assert red == [255, 0, 0]
    assert blue == [0, 0, 255]
    grey, orange = (pictures.shape[place].float() for place in at)
    assert float(grey.max() - grey.min()) < 0.15 * float(grey.max())
    assert float(orange[0]) > 2 * float(orange[2])
    assert pictures.labels[at[0]].tolist() != pictures.labels[at[1]].tolist()
    # Around the floor the page stays white.
    for picture in (pictures.shape, pictures.color, pictures.labels):
        assert picture.shape == (50, 60, 3)
        assert picture[0, 0].tolist() == [255, 255, 255]


def test_a_bare_field_has_a_shape_only() -> None:
    field = dataclasses.replace(floor(), color=None, semantic_logits=None, observed=None)
    pictures = overview(field, overview_camera(field.grid.centers(field.coordinates), 60, 50))
    assert pictures.color is None
    assert pictures.labels is None
    assert bool((pictures.shape != 255).any())
