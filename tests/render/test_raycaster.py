from __future__ import annotations

from dataclasses import replace

import numpy as np
import open3d as o3d
import pytest
import torch
from torch import Tensor

from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, GridSpec, Mesh, RGBDFrame, ScenePrediction
from tests.render.fields import look_at, sphere_depth, sphere_field


def test_misses_are_zero_and_hits_name_their_voxel() -> None:
    sphere = sphere_field(0.3)
    count = len(sphere)
    sphere = replace(sphere, color=torch.rand(count, 3), semantic_logits=torch.randn(count, 4))
    camera = look_at((1.0, 0, 0), (0, 0, 0), (30, 20), 20)
    view = Raycaster()(sphere, camera)
    assert 0 < int(view.hit.sum()) < view.hit.numel()
    assert torch.equal(view.hit, view.voxel >= 0)
    for image in (view.depth, view.normal, view.color, view.semantic_logits):
        assert image is not None
        assert not image[~view.hit].any()
    points = camera.unproject(view.depth)[view.hit]
    assert torch.equal(sphere.coordinates[view.voxel[view.hit]], sphere.grid.indices(points))


def test_an_empty_field_renders_nothing_and_lets_gradients_pass() -> None:
    grid = GridSpec(0.02)
    tsdf = torch.empty(0, requires_grad=True)
    empty = ScenePrediction(grid, torch.empty(0, 3, dtype=torch.int64), tsdf, torch.empty(0, 3), torch.empty(0, 5))
    view = Raycaster()(empty, look_at((1, 0, 0), (0, 0, 0)))
    assert not view.hit.any()
    assert view.color is not None
    assert view.semantic_logits is not None
    assert view.color.shape == (16, 20, 3)
    assert view.semantic_logits.shape == (16, 20, 5)
    assert not view.depth.any()


def test_a_view_without_hits_is_differentiable() -> None:
    sphere = sphere_field(0.1)
    leaf = sphere.tsdf.clone().requires_grad_()
    view = Raycaster()(replace(sphere, tsdf=leaf), look_at((1, 0, 0), (2, 0, 0)))
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    assert not gradient.any()


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_several_cameras_and_scenes_in_one_call_equal_one_after_the_other(backend: str) -> None:
    raycaster = Raycaster(backend=backend)  # type: ignore[arg-type]
    scenes = [sphere_field(0.3), sphere_field(0.2, grid=GridSpec(0.02, (0.32, -0.64, 0.0)))]
    scenes = [replace(scene, color=torch.rand(len(scene), 3, dtype=torch.float64)) for scene in scenes]
    # Sizes that differ, so that a mix-up of rows or cameras shows.
    cameras = [
        [look_at((1.0, 0, 0), (0, 0, 0)), look_at((0, 1.0, 0.5), (0, 0, 0), (7, 31), 12)],
        [look_at((0.2, -0.9, 0.1), (0, 0, 0), (33, 5), 25)],
    ]
    together = raycaster.render_scenes([raycaster.prepare(scene) for scene in scenes], cameras)
    assert [len(views) for views in together] == [2, 1]
    for scene, eyes, views in zip(scenes, cameras, together, strict=True):
        for camera, view in zip(eyes, views, strict=True):
            alone = raycaster(scene, camera)
            assert view.hit.any()
            assert view.hit.shape == (camera.height, camera.width)
            assert torch.equal(view.depth, alone.depth)
            assert torch.equal(view.voxel, alone.voxel)
            assert view.color is not None
            assert alone.color is not None
            assert torch.equal(view.color, alone.color)
    with pytest.raises(ValueError, match="a list for each of 1 fields"):
        raycaster.render_scenes([raycaster.prepare(scenes[0])], cameras)
    assert raycaster.render_views(raycaster.prepare(scenes[0]), []) == ()


def test_gradients_of_several_views_add_up() -> None:
    sphere = sphere_field(0.3)
    leaf = sphere.tsdf.clone().requires_grad_()
    cameras = [look_at((1.0, 0, 0), (0, 0, 0)), look_at((0.9, 0.3, 0), (0, 0, 0))]
    raycaster = Raycaster()
    field = raycaster.prepare(replace(sphere, tsdf=leaf))
    one, two = (torch.autograd.grad(raycaster.render(field, camera).depth.sum(), leaf)[0] for camera in cameras)
    views = raycaster.render_views(field, cameras)
    (both,) = torch.autograd.grad(views[0].depth.sum() + views[1].depth.sum(), leaf)
    assert (one.bool() & two.bool()).any()
    torch.testing.assert_close(both, one + two, rtol=0, atol=1e-12)


def test_observed_tells_what_the_nearest_voxel_is() -> None:
    sphere = sphere_field(0.3)
    camera = look_at((1.0, 0, 0), (0, 0, 0), (30, 20), 20)
    assert Raycaster()(sphere, camera).observed is None
    upper = sphere.grid.centers(sphere.coordinates)[:, 2] > 0
    view = Raycaster()(replace(sphere, observed=upper), camera)
    assert view.observed is not None
    points = camera.unproject(view.depth)
    # Beyond half a voxel from the border between the two, the hit itself tells.
    clear = view.hit & (points[..., 2].abs() > 0.01)
    assert clear.sum() > 50
    assert torch.equal(view.observed[clear], points[..., 2][clear] > 0)
    assert not view.observed[~view.hit].any()


