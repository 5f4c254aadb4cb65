"""The bridge to Open3D: the same voxels, the same places, and a judge that sees what a formula says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sparse_s4r.structures import GridSpec, ScenePrediction
from tests.render.fields import box_distance, look_at, make_field, plane_depth
from tools.open3d_fields import BlockGridCaster, BlockGridViews, MeshCaster, range_factor

NEAR, FAR = 0.1, 5.0
# Off the world's origin, so that a forgotten one shows.
GRID = GridSpec(0.02, (-0.96, 0.32, -0.64))
SLANTED = (0.3, -0.2, 1.0)
CAMERA = look_at((0.1, 0.05, 1.0), (0.0, 0.0, 0.0), (40, 32), 60)


def wall(normal: tuple[float, float, float], offset: float, grid: GridSpec = GRID) -> ScenePrediction:
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    return make_field(lambda points: points @ unit - offset, 0.7, grid)


def cast(caster: BlockGridCaster, *attributes: str) -> BlockGridViews:
    return caster.cast(CAMERA, NEAR, FAR, ("depth", *attributes))


def test_the_mesh_lies_where_the_formula_says() -> None:
    depth = MeshCaster(wall(SLANTED, 0.013)).cast(CAMERA, NEAR, FAR)
    # float32 rays of about a metre.
    torch.testing.assert_close(depth, plane_depth(CAMERA, SLANTED, 0.013), rtol=0, atol=2e-6)


def test_the_mesh_is_looked_through_from_behind() -> None:
    below = look_at((0.0, 0.0, -1.0), (0.0, 0.0, 0.0), (16, 12), 60)
    judge = MeshCaster(wall((0.0, 0.0, 1.0), 0.013))
    assert not judge.cast(below, NEAR, FAR).any()
    # From within a box, its far side too is a back face; a second box behind it is not.
    boxes = make_field(
        lambda p: torch.minimum(
            box_distance(p, (0.2, 0.2, 0.2)), box_distance(p - torch.tensor([0, 0, 0.6]), (0.2,) * 3)
        ),
        0.85,
    )
    inside = look_at((0.01, 0.02, 0.0), (0.01, 0.02, 1.0), (8, 8), 60)
    depth = MeshCaster(boxes).cast(inside, 0.01, FAR)
    torch.testing.assert_close(depth, torch.full_like(depth, 0.4), rtol=0, atol=1e-5)
    assert not MeshCaster(boxes).cast(inside, 0.01, 0.39).any()


def test_the_block_grid_holds_the_same_field() -> None:
    # Wide enough that all eight voxels around its hits, off as they are, exist.
    field = wall(SLANTED, 0.013, replace(GRID, truncation_voxels=6.0))
    to_color = torch.tensor([[0.3, 0.1, 0.0], [-0.1, 0.4, 0.2], [0.2, 0.0, -0.3]], dtype=torch.float64)
    centers = field.grid.centers(field.coordinates, dtype=torch.float64)
    caster = BlockGridCaster(replace(field, color=0.5 + centers @ to_color))
    views = cast(caster, "normal", "color")
    hit = views.depth > 0
    assert hit.double().mean() > 0.9
    error = views.depth.double() - plane_depth(CAMERA, SLANTED, 0.013)
    # It reads the voxel whose cube holds the sample, so a crossing is off by a voxel and the step between two samples.
    assert float(error[hit].abs().max()) < 2 * math.sqrt(3) * 0.02
    # Colours it does interpolate, as if values lay where it fuses them: at its own hit that is the formula.
    expected = 0.5 + CAMERA.unproject(views.depth.double()) @ to_color
    assert views.color is not None
    torch.testing.assert_close(views.color[hit].double(), expected[hit], rtol=0, atol=1e-4)
    assert views.normal is not None


def test_values_in_the_middle_of_cubes_take_the_bias_away() -> None:
    errors = []
    for middle in (False, True):
        # Places of the wall over a whole voxel.
        for offset in torch.arange(8) * 0.0025:
            caster = BlockGridCaster(wall((0.0, 0.0, 1.0), float(offset)), middle=middle)
            depth = cast(caster).depth.double()
            errors.append(float((depth - plane_depth(CAMERA, (0.0, 0.0, 1.0), float(offset)))[depth > 0].mean()))
    as_fused, moved = sum(errors[:8]) / 8, sum(errors[8:]) / 8
    assert moved - as_fused == pytest.approx(0.01, abs=1e-3)
    assert abs(moved) < 2.5e-3 < abs(as_fused)


@pytest.mark.parametrize(("block", "absent"), [(8, 0.0), (16, 1.0)])
def test_absent_voxels_are_not_hit(block: int, absent: float) -> None:
    field = wall((0.0, 0.0, 1.0), 0.013)
    right = field.grid.centers(field.coordinates)[:, 0] > 0
    caster = BlockGridCaster(field.select(right), block, absent)
    depth = cast(caster).depth.double()
    points = CAMERA.unproject(plane_depth(CAMERA, (0.0, 0.0, 1.0), 0.013))
    assert not depth[points[..., 0] < -0.03].any()
    assert (depth > 0)[points[..., 0] > 0.03].double().mean() > 0.95


def test_range_factor_divides_the_image() -> None:
    sizes = {(320, 256): 8, (540, 360): 6, (30, 20): 5, (7, 5): 1}
    found = {size: range_factor(look_at((1, 0, 0), (0, 0, 0), size)) for size in sizes}
    assert found == sizes
