"""What the gradients are for: views alone bring a surface to its place, and colours and labels onto it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, ScenePrediction
from tests.render.fields import box_distance, look_at, make_field, plane_depth, plane_field

UP = (0.0, 0.0, 1.0)
START, GOAL = -0.006, 0.012
WALL_EYES = [(0.0, 0.0, 1.0), (0.45, 0.1, 0.8), (-0.3, 0.4, 0.7), (-0.2, -0.45, 0.9)]
# Halfway between two layers of voxel centres, so that both get the same share of what a face shows.
HALF = 0.12
BOX_EYES = [
    (0.5, 0.3, 0.2),
    (-0.5, -0.3, 0.3),
    (0.2, 0.5, -0.3),
    (-0.2, -0.5, -0.2),
    (0.2, 0.1, 0.55),
    (-0.1, 0.2, -0.55),
]
CLASSES = 3


def squared(error: Tensor) -> Tensor:
    return error.square().mean()


def absolute(error: Tensor) -> Tensor:
    return error.abs().mean()


@pytest.mark.parametrize(
    ("loss", "make_optimizer", "decay"),
    [
        (absolute, partial(torch.optim.Adam, lr=3e-3), 0.93),
        (squared, partial(torch.optim.Adam, lr=3e-3), 0.97),
        (squared, partial(torch.optim.SGD, lr=150.0, momentum=0.8), 1.0),
    ],
    ids=["L1 Adam", "L2 Adam", "L2 SGD"],
)
def test_depth_alone_moves_a_plane_to_its_place(
    loss: Callable[[Tensor], Tensor], make_optimizer: Callable[[list[Tensor]], torch.optim.Optimizer], decay: float
) -> None:
    start = plane_field(UP, START, half=0.3)
    tsdf = start.tsdf.clone().requires_grad_()
    color, logits = torch.rand(len(start), 3).requires_grad_(), torch.rand(len(start), 2).requires_grad_()
    wall = replace(start, tsdf=tsdf, color=color, semantic_logits=logits)
    cameras = [look_at(eye, (0, 0, 0), (24, 24), 100) for eye in WALL_EYES]
    raycaster, optimizer = Raycaster(), make_optimizer([tsdf])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay)
    for _ in range(100):
        optimizer.zero_grad()
        torch.autograd.backward(loss(torch.cat([depth_error(raycaster, wall, camera) for camera in cameras])))
        optimizer.step()
        schedule.step()
    assert color.grad is None
    assert logits.grad is None
    # From 18 mm to less than one in every pixel of the given views, and of one that was not given.
    for camera in [*cameras, look_at((0.15, -0.1, 1.1), (0, 0, 0), (24, 24), 250)]:
        errors = depth_error(raycaster, wall, camera).detach()
        assert len(errors) == 24 * 24
        assert float(errors.abs().max()) < 1e-3
    # Only the voxels around the two places and between them have moved.
    moved = tsdf.detach() != start.tsdf
    height = wall.grid.centers(wall.coordinates)[moved, 2]
    assert 100 < len(height) < len(wall) / 4
    assert float(height.min()) > START - 0.02
    assert float(height.max()) < GOAL + 0.02


def depth_error(raycaster: Raycaster, wall: ScenePrediction, camera: Camera) -> Tensor:
    view = raycaster(wall, camera)
    return (view.depth - plane_depth(camera, UP, GOAL))[view.hit]


def surface_point(camera: Camera) -> tuple[Tensor, Tensor]:
    """World points (H, W, 3) of the box by its slabs, and which pixels see it."""
    direction = camera.ray_directions()
    one, two = (-HALF - camera.center) / direction, (HALF - camera.center) / direction
    enter, leave = torch.minimum(one, two).amax(-1), torch.maximum(one, two).amin(-1)
    return camera.unproject(enter), enter < leave


def texture(points: Tensor) -> Tensor:
    """RGB (..., 3) at the nearest point of the surface: waves of some 16 voxels."""
    on_face = points.clamp(-HALF, HALF)
    return 0.5 + 0.4 * torch.sin(20 * on_face + torch.tensor([0.3, 1.1, 2.0], dtype=points.dtype))


def label(points: Tensor) -> Tensor:
    """Class (...) of a point of the surface: its octant, in three classes."""
    octant = ((points > 0).long() * torch.tensor([1, 2, 4])).sum(-1)
    return octant % CLASSES


def test_colors_and_labels_of_a_textured_box_are_recovered() -> None:
    box = make_field(lambda points: box_distance(points, (HALF,) * 3), 0.2, dtype=torch.float32)
    color = torch.full((len(box), 3), 0.5, requires_grad=True)
    logits = torch.zeros(len(box), CLASSES, requires_grad=True)
    raycaster = Raycaster()
    field = raycaster.prepare(replace(box, color=color, semantic_logits=logits))
    cameras = [look_at(eye, (0, 0, 0), (48, 48), 100) for eye in BOX_EYES]
    # What the views show comes from formulas, not from a rendering.
    truths = [surface_point(camera) for camera in cameras]
    optimizer = torch.optim.Adam([color, logits], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
    for _ in range(60):
        optimizer.zero_grad()
        for camera, (points, known) in zip(cameras, truths, strict=True):
            view = raycaster.render(field, camera)
            both = view.hit & known
            assert view.color is not None
            assert view.semantic_logits is not None
            off = (view.color[both] - texture(points[both]).float()).square().sum()
            mislabelled = torch.nn.functional.cross_entropy(view.semantic_logits[both], label(points[both]))
            torch.autograd.backward(off + mislabelled)
        optimizer.step()
        schedule.step()
    assert color.grad is not None
    seen = color.grad.abs().sum(dim=1) > 0
    check_voxels(box.grid.centers(box.coordinates, dtype=torch.float64), seen, color.detach(), logits.detach())


def check_voxels(centers: Tensor, seen: Tensor, color: Tensor, logits: Tensor) -> None:
    """Against the truth at the voxels (N,) that were ``seen``, but for those at the edges of the box."""
    assert torch.equal(color[~seen], torch.full_like(color[~seen], 0.5))
    assert not logits[~seen].any()
    middle = seen & (centers.abs().sort(dim=1).values[:, 1] < HALF - 0.01)
    axis = centers.abs().argmax(dim=1)
    for side in range(6):
        face = middle & (axis == side // 2) & (centers[:, side // 2] * (2 * (side % 2) - 1) > 0)
        # Ten by ten voxels before the face and as many behind it.
        assert int(face.sum()) == 200
        error = (color[face] - texture(centers[face]).float()).abs()
        # Grey is off by 0.26 on average. A view fixes only the mean of the layer before the face and that behind it.
        assert float(error.mean()) < 0.02
        assert float(error.max()) < 0.1
        assert torch.equal(logits[face].argmax(dim=1), label(centers[face]))
