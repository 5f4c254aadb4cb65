"""Batch normalisation followed by ReLU on the CPU in compiled loops, which touch each value as seldom as can be.

For features (N, C) float32 or float64 on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_s4r.geometry.compiled import compiled
from sparse_s4r.structures.parallel import run_parts

# Values of a part: few enough to stay in the cache between the two looks at them that a variance takes. Parts depend
# on shapes alone, and so does the order of sums.
_PART_VALUES = 1 << 16
_U = np.uintp
Doubles = NDArray[np.float64]


def moments(features: Tensor) -> tuple[Doubles, Doubles]:
    """Mean and variance (C,) of features (N, C), N > 0, over the rows."""
    values, bounds = features.detach().numpy(), _bounds(features)
    means, squares = (np.zeros((len(bounds) - 1, values.shape[1])) for _ in range(2))

    def work(part: int) -> None:
        _moments(means[part], squares[part], values, bounds[part], bounds[part + 1])

    run_parts(work, len(means))
    counts = np.diff(bounds)[:, None]
    mean = (means * counts).sum(0) / len(values)
    # Of the parts' own deviations and those of their means: no small difference of large numbers.
    return mean, (squares + counts * (means - mean) ** 2).sum(0) / len(values)


def scale_relu(features: Tensor, scale: Doubles, shift: Doubles) -> Tensor:
    """``max(features * scale + shift, 0)`` (N, C)."""
    result = torch.empty_like(features)
    values, out, bounds = features.detach().numpy(), result.numpy(), _bounds(features)
    scale, shift = scale.astype(values.dtype), shift.astype(values.dtype)

    def work(part: int) -> None:
        _scale_relu(out, values, scale, shift, bounds[part], bounds[part + 1])

    run_parts(work, len(bounds) - 1)
    return result


def gradient_sums(features: Tensor, result: Tensor, gradient: Tensor, mean: Doubles) -> tuple[Doubles, Doubles]:
    """Sums (C,) over the rows of what of ``gradient`` passes the ReLU, and of that times ``features - mean``."""
    values, out, upstream = features.numpy(), result.numpy(), gradient.numpy()
    bounds = _bounds(features)
    sums, products = (np.zeros((len(bounds) - 1, values.shape[1])) for _ in range(2))

    def work(part: int) -> None:
        _gradient_sums(sums[part], products[part], values, out, upstream, mean, bounds[part], bounds[part + 1])

    run_parts(work, len(sums))
    return sums.sum(0), products.sum(0)


def combine(features: Tensor, result: Tensor, gradient: Tensor, factors: tuple[Doubles, Doubles, Doubles]) -> Tensor:
    """``factors[0] * passed + factors[1] * features + factors[2]``, ``passed`` being the gradient past the ReLU."""
    total = torch.empty_like(features)
    values, out, upstream, whole = features.numpy(), result.numpy(), gradient.numpy(), total.numpy()
    bounds = _bounds(features)
    by_gradient, by_value, constant = (factor.astype(values.dtype) for factor in factors)

    def work(part: int) -> None:
        span = (bounds[part], bounds[part + 1])
        _combine(whole, values, out, upstream, by_gradient, by_value, constant, *span)

    run_parts(work, len(bounds) - 1)
    return total


def _bounds(features: Tensor) -> NDArray[np.int64]:
    """Where parts begin, and the end."""
    rows = max(_PART_VALUES // max(features.shape[1], 1), 1)
    return np.append(np.arange(0, len(features), rows), len(features)).astype(np.int64)


@compiled
def _moments(mean: Any, square: Any, values: Any, start: int, stop: int) -> None:
    channels = _U(values.shape[1])
    for i in range(_U(start), _U(stop)):
        for c in range(channels):
            mean[c] += values[i, c]
    for c in range(channels):
        mean[c] /= stop - start
    for i in range(_U(start), _U(stop)):
        for c in range(channels):
            deviation = values[i, c] - mean[c]
            square[c] += deviation * deviation


@compiled
def _scale_relu(result: Any, values: Any, scale: Any, shift: Any, start: int, stop: int) -> None:
    zero = values.dtype.type(0)
    for i in range(_U(start), _U(stop)):
        for c in range(_U(values.shape[1])):
            value = values[i, c] * scale[c] + shift[c]
            # As torch: what is no number stays none.
            result[i, c] = zero if value <= zero else value


@compiled
def _gradient_sums(
    total: Any, product: Any, values: Any, result: Any, gradient: Any, mean: Any, start: int, stop: int
) -> None:
    for i in range(_U(start), _U(stop)):
        for c in range(_U(values.shape[1])):
            passed = gradient[i, c] if result[i, c] > 0 else gradient.dtype.type(0)
            total[c] += passed
            product[c] += passed * (values[i, c] - mean[c])


@compiled
def _combine(
    total: Any,
    values: Any,
    result: Any,
    gradient: Any,
    by_gradient: Any,
    by_value: Any,
    constant: Any,
    start: int,
    stop: int,
) -> None:
    for i in range(_U(start), _U(stop)):
        for c in range(_U(values.shape[1])):
            passed = gradient[i, c] if result[i, c] > 0 else gradient.dtype.type(0)
            total[i, c] = by_gradient[c] * passed + by_value[c] * values[i, c] + constant[c]
