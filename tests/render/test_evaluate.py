from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparse_s4r.render import Raycaster
from sparse_s4r.structures import Camera, RenderedView, ScenePrediction
from tests.render.fields import look_at, make_field, plane_field, sphere_field

CAMERA = look_at((0.5, -0.4, 0.3), (0, 0, 0), (5, 4), 10)
IMAGES = ("depth", "normal", "color", "semantic_logits")
backends = pytest.mark.parametrize("backend", ["torch", "numba"])
whole_or_holed = pytest.mark.parametrize("holed", [False, True], ids=["whole", "holed"])


def colored(prediction: ScenePrediction, classes: int = 3) -> ScenePrediction:
    count = len(prediction)
    return replace(
        prediction,
        color=torch.rand(count, 3, dtype=torch.float64),
        semantic_logits=torch.randn(count, classes, dtype=torch.float64),
    )


def ball(holed: bool) -> ScenePrediction:
    """A coloured ball; holed, every tenth voxel is absent, so that most hits have filled corners."""
    sphere = sphere_field(0.2)
    if holed:
        sphere = sphere.select(torch.rand(len(sphere)) > 0.1)
    return colored(sphere)


def caster(backend: str, **options: object) -> Raycaster:
    return Raycaster(backend=backend, min_corners=5, **options)  # type: ignore[arg-type]


def used_voxels(prediction: ScenePrediction, camera: Camera) -> Tensor:
    """Rows of voxels that the depth of any pixel depends on."""
    leaf = prediction.tsdf.clone().requires_grad_()
    view = caster("torch")(replace(prediction, tsdf=leaf), camera)
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    return gradient.nonzero().squeeze(1)


def image_of_distances(
    prediction: ScenePrediction, rows: Tensor, raycaster: Raycaster, name: str
) -> Callable[[Tensor], Tensor]:
    def image(values: Tensor) -> Tensor:
        view = raycaster(replace(prediction, tsdf=prediction.tsdf.index_copy(0, rows, values)), CAMERA)
        result: Tensor = getattr(view, name)
        return result

    return image


@backends
@whole_or_holed
def test_depth_gradient_equals_finite_differences(backend: str, holed: bool) -> None:
    prediction = ball(holed)
    rows = used_voxels(prediction, CAMERA)[::9]
    depth = image_of_distances(prediction, rows, caster(backend), "depth")
    # Steps of 1e-7 m move no hit into another cell of this scene; the search resolves 2e-14 m, so differences err
    # by about 1e-7 and the curvature by less than 1e-4 of a slope of order one.
    values = prediction.tsdf[rows].clone().requires_grad_()
    assert torch.autograd.gradcheck(depth, (values,), eps=1e-7, atol=1e-4, rtol=1e-3)


@backends
@whole_or_holed
@pytest.mark.parametrize("name", ["normal", "color", "semantic_logits"])
def test_attributes_that_move_the_surface_equal_finite_differences(backend: str, holed: bool, name: str) -> None:
    prediction = ball(holed)
    rows = used_voxels(prediction, CAMERA)[::9]
    moving = caster(backend, attributes_move_surface=True)
    values = prediction.tsdf[rows].clone().requires_grad_()
    # As for depth, times the slope of random values: some 100 per metre of depth.
    image = image_of_distances(prediction, rows, moving, name)
    assert torch.autograd.gradcheck(image, (values,), eps=1e-7, atol=5e-3, rtol=1e-3)


@backends
@whole_or_holed
def test_color_and_logit_gradients_equal_finite_differences(backend: str, holed: bool) -> None:
    prediction = ball(holed)
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
        view = caster(backend)(changed, CAMERA)
        assert view.color is not None
        assert view.semantic_logits is not None
        return view.color, view.semantic_logits

    inputs = (color[rows].clone().requires_grad_(), logits[rows].clone().requires_grad_())
    # Both are linear in their voxels: only rounding remains.
    assert torch.autograd.gradcheck(images, inputs, eps=1e-4, atol=1e-8, rtol=1e-8)


@backends
def test_attributes_leave_the_surface_alone_unless_asked(backend: str) -> None:
    prediction = ball(False)
    leaf = prediction.tsdf.clone().requires_grad_()
    view = caster(backend)(replace(prediction, tsdf=leaf), CAMERA)
    assert view.color is not None
    assert view.semantic_logits is not None
    toward = view.color.sum() + view.semantic_logits.square().sum() + 0 * view.depth.sum()
    (gradient,) = torch.autograd.grad(toward, leaf)
    assert not gradient.any()


def leaves_and_views(
    prediction: ScenePrediction, raycaster: Raycaster, cameras: list[Camera]
) -> tuple[list[Tensor], tuple[RenderedView, ...]]:
    assert prediction.color is not None
    assert prediction.semantic_logits is not None
    leaves = [part.clone().requires_grad_() for part in (prediction.tsdf, prediction.color, prediction.semantic_logits)]
    field = raycaster.prepare(replace(prediction, tsdf=leaves[0], color=leaves[1], semantic_logits=leaves[2]))
    return leaves, raycaster.render_views(field, cameras)


