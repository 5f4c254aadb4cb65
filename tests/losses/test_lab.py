"""Lab against scikit-image."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from skimage.color import rgb2lab

from sparse_s4r.losses.lab import rgb_to_lab01


def test_equals_scikit_image() -> None:
    steps = [0.0, 0.002, 0.04, 0.041, 0.2, 0.5, 0.8, 1.0]
    rgb = np.array(list(itertools.product(steps, repeat=3)))
    expected = (rgb2lab(rgb[None], illuminant="D65", observer="2")[0] + [0, 100, 100]) / [100, 200, 200]
    # The two use the matrix and the white point of sRGB rounded to 4 to 7 digits: up to 2e-4 of the range.
    np.testing.assert_allclose(rgb_to_lab01(torch.from_numpy(rgb)).numpy(), expected, atol=3e-4)


def test_greys_have_no_hue() -> None:
    lab = rgb_to_lab01(torch.linspace(0, 1, 20, dtype=torch.float64)[:, None].expand(20, 3))
    # The rows of the matrix sum to the white point only to the digits printed.
    torch.testing.assert_close(lab[:, 1:], torch.full((20, 2), 0.5, dtype=torch.float64), rtol=0, atol=1e-4)
    assert bool((lab[1:, 0] > lab[:-1, 0]).all())
    assert abs(float(lab[0, 0])) < 1e-6
    assert abs(float(lab[-1, 0]) - 1.0) < 1e-6


def test_gradient_is_exact_on_both_branches() -> None:
    # 0.01 and 0.03 lie on the linear branch of sRGB, 0.002 on that of Lab's root.
    rgb = torch.tensor([[0.002, 0.002, 0.002], [0.01, 0.4, 0.9], [0.3, 0.03, 0.6]], dtype=torch.float64)
    assert torch.autograd.gradcheck(rgb_to_lab01, rgb.requires_grad_())


def test_black_has_a_finite_gradient() -> None:
    rgb = torch.zeros(2, 3, requires_grad=True)
    torch.autograd.backward(rgb_to_lab01(rgb).sum())
    assert rgb.grad is not None
    assert bool(torch.isfinite(rgb.grad).all())
