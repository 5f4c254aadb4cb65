"""Structural similarity against scikit-image, and with pixels left out."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity as reference

from sparse_s4r.evaluation.similarity import structural_similarity


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    first = torch.from_numpy(rng.random((40, 50, 3)))
    return first, (first + torch.from_numpy(rng.normal(0, 0.2, first.shape))).clamp(0, 1)


def test_it_is_that_of_another_library() -> None:
    first, second = pictures()
    # At the corners less than half of a window lies in the picture.
    whole = np.full((40, 50), np.nan)
    judged = np.ones((40, 50), dtype=bool)
    judged[[0, 0, -1, -1], [0, -1, 0, -1]] = False
    whole[judged] = structural_similarity(first, second, torch.ones(40, 50, dtype=torch.bool))
    options = {"channel_axis": 2, "data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False}
    mean, values = reference(first.numpy(), second.numpy(), full=True, **options)
    # It reflects pictures at their edges, where we have windows of fewer pixels, and leaves these out of its mean.
    inside = (slice(5, -5), slice(5, -5))
    assert np.allclose(whole[inside], values.mean(axis=2)[inside], atol=1e-9)
    assert whole[inside].mean() == pytest.approx(mean)


def test_pixels_outside_do_not_count() -> None:
    first, second = pictures()
    mask = torch.rand(40, 50) > 0.3
    found = structural_similarity(first, second, mask)
    assert 100 < len(found) <= int(mask.sum())
    other = torch.where(mask[..., None], second, torch.rand(40, 50, 3).double())
    assert np.array_equal(found, structural_similarity(first, other, mask))
    assert np.allclose(structural_similarity(first, torch.where(mask[..., None], first, 0.0), mask), 1)


def test_a_window_by_hand() -> None:
    first, second = pictures()
    mask = torch.rand(40, 50) > 0.2
    mask[20, 25] = True
    found = structural_similarity(first[..., :1], second[..., :1], mask)
    offset = np.arange(-5, 6)
    kernel = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    area = (slice(15, 26), slice(20, 31))
    weight = kernel * mask[area].numpy()
    weight /= weight.sum()
    x, y = (picture[(*area, 0)].numpy() for picture in (first, second))
    mean_x, mean_y = (weight * x).sum(), (weight * y).sum()
    var_x, var_y = (weight * (x - mean_x) ** 2).sum(), (weight * (y - mean_y) ** 2).sum()
    cov = (weight * (x - mean_x) * (y - mean_y)).sum()
    wanted = (2 * mean_x * mean_y + 1e-4) * (2 * cov + 9e-4) / (mean_x**2 + mean_y**2 + 1e-4) / (var_x + var_y + 9e-4)
    assert np.abs(found - wanted).min() < 1e-9


def test_too_little_to_compare() -> None:
    first, second = pictures()
    nothing = torch.zeros(40, 50, dtype=torch.bool)
    assert len(structural_similarity(first, second, nothing)) == 0
    nothing[20, 20] = True
    assert len(structural_similarity(first, second, nothing)) == 0
