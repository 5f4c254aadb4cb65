from __future__ import annotations

import torch

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, GridSpec, ScenePrediction


def plane_field(normal: tuple[float, float, float], distance: float, dtype: torch.dtype) -> ScenePrediction:
    """Signed distance n . x - distance in a band of 3 voxels, within a box of 1 m."""
    grid = GridSpec(0.02)
    axis = torch.arange(-25, 25)
    coordinates = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    tsdf = grid.centers(coordinates, dtype=torch.float64) @ unit - distance
    band = tsdf.abs() < 0.057
    return ScenePrediction(grid, coordinates[band], tsdf[band].to(dtype))


def test_frontal_plane_has_exact_depth() -> None:
    pose = torch.eye(4, dtype=torch.float64)
    pose[2, 3] = -2.0
    intrinsics = torch.tensor([[100.0, 0, 9.5], [0, 100.0, 7.5], [0, 0, 1]], dtype=torch.float64)
    view = Raycaster()(plane_field((0, 0, -1), -0.1234, torch.float64), Camera(intrinsics, pose, 20, 16))
    assert view.hit.all()
    # The field is linear, so only rounding remains.
    torch.testing.assert_close(view.depth, torch.full((16, 20), 2.1234, dtype=torch.float64), rtol=0, atol=1e-9)
