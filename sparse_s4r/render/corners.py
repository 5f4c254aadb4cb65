"""The eight corners of a cell: trilinear weights, their slopes, and what stands in for a corner that is absent."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations

import torch
from torch import Tensor

# The eight corners of a cell in the order of their bits, x slowest.
CORNERS = tuple((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1))
ALL_PRESENT = (1 << len(CORNERS)) - 1
# Any five corners of a cube determine an affine function; four may lie in one plane.
FEWEST_CORNERS = 5


def corner_weights(along: Tensor) -> Tensor:
    """Trilinear weights (P, 8) of the corners at ``along`` (P, 3) in [0, 1]; differentiable."""
    x, y, z = _axis_weights(along)
    return x * y * z


def corner_slopes(along: Tensor) -> Tensor:
    """Derivatives (P, 8, 3) of ``corner_weights`` with respect to ``along`` (P, 3); differentiable."""
    x, y, z = _axis_weights(along)
    sign = torch.tensor(CORNERS, dtype=along.dtype, device=along.device) * 2 - 1
    return torch.stack([sign[:, 0] * y * z, x * sign[:, 1] * z, x * y * sign[:, 2]], dim=2)


def present_mask(present: Tensor) -> Tensor:
    """``present`` (P, 8) bool as (P,) int64: bit c is set where corner c is there."""
    bits = 1 << torch.arange(len(CORNERS), device=present.device)
    return (present * bits).sum(dim=1)


@lru_cache(maxsize=1)
def distance_fills() -> Tensor:
    """Per mask of present corners, how the distances at all corners follow from those at the present ones.

    A present corner keeps its value. An absent one gets that of the affine function that fits the present ones best
    (least squares), so a linear field stays exact.

    Returns:
        (256, 8, 8) float64: filled = matrix @ present, with zero columns for absent corners; zero for masks of fewer
        than ``FEWEST_CORNERS``.
    """
    fills = torch.zeros(ALL_PRESENT + 1, 8, 8, dtype=torch.float64)
    places = torch.tensor([(1, *corner) for corner in CORNERS], dtype=torch.float64)
    for here in _usable_sets():
        fit = places @ torch.linalg.pinv(places[here])
        fills[_mask(here)][:, here] = fit
        fills[_mask(here)][here] = torch.eye(8, dtype=torch.float64)[here]
    return fills


@lru_cache(maxsize=1)
def attribute_fills() -> Tensor:
    """As ``distance_fills``, for colours and logits: an absent corner gets the mean of the nearest present ones.

    A mean stays between the values it is made of, which an extrapolation does not.
    """
    fills = torch.zeros(ALL_PRESENT + 1, 8, 8, dtype=torch.float64)
    places = torch.tensor(CORNERS, dtype=torch.float64)
    apart = (places.unsqueeze(0) - places.unsqueeze(1)).abs().sum(dim=2)
    for here in _usable_sets():
        gap = apart[:, here]
        nearest = (gap == gap.amin(dim=1, keepdim=True)).double()
        fills[_mask(here)][:, here] = nearest / nearest.sum(dim=1, keepdim=True)
    return fills


def _usable_sets() -> list[list[int]]:
    return [list(here) for count in range(FEWEST_CORNERS, 9) for here in combinations(range(8), count)]


def _mask(here: list[int]) -> int:
    return sum(1 << corner for corner in here)


def _axis_weights(along: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    upper = torch.tensor(CORNERS, dtype=torch.bool, device=along.device)
    x, y, z = (torch.where(upper[:, a], along[:, a : a + 1], 1 - along[:, a : a + 1]) for a in range(3))
    return x, y, z
