"""Batch norm with ReLU in one against torch's two steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from sparse_s4r.sparse.backend import use_backend
from sparse_s4r.sparse.norm import batch_norm_relu
from tests.conftest import Tolerance

# 70,000 values are more than one part; 3 channels fill no vector.
SHAPES = [(2, 1), (3, 5), (100, 16), (7000, 10), (30_000, 3)]


def _module(channels: int, dtype: torch.dtype) -> nn.BatchNorm1d:
    module = nn.BatchNorm1d(channels).to(dtype)
    with torch.no_grad():
        for tensor in (module.weight, module.bias, module.running_mean):
            assert tensor is not None
            tensor.copy_(torch.randn(channels))
        assert module.running_var is not None
        module.running_var.uniform_(0.5, 2)
    return module


def _run(function: Callable[[nn.BatchNorm1d, Tensor], Tensor], module: nn.BatchNorm1d, features: Tensor) -> list[Any]:
    leaf = features.clone().requires_grad_()
    result = function(module, leaf)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    gradients = torch.autograd.grad((result * weights).sum(), (leaf, module.weight, module.bias))
    return [result.detach(), *gradients, *(buffer.to(result.dtype) for buffer in module.buffers())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_gradients_and_statistics_are_torchs(
    shape: tuple[int, int], dtype: torch.dtype, tolerance: Callable[[str, torch.dtype], Tolerance]
) -> None:
    # A mean far from zero: a variance as a difference of large numbers would show.
    features = torch.randn(shape, dtype=dtype) * torch.rand(shape[1], dtype=dtype) + 20
    ours = _module(shape[1], dtype)
    theirs = copy.deepcopy(ours)
    got = _run(batch_norm_relu, ours, features)
    expected = _run(lambda module, value: torch.relu(module(value)), theirs.double(), features.double())
    for one, other in zip(got, expected, strict=True):
        scale = max(float(other.abs().max()), 1.0)
        torch.testing.assert_close(one / scale, (other / scale).to(one.dtype), **vars(tolerance("gradient", dtype)))


def test_gradient() -> None:
    module = _module(3, torch.float64)
    features = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    weight, bias = module.weight.detach().clone().requires_grad_(), module.bias.detach().clone().requires_grad_()

    def function(value: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        del module.weight, module.bias
        module.weight, module.bias = scale, shift  # type: ignore[assignment]
        return batch_norm_relu(module, value)

    assert gradcheck(function, (features, weight, bias))


@pytest.mark.parametrize("training", [True, False])
def test_the_reference_gives_the_same(training: bool) -> None:
    ours = _module(6, torch.float64).train(training)
    theirs = copy.deepcopy(ours)
    features = torch.randn(50, 6, dtype=torch.float64)
    with torch.no_grad():
        result = batch_norm_relu(ours, features)
        with use_backend("torch"):
            expected = batch_norm_relu(theirs, features)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)
    assert bool((result == 0).any())
    assert bool((result > 0).any())


def test_frozen_statistics_pass_gradients() -> None:
    module = _module(4, torch.float64).eval()
    features = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda value: batch_norm_relu(module, value), features)


def test_fewer_than_two_rows_leave_the_statistics() -> None:
    module = _module(4, torch.float32)
    before = copy.deepcopy(list(module.buffers()))
    for rows in (0, 1):
        assert batch_norm_relu(module, torch.randn(rows, 4)).shape == (rows, 4)
    assert all(torch.equal(one, other) for one, other in zip(before, module.buffers(), strict=True))


def test_what_is_no_number_stays_none() -> None:
    features = torch.randn(10, 2)
    features[3, 1] = torch.nan
    result = batch_norm_relu(_module(2, torch.float32), features)
    assert bool(result[:, 1].isnan().all())
    assert not bool(result[:, 0].isnan().any())


def test_rows_in_another_order_of_memory() -> None:
    features = torch.randn(5, 40, dtype=torch.float64).T
    assert not features.is_contiguous()
    module = _module(5, torch.float64)
    result = batch_norm_relu(module, features)
    expected = torch.relu(nn.functional.batch_norm(features, None, None, module.weight, module.bias, True))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


def test_sums_do_not_depend_on_threads() -> None:
    features, before, results = torch.randn(40_000, 16), torch.get_num_threads(), []
    module = _module(16, torch.float32)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(_run(batch_norm_relu, copy.deepcopy(module), features))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for result in results[1:] for one, other in zip(result, results[0], strict=True))