def test_rendering_and_its_gradients_repeat_bit_by_bit() -> None:
    sphere = sphere_field(0.3, torch.float32)
    camera = look_at((0.8, 0.2, 0.1), (0, 0, 0), (60, 50), 100)
    leaves = (sphere.tsdf.requires_grad_(), torch.rand(len(sphere), 3, requires_grad=True))

    def gradients() -> tuple[Tensor, ...]:
        view = Raycaster()(replace(sphere, color=leaves[1]), camera)
        assert view.color is not None
        loss = view.depth.square().sum() + view.color.square().sum() + view.normal[..., 0].sum()
        return (view.depth.detach(), *torch.autograd.grad(loss, leaves))

    for one, two in zip(gradients(), gradients(), strict=True):
        assert torch.equal(one, two)


def frame_of_sphere(camera: Camera, radius: float) -> RGBDFrame:
    depth = sphere_depth(camera, radius).nan_to_num().float()
    return RGBDFrame("synthetic", camera, torch.full((*depth.shape, 3), 0.5), depth)


def mesh_depth(mesh: Mesh, camera: Camera) -> Tensor:
    """Depth (H, W) of the triangles by Open3D's ray caster, inf for a miss."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(
        o3d.core.Tensor(mesh.vertices.numpy().astype(np.float32)), o3d.core.Tensor(mesh.faces.numpy().astype(np.uint32))
    )
    directions = camera.ray_directions()
    rays = torch.cat([camera.center.expand_as(directions), directions], dim=-1).float()
    return torch.from_numpy(scene.cast_rays(o3d.core.Tensor(rays.numpy()))["t_hit"].numpy())


def test_a_fused_scan_renders_like_its_mesh() -> None:
    eyes = [(1.2, 0, 0.3), (0, 1.2, -0.3), (-1.2, 0, 0.3), (0, -1.2, 0.4), (0.8, 0.8, 0.6)]
    frames = [frame_of_sphere(look_at(eye, (0, 0, 0), (160, 120), 180), 0.4) for eye in eyes]
    scan = fuse_frames(frames, GridSpec.around(torch.full((3,), -0.6), 0.02))
    prediction = ScenePrediction.from_scan(scan)
    camera = look_at((1.0, 0.5, 0.2), (0, 0, 0), (80, 60), 90)
    view, expected = Raycaster()(prediction, camera), mesh_depth(extract_mesh(prediction), camera)
    both = view.hit & torch.isfinite(expected)
    assert both.sum() > 1000
    # Triangles and trilinear cells agree on the edges of the grid and differ within a cell by h^2 / (8 R) = 0.1 mm;
    # what the product promises is 2 mm.
    assert float((view.depth - expected)[both].abs().median()) < 2e-3
    assert float((view.hit != torch.isfinite(expected)).double().mean()) < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"near": 2.0, "far": 1.0}, "near < far"),
        ({"mode": "fast"}, "mode"),
        ({"min_corners": 4}, "min_corners"),
        ({"min_corners": 9}, "min_corners"),
        ({"mode": "spsg", "attributes_move_surface": True}, "attributes_move_surface"),
        ({"min_cosine": 0.0}, "min_cosine"),
        ({"backend": "cuda"}, "backend"),
    ],
)
def test_senseless_arguments_are_refused(arguments: dict[str, float | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Raycaster(**arguments)  # type: ignore[arg-type]


def test_a_diverged_field_is_refused() -> None:
    sphere = sphere_field(0.1)
    tsdf = sphere.tsdf.clone()
    tsdf[3] = torch.nan
    with pytest.raises(ValueError, match="got 1 NaN"):
        Raycaster().prepare(replace(sphere, tsdf=tsdf))


@pytest.mark.requires_gpu
def test_cuda_renders_what_the_cpu_renders() -> None:
    sphere = sphere_field(0.3, torch.float32)
    camera = look_at((0.8, 0.2, 0.1), (0, 0, 0), (60, 50), 100)
    color = torch.rand(len(sphere), 3)
    there = ScenePrediction(sphere.grid, sphere.coordinates.cuda(), sphere.tsdf.cuda(), color.cuda())
    here, view = Raycaster()(replace(sphere, color=color), camera), Raycaster()(there, camera)
    assert torch.equal(here.hit, view.hit.cpu())
    # float32 resolves the depth to 1e-7 and the root to 2e-7 m over the slope; colours follow with 50 per metre.
    torch.testing.assert_close(here.depth, view.depth.cpu(), rtol=0, atol=1e-5)
    assert here.color is not None
    assert view.color is not None
    torch.testing.assert_close(here.color, view.color.cpu(), rtol=0, atol=1e-3)