@whole_or_holed
@pytest.mark.parametrize("classes", [1, 15, 40])
@pytest.mark.parametrize("moving", [False, True], ids=["still", "moving"])
def test_numba_equals_torch_in_values_and_gradients(holed: bool, classes: int, moving: bool) -> None:
    prediction = colored(ball(holed), classes)
    cameras = [look_at((0.5, -0.4, 0.3), (0, 0, 0), (20, 16), 30), look_at((-0.4, 0.1, 0.5), (0, 0, 0), (9, 31), 20)]
    found = []
    for backend in ("torch", "numba"):
        raycaster = caster(backend, attributes_move_surface=moving)
        leaves, views = leaves_and_views(prediction, raycaster, cameras)
        generator = torch.Generator().manual_seed(1)
        loss = torch.zeros((), dtype=torch.float64)
        for view in views:
            for name in IMAGES:
                image = getattr(view, name)
                loss = loss + (image * torch.randn(image.shape, generator=generator, dtype=image.dtype)).sum()
        found.append((views, torch.autograd.grad(loss, leaves)))
    for one, two in zip(found[0][0], found[1][0], strict=True):
        assert torch.equal(one.voxel, two.voxel)
        assert int(one.hit.sum()) > 50
        for name in IMAGES:
            torch.testing.assert_close(getattr(one, name), getattr(two, name), rtol=0, atol=1e-9)
    for ours, theirs in zip(found[0][1], found[1][1], strict=True):
        # Sums of up to some hundred terms, whose slopes divide by as little as min_cosine.
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-6 if moving else 1e-9)


@backends
@pytest.mark.parametrize("name", IMAGES)
def test_an_image_alone_sends_gradients_only_where_it_says(backend: str, name: str) -> None:
    leaves, (view,) = leaves_and_views(ball(False), caster(backend), [CAMERA])
    given = torch.autograd.grad(getattr(view, name).square().sum(), leaves, allow_unused=True)
    moved = [gradient is not None and bool(gradient.any()) for gradient in given]
    assert (
        moved
        == {
            "depth": [True, False, False],
            "normal": [True, False, False],
            "color": [False, True, False],
            "semantic_logits": [False, False, True],
        }[name]
    )


@backends
def test_depth_gradient_of_a_plane_is_minus_weight_over_slope(backend: str) -> None:
    normal = (0.3, -0.2, 1.0)
    plane = plane_field(normal, 0.0)
    camera = look_at((0.1, 0.05, 0.8), (0, 0, 0), (7, 5), 20)
    leaf = plane.tsdf.clone().requires_grad_()
    view = caster(backend)(replace(plane, tsdf=leaf), camera)
    assert view.hit.all()
    unit = torch.nn.functional.normalize(torch.tensor(normal, dtype=torch.float64), dim=0)
    slope = camera.ray_directions() @ unit
    # Weights of a hit add up to one, so every pixel adds -1 / (n . d) in all.
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    assert float(gradient.sum()) == pytest.approx(float((-1 / slope).sum()), abs=1e-9)
    assert (gradient >= 0).all()


@backends
def test_grazing_rays_keep_a_bounded_gradient_of_the_right_sign(backend: str) -> None:
    # The ray descends by 1 m in 100: a slope of 0.01.
    plane = make_field(lambda points: points[:, 2] - 0.003, 0.6)
    camera = look_at((-0.55, 0.004, 0.008), (0.45, 0.004, -0.002), (1, 1), 30)
    leaf = plane.tsdf.clone().requires_grad_()
    view = Raycaster(near=0.01, min_cosine=0.1, backend=backend)(replace(plane, tsdf=leaf), camera)  # type: ignore[arg-type]
    assert view.hit.all()
    assert float(view.depth.detach()) == pytest.approx(0.5, abs=1e-3)
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    assert (gradient >= 0).all()
    assert float(gradient.sum()) == pytest.approx(1 / 0.1, abs=1e-6)


def test_gradients_do_not_depend_on_the_number_of_threads() -> None:
    prediction = replace(colored(sphere_field(0.2, torch.float32), 15))
    prediction = replace(
        prediction,
        color=prediction.color.float(),  # type: ignore[union-attr]
        semantic_logits=prediction.semantic_logits.float(),  # type: ignore[union-attr]
    )
    cameras = [look_at((0.5, -0.4, 0.3), (0, 0, 0), (120, 90), 150), look_at((-0.4, 0.1, 0.5), (0, 0, 0), (60, 50), 90)]

    def gradients() -> tuple[Tensor, ...]:
        leaves, views = leaves_and_views(prediction, caster("numba"), cameras)
        loss = torch.stack([getattr(view, name).square().sum() for view in views for name in IMAGES]).sum()
        return torch.autograd.grad(loss, leaves)

    alone = gradients()
    torch.set_num_threads(3)
    for one, several in zip(alone, gradients(), strict=True):
        assert torch.equal(one, several)


@backends
def test_colors_beside_absent_voxels_stay_between_those_present(backend: str) -> None:
    prediction = ball(True)
    view = caster(backend)(prediction, look_at((0.5, -0.4, 0.3), (0, 0, 0), (60, 50), 80))
    assert view.color is not None
    assert view.color.min() >= 0
    assert view.color.max() <= 1
