"""MinkowskiEngine's kernel maps, of whichever variant is installed, and what only the parallel one promises."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

if os.environ.get("S4R_REQUIRE_MINKOWSKI") == "1":
    ME: Any = importlib.import_module("MinkowskiEngine")
else:
    ME = pytest.importorskip("MinkowskiEngine", reason="MinkowskiEngine is not installed: make minkowski")

needs_parallel = pytest.mark.skipif(
    not ME.__version__.endswith("+parallel"),
    reason="for the variant with parallel loops: make minkowski PARALLEL=1",
)
# It instantiates autograd functions, which torch discourages; that is how it is.
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
# Kernel size and stride.
KERNELS = [(3, 1), (5, 1), (2, 2), (3, 2)]
Pairs = dict[int, Tensor]


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def _sites(side: int, seed: int = 0) -> Tensor:
    """About a third of a cube around zero, (N, 4) int32, in no order."""
    generator = torch.Generator().manual_seed(seed)
    sites = (torch.rand(2, side, side, side, generator=generator) < 0.35).nonzero().int()
    sites[:, 1:] -= side // 2
    return sites[torch.randperm(len(sites), generator=generator)].contiguous()


def _kernel_map(sites: Tensor, size: int, stride: int) -> tuple[Pairs, Tensor, Tensor]:
    """Pairs (2, P) of input and output rows by tap, and the coordinates of inputs and outputs."""
    manager = ME.CoordinateManager(D=3)
    key, _ = manager.insert_and_map(sites, [1, 1, 1])
    coarse = manager.stride(key, stride) if stride > 1 else key
    pairs = manager.kernel_map(key, coarse, stride=stride, kernel_size=size)
    return pairs, manager.get_coordinates(key), manager.get_coordinates(coarse)


@pytest.mark.parametrize(("size", "stride"), KERNELS)
def test_a_kernel_map_has_every_pair_of_cells_once(size: int, stride: int, two_threads: None) -> None:
    pairs, inputs, outputs = _kernel_map(_sites(12), size, stride)
    row_of = {tuple(cell): row for row, cell in enumerate(inputs.tolist())}
    for tap, (z, y, x) in enumerate(itertools.product(range(size), repeat=3)):
        low = size // 2 if size % 2 else 0
        offset = torch.tensor([0, x - low, y - low, z - low])
        neighbours = [row_of.get(tuple(cell)) for cell in (outputs + offset).tolist()]
        expected = sorted((row, out) for out, row in enumerate(neighbours) if row is not None)
        assert expected
        assert sorted(map(tuple, pairs[tap].t().tolist())) == expected


@needs_parallel
@pytest.mark.parametrize(("size", "stride"), KERNELS)
def test_the_output_rows_of_each_tap_ascend(size: int, stride: int, two_threads: None) -> None:
    pairs, _, _ = _kernel_map(_sites(12), size, stride)
    assert len(pairs) == size**3
    assert all(bool((rows[1].diff() > 0).all()) for rows in pairs.values())


@needs_parallel
def test_values_and_gradients_have_the_same_bits_in_every_run(two_threads: None) -> None:
    sites = _sites(48)
    features = torch.randn(len(sites), 8)
    layer = ME.MinkowskiConvolution(8, 8, kernel_size=3, dimension=3)
    down = ME.MinkowskiConvolution(8, 8, kernel_size=2, stride=2, dimension=3)
    up = ME.MinkowskiConvolutionTranspose(8, 8, kernel_size=2, stride=2, dimension=3)
    grow = ME.MinkowskiGenerativeConvolutionTranspose(8, 8, kernel_size=2, stride=2, dimension=3)

    def run() -> list[Tensor]:
        leaf = features.clone().requires_grad_()
        coarse = down(layer(ME.SparseTensor(leaf, coordinates=sites)))
        results = [layer(up(coarse)).F, layer(grow(coarse)).F]
        loss = sum(result.square().sum() for result in results)
        weights = [part.kernel for part in (layer, down, up, grow)]
        return [*results, *torch.autograd.grad(loss, [leaf, *weights])]

    first = run()
    for _ in range(5):
        assert all(map(torch.equal, run(), first))
