from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, ScenePrediction
from tests.render.fields import look_at, make_field, plane_field, sphere_field

CAMERA = look_at((0.5, -0.4, 0.3), (0, 0, 0), (5, 4), 10)


def colored(prediction: ScenePrediction, classes: int = 3) -> ScenePrediction:
    count = len(prediction)
    return replace(
        prediction,
        color=torch.rand(count, 3, dtype=torch.float64),
        semantic_logits=torch.randn(count, classes, dtype=torch.float64),
    )


def used_voxels(prediction: ScenePrediction, camera: Camera) -> Tensor:
    """Rows of voxels that any pixel depends on."""
    leaf = prediction.tsdf.clone().requires_grad_()
    Raycaster()(replace(prediction, tsdf=leaf), camera).depth.sum().backward()
    assert leaf.grad is not None
    return leaf.grad.nonzero().squeeze(1)


@pytest.mark.parametrize("search", ["torch", "numba"])
def test_depth_gradient_equals_finite_differences(search: str) -> None:
    prediction = sphere_field(0.2)
    raycaster = Raycaster(search=search)  # type: ignore[arg-type]
    rows = used_voxels(prediction, CAMERA)[::9]

    def depth(values: Tensor) -> Tensor:
        image: Tensor = raycaster(replace(prediction, tsdf=prediction.tsdf.index_copy(0, rows, values)), CAMERA).depth
        return image

    # Steps of 1e-6 m move no hit into another cell of this scene; the search resolves 2e-14 m, so differences err
    # by about 1e-8 and the curvature by less than 1e-4 of a slope of order one.
    values = prediction.tsdf[rows].clone().requires_grad_()
    assert torch.autograd.gradcheck(depth, (values,), eps=1e-6, atol=1e-4, rtol=1e-3)


def test_color_and_logit_gradients_equal_finite_differences() -> None:
    prediction = colored(sphere_field(0.2))
    rows = used_voxels(prediction, CAMERA)[::17]
    assert prediction.color is not None
    assert prediction.semantic_logits is not None
    color, logits = prediction.color, prediction.semantic_logits

    def images(some_color: Tensor, some_logits: Tensor) -> tuple[Tensor, Tensor]:
        changed = replace(
            prediction,
            color=color.index_copy(0, rows, some_color),
            semantic_logits=logits.index_copy(0, rows, some_logits),
        )
        view = Raycaster()(changed, CAMERA)
        assert view.color is not None
        assert view.semantic_logits is not None
        return view.color, view.semantic_logits

    inputs = (color[rows].clone().requires_grad_(), logits[rows].clone().requires_grad_())
    # Both are linear in their voxels: only rounding remains.
    assert torch.autograd.gradcheck(images, inputs, eps=1e-4, atol=1e-8, rtol=1e-8)


def test_attributes_move_the_surface_only_when_asked() -> None:
    prediction = colored(sphere_field(0.2))
    rows = used_voxels(prediction, CAMERA)[::9]

    def color(values: Tensor, raycaster: Raycaster) -> Tensor:
        view = raycaster(replace(prediction, tsdf=prediction.tsdf.index_copy(0, rows, values)), CAMERA)
        assert view.color is not None
        return view.color

    values = prediction.tsdf[rows].clone().requires_grad_()
    assert not color(values, Raycaster()).requires_grad
    moving = Raycaster(attributes_move_surface=True)
    # As for depth, times the slope of random colours: at most 1 per voxel of 0.02 m, 50 per metre.
    assert torch.autograd.gradcheck(lambda v: color(v, moving), (values,), eps=1e-6, atol=5e-3, rtol=1e-3)


def test_normal_gradient_equals_finite_differences_where_the_hit_may_move() -> None:
    prediction = sphere_field(0.2)
    rows = used_voxels(prediction, CAMERA)[::9]
    moving = Raycaster(attributes_move_surface=True)

    def normal(values: Tensor) -> Tensor:
        image: Tensor = moving(replace(prediction, tsdf=prediction.tsdf.index_copy(0, rows, values)), CAMERA).normal
        return image

    values = prediction.tsdf[rows].clone().requires_grad_()
    # A normal turns by up to 1 / h = 50 per metre of distance, hence the larger absolute tolerance.
    assert torch.autograd.gradcheck(normal, (values,), eps=1e-6, atol=5e-3, rtol=1e-3)


def test_depth_gradient_of_a_plane_is_minus_weight_over_slope() -> None:
    normal = (0.3, -0.2, 1.0)
    plane = plane_field(normal, 0.0)
    camera = look_at((0.1, 0.05, 0.8), (0, 0, 0), (7, 5), 20)
    leaf = plane.tsdf.clone().requires_grad_()
    view = Raycaster()(replace(plane, tsdf=leaf), camera)
    assert view.hit.all()
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    slope = camera.ray_directions() @ unit
    # Weights of a hit add up to one, so every pixel adds -1 / (n . d) in all.
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    assert float(gradient.sum()) == pytest.approx(float((-1 / slope).sum()), abs=1e-9)
    assert (gradient >= 0).all()


def test_grazing_rays_keep_a_bounded_gradient_of_the_right_sign() -> None:
    # The ray descends by 1 m in 100: a slope of 0.01.
    plane = make_field(lambda points: points[:, 2] - 0.003, 0.6)
    camera = look_at((-0.55, 0.004, 0.008), (0.45, 0.004, -0.002), (1, 1), 30)
    leaf = plane.tsdf.clone().requires_grad_()
    view = Raycaster(near=0.01, min_cosine=0.1)(replace(plane, tsdf=leaf), camera)
    assert view.hit.all()
    assert float(view.depth.detach()) == pytest.approx(0.5, abs=1e-3)
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    assert (gradient >= 0).all()
    assert float(gradient.sum()) == pytest.approx(1 / 0.1, abs=1e-6)
