from __future__ import annotations

from dataclasses import replace

import torch

from sparse_s4r.render import Raycaster
from tests.render.fields import look_at, sphere_field


def test_values_are_those_of_the_nearest_voxel_and_gradients_the_mean_over_its_pixels() -> None:
    sphere = sphere_field(0.2)
    count = len(sphere)
    leaves = [
        part.requires_grad_()
        for part in (
            sphere.tsdf.clone(),
            torch.rand(count, 3, dtype=torch.float64),
            torch.randn(count, 5, dtype=torch.float64),
        )
    ]
    camera = look_at((0.5, -0.4, 0.3), (0, 0, 0), (40, 32), 60)
    prediction = replace(sphere, tsdf=leaves[0], color=leaves[1], semantic_logits=leaves[2])
    view, exact = Raycaster(mode="spsg")(prediction, camera), Raycaster()(prediction, camera)
    assert view.color is not None
    assert view.semantic_logits is not None
    assert torch.equal(view.voxel, exact.voxel)
    assert torch.equal(view.depth, exact.depth)
    rows = view.voxel[view.hit]
    assert torch.equal(view.color[view.hit], leaves[1][rows])
    assert torch.equal(view.semantic_logits[view.hit], leaves[2][rows])
    toward = [torch.randn_like(image) for image in (view.depth, view.color, view.semantic_logits)]
    given = torch.autograd.grad((view.depth, view.color, view.semantic_logits), leaves, toward)
    for gradient, grad in zip(given, toward, strict=True):
        sums: dict[int, list[torch.Tensor]] = {}
        for row, pixel in zip(rows.tolist(), grad[view.hit], strict=True):
            sums.setdefault(row, []).append(pixel)
        assert max(len(pixels) for pixels in sums.values()) > 3
        expected = torch.zeros_like(gradient)
        for row, pixels in sums.items():
            expected[row] = torch.stack(pixels).mean(0)
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_a_view_without_hits_gives_zero_gradients() -> None:
    sphere = sphere_field(0.1)
    leaf = sphere.tsdf.clone().requires_grad_()
    view = Raycaster(mode="spsg")(replace(sphere, tsdf=leaf), look_at((1, 0, 0), (2, 0, 0)))
    (gradient,) = torch.autograd.grad(view.depth.sum(), leaf)
    assert not gradient.any()
