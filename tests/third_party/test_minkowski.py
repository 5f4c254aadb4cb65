"""The MinkowskiEngine that `make minkowski` builds computes what it should, the two mended defects included."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.conftest import Tolerance

if os.environ.get("S4R_REQUIRE_MINKOWSKI") == "1":
    ME: Any = importlib.import_module("MinkowskiEngine")
else:
    ME = pytest.importorskip("MinkowskiEngine", reason="MinkowskiEngine is not installed: make minkowski")

CHANNELS_IN, CHANNELS_OUT, SIDE = 3, 4, 6
# It instantiates autograd functions, which torch discourages; that is how it is.
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
Close = Callable[[Tensor, Tensor], None]


@pytest.fixture
def close(tolerance: Callable[[str, torch.dtype], Tolerance]) -> Close:
    def compare(actual: Tensor, expected: Tensor) -> None:
        torch.testing.assert_close(actual, expected, **vars(tolerance("forward", torch.float64)))

    return compare


def _sites(batches: int = 2) -> Tensor:
    """About a third of a cube per batch entry, (N, 4) int32."""
    return (torch.rand(batches, SIDE, SIDE, SIDE) < 0.35).nonzero().int().contiguous()


def _tensor(coordinates: Tensor, channels: int = CHANNELS_IN, grad: bool = False) -> Any:
    features = torch.randn(len(coordinates), channels, dtype=torch.float64, requires_grad=grad)
    return ME.SparseTensor(features, coordinates=coordinates)


def _dense(coordinates: Tensor, features: Tensor) -> Tensor:
    b, x, y, z = coordinates.long().unbind(1)
    grid = features.new_zeros(int(b.max()) + 1, SIDE, SIDE, SIDE, features.shape[1])
    return grid.index_put((b, x, y, z), features).permute(0, 4, 1, 2, 3)


def _dense_weight(kernel: Tensor, size: int) -> Tensor:
    """(taps, in, out) with x fastest, as MinkowskiEngine keeps it, to (out, in, x, y, z)."""
    return kernel.reshape(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)


def _rows(coordinates: Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in coordinates.tolist()]


def test_a_convolution_equals_conv3d_in_values_and_gradients(close: Close) -> None:
    coordinates = _sites()
    voxels = _tensor(coordinates, grad=True)
    layer = ME.MinkowskiConvolution(CHANNELS_IN, CHANNELS_OUT, kernel_size=3, dimension=3).double()
    output = layer(voxels)
    b, x, y, z = output.C.long().unbind(1)

    features = voxels.F.detach().clone().requires_grad_()
    kernel = layer.kernel.detach().clone().requires_grad_()
    dense = F.conv3d(_dense(voxels.C, features), _dense_weight(kernel, 3), padding=1)
    expected = dense.permute(0, 2, 3, 4, 1)[b, x, y, z]
    close(output.F, expected)

    upstream = torch.randn_like(expected)
    close(torch.autograd.grad(output.F, voxels.F, upstream, retain_graph=True)[0], _grad(expected, features, upstream))
    close(torch.autograd.grad(output.F, layer.kernel, upstream)[0], _grad(expected, kernel, upstream))


def _grad(output: Tensor, of: Tensor, upstream: Tensor) -> Tensor:
    return torch.autograd.grad(output, of, upstream, retain_graph=True)[0]


def test_a_strided_convolution_equals_conv3d_on_the_occupied_cells(close: Close) -> None:
    voxels = _tensor(_sites())
    layer = ME.MinkowskiConvolution(CHANNELS_IN, CHANNELS_OUT, kernel_size=2, stride=2, dimension=3).double()
    output = layer(voxels)
    cells = {(b, x // 2 * 2, y // 2 * 2, z // 2 * 2) for b, x, y, z in _rows(voxels.C)}
    assert set(_rows(output.C)) == cells
    b, x, y, z = output.C.long().unbind(1)
    dense = F.conv3d(_dense(voxels.C, voxels.F), _dense_weight(layer.kernel, 2), stride=2)
    close(output.F, dense.permute(0, 2, 3, 4, 1)[b, x // 2, y // 2, z // 2])


@pytest.mark.parametrize("tap", range(27))
def test_taps_are_ordered_with_x_fastest(tap: int) -> None:
    block = torch.tensor([[0, *c] for c in itertools.product((-1, 0, 1), repeat=3)], dtype=torch.int32)
    features = (block[:, 1:] == 0).all(1).double()[:, None]  # 1 at the origin alone
    layer = ME.MinkowskiConvolution(1, 1, kernel_size=3, dimension=3).double()
    with torch.no_grad():
        layer.kernel.zero_()
        layer.kernel[tap] = 1.0
        output = layer(ME.SparseTensor(features, coordinates=block))
    # out[c] = sum over taps of w[tap] * in[c + offset(tap)]: the one is seen from c = -offset.
    offset = (tap % 3 - 1, tap // 3 % 3 - 1, tap // 9 - 1)
    assert _rows(output.C[output.F[:, 0] != 0]) == [(0, *(-o for o in offset))]


def test_a_generative_transpose_gives_each_cell_its_eight_children(close: Close) -> None:
    coordinates = _sites()
    cells = ME.SparseTensor(
        torch.randn(len(coordinates), CHANNELS_IN, dtype=torch.float64),
        coordinates=coordinates * torch.tensor([1, 2, 2, 2], dtype=torch.int32),
        tensor_stride=2,
    )
    layer = ME.MinkowskiGenerativeConvolutionTranspose(
        CHANNELS_IN, CHANNELS_OUT, kernel_size=2, stride=2, dimension=3
    ).double()
    output = layer(cells)
    expected: dict[tuple[int, ...], Tensor] = {
        (b, x + dx, y + dy, z + dz): features @ layer.kernel[dx + 2 * dy + 4 * dz]
        for (b, x, y, z), features in zip(_rows(cells.C), cells.F, strict=True)
        for dx, dy, dz in itertools.product((0, 1), repeat=3)
    }
    assert len(output.C) == 8 * len(coordinates)
    assert set(_rows(output.C)) == set(expected)
    close(output.F, torch.stack([expected[row] for row in _rows(output.C)]))


def test_pruning_keeps_the_chosen_voxels_and_their_features(close: Close) -> None:
    voxels = _tensor(_sites())
    keep = torch.rand(len(voxels)) < 0.5
    pruned = ME.MinkowskiPruning()(voxels, keep)
    expected = dict(zip(_rows(voxels.C[keep]), voxels.F[keep], strict=True))
    assert 0 < len(pruned) < len(voxels)
    assert set(_rows(pruned.C)) == set(expected)
    close(pruned.F, torch.stack([expected[row] for row in _rows(pruned.C)]))


def test_a_convolution_on_no_voxels_gives_no_voxels() -> None:
    voxels = _tensor(_sites())
    empty = ME.MinkowskiPruning()(voxels, torch.zeros(len(voxels), dtype=torch.bool))
    layer = ME.MinkowskiConvolution(CHANNELS_IN, CHANNELS_OUT, kernel_size=3, dimension=3).double()
    output = layer(empty)
    assert output.F.shape == (0, CHANNELS_OUT)
    # A second layer finds the empty kernel map of the first in the manager's cache.
    again = ME.MinkowskiConvolution(CHANNELS_OUT, 2, kernel_size=3, dimension=3).double()(output)
    assert again.F.shape == (0, 2)


def test_each_union_has_its_own_coordinates() -> None:
    def voxels(manager: Any, *xs: int) -> Any:
        coordinates = torch.tensor([[0, x, 0, 0] for x in xs], dtype=torch.int32)
        return ME.SparseTensor(torch.ones(len(xs), 1), coordinates=coordinates, coordinate_manager=manager)

    manager = ME.CoordinateManager(D=3)
    a, b, c = voxels(manager, 0, 1), voxels(manager, 1, 2), voxels(manager, 5)
    union = ME.MinkowskiUnion()
    assert {row[1] for row in _rows(union(a, b).C)} == {0, 1, 2}
    assert {row[1] for row in _rows(union(a, c).C)} == {0, 1, 5}
