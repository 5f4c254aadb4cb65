"""Gradients of every step, and that they are the same bits in every run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.sparse.tensor import VoxelTensor
from tests.sparse.scenes import ENGINES, scattered_cells, shell_cells

Step = Callable[[VoxelTensor, Tensor], Tensor]

_TARGET = scattered_cells(60, extent=8, seed=1)


_NAMES = {"BuiltinVoxels": "builtin", "DenseVoxels": "dense-masked", "MinkowskiVoxels": "minkowski"}


def _onto(voxels: VoxelTensor, weight: Tensor) -> Tensor:
    target = make_voxels(_NAMES[type(voxels).__name__], _TARGET, torch.zeros(len(_TARGET), 1, dtype=torch.float64))
    return voxels.up(weight, target).features


def _looked_up(voxels: VoxelTensor, weight: Tensor) -> Tensor:
    # Some of my sites are not among the others, and some of the others are not looked up.
    keep = torch.arange(len(voxels.features)) % 3
    return voxels.prune(keep != 0).lookup(voxels.prune(keep != 1)) * weight[0, :, 0]


_STEPS: list[tuple[str, int, Step]] = [
    ("conv", 27, lambda voxels, weight: voxels.conv(weight).features),
    ("conv 1", 1, lambda voxels, weight: voxels.conv(weight).features),
    ("down", 8, lambda voxels, weight: voxels.down(weight).features),
    ("up", 8, lambda voxels, weight: voxels.up(weight).features),
    ("up onto", 8, _onto),
    ("prune", 8, lambda voxels, weight: voxels.prune(voxels.coordinates[:, 1] > 0).features * weight[0, :, 0]),
    ("lookup", 8, _looked_up),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("taps", "step"), [step[1:] for step in _STEPS], ids=[step[0] for step in _STEPS])
def test_gradient(engine: str, taps: int, step: Step) -> None:
    cells = scattered_cells(18, extent=4)
    features = torch.randn(len(cells), 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(taps, 2, 3 if taps != 8 else 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda f, w: step(make_voxels(engine, cells, f, stride=2), w), (features, weight))


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient_with_respect_to_one_of_the_two(engine: str) -> None:
    cells = scattered_cells(6, extent=4)
    features = torch.randn(len(cells), 2, dtype=torch.float64)
    weight = torch.randn(27, 2, 1, dtype=torch.float64)
    assert gradcheck(lambda w: make_voxels(engine, cells, features).conv(w).features, weight.clone().requires_grad_())
    assert gradcheck(lambda f: make_voxels(engine, cells, f).conv(weight).features, features.clone().requires_grad_())


@pytest.mark.parametrize("engine", ENGINES)
def test_gradient_without_sites(engine: str) -> None:
    features = torch.zeros(0, 3, requires_grad=True)
    weights = [torch.randn(taps, 3, 3, requires_grad=True) for taps in (27, 8, 8)]
    voxels = make_voxels(engine, torch.zeros(0, 4, dtype=torch.int64), features)
    voxels.conv(weights[0]).down(weights[1]).up(weights[2]).features.sum().backward()
    assert features.grad is not None
    assert all(weight.grad is not None and not weight.grad.any() for weight in weights)


def _run(cells: Tensor, features: Tensor, weights: list[Tensor]) -> list[Tensor]:
    """Outputs and all gradients of a chain of steps in float32."""
    leaves = [value.clone().requires_grad_() for value in (features, *weights)]
    voxels = make_voxels("builtin", cells, leaves[0])
    coarse = voxels.conv(leaves[1]).down(leaves[2])
    raised = coarse.up(leaves[3])
    result = raised.prune(raised.coordinates.sum(dim=1) % 3 != 0).conv(leaves[4])
    output = torch.cat([result.features, result.lookup(voxels), voxels.lookup(result)])
    (output**2).sum().backward()
    return [output.detach(), *[leaf.grad for leaf in leaves if leaf.grad is not None]]


def test_repeats_to_the_bit() -> None:
    # 30,000 sites at 16 channels are some 25 chunks of the convolution.
    cells = shell_cells(28)
    assert len(cells) > 25_000
    features = torch.randn(len(cells), 16)
    weights = [torch.randn(taps, 16, 16) / 20 for taps in (27, 8, 8, 27)]
    first, second = _run(cells, features, weights), _run(cells, features, weights)
    assert len(first) == 6
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
