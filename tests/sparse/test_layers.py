"""Layers: their weights, and batch norm on next to nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.sparse.layers import Convolution, Downsample, Pointwise, ResidualBlock, Upsample
from sparse_s4r.sparse.norm import batch_norm
from sparse_s4r.sparse.tensor import VoxelTensor
from tests.sparse.scenes import scattered_cells


def _voxels(count: int, channels: int, stride: int = 1) -> VoxelTensor:
    cells = torch.cat([torch.zeros(count, 3), torch.arange(count)[:, None]], dim=1).long()
    return make_voxels("builtin", cells, torch.randn(count, channels), stride)


def _cube(channels: int, stride: int = 1) -> VoxelTensor:
    axis = torch.arange(20)
    cells = torch.cartesian_prod(torch.zeros(1, dtype=torch.int64), axis, axis, axis)
    return make_voxels("builtin", cells, torch.randn(len(cells), channels), stride)


@pytest.mark.parametrize(
    ("layer", "stride", "steps"),
    [(Convolution(16, 32), 1, 1), (Convolution(16, 32, 1), 1, 1), (Downsample(16, 32), 1, 2), (Upsample(16, 32), 2, 1)],
)
def test_layers_keep_the_variance_for_relu(layer: nn.Module, stride: int, steps: int) -> None:
    result = layer(_cube(16, stride)).features.detach()
    inner = result if steps == 2 or stride == 2 else result.view(20, 20, 20, 32)[1:-1, 1:-1, 1:-1]
    # Kaiming: inputs of variance 1 give outputs of variance 2, which ReLU halves again in the mean of squares. The
    # weights of one output channel are some 16 to 432 draws, so its variance has a spread of up to 35 %; the mean of
    # 32 channels, 6 %.
    assert float(inner.var()) == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize("kernel_size", [0, 2, 4, -1])
def test_even_kernels_are_refused(kernel_size: int) -> None:
    with pytest.raises(ValueError, match=f"kernel_size: expected an odd number, got {kernel_size}"):
        Convolution(2, 2, kernel_size)


def test_bias_is_added_at_sites() -> None:
    layer, plain = Convolution(3, 2, bias=True), Convolution(3, 2)
    assert plain.bias is None
    assert layer.bias is not None
    plain.weight.data.copy_(layer.weight.data)
    layer.bias.data.copy_(torch.tensor([1.0, -2.0]))
    voxels = _voxels(10, 3)
    difference = layer(voxels).features - plain(voxels).features
    torch.testing.assert_close(difference, torch.tensor([1.0, -2.0]).expand(10, 2))


def test_upsample_goes_onto_a_target() -> None:
    cells = scattered_cells(50)
    target = make_voxels("builtin", cells, torch.zeros(len(cells), 1))
    result = Upsample(4, 2)(Downsample(1, 4)(target), target)
    assert torch.equal(result.coordinates, cells)
    assert result.features.shape == (len(cells), 2)


def test_pointwise_applies_the_module_to_rows() -> None:
    voxels, linear = _voxels(5, 3), nn.Linear(3, 7)
    result = Pointwise(linear)(voxels)
    assert torch.equal(result.features, linear(voxels.features))
    assert torch.equal(result.coordinates, voxels.coordinates)


def test_residual_block_adds_its_branch() -> None:
    block, voxels = ResidualBlock(4), _voxels(30, 4)
    last = block.branch[-1]
    assert isinstance(last, Convolution)
    assert not torch.equal(block(voxels).features, voxels.features)
    nn.init.zeros_(last.weight)
    assert torch.equal(block(voxels).features, voxels.features)


@pytest.mark.parametrize("count", [0, 1])
def test_training_on_fewer_than_two_rows(count: int) -> None:
    block = ResidualBlock(4).train()
    for buffer in (block.branch[0].module[0], block.branch[2].module[0]):
        buffer.running_mean.normal_()
        buffer.running_var.uniform_(0.5, 2)
    before = {name: value.clone() for name, value in block.named_buffers()}
    voxels = _voxels(count, 4)
    result = block(voxels)
    result.features.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in block.named_buffers())
    assert all(weight.grad is not None for weight in block.parameters())
    # The running statistics stand in, as in evaluation.
    torch.testing.assert_close(result.features, block.eval()(voxels).features)


@pytest.mark.parametrize("count", [0, 1])
def test_batch_norm_inside_other_modules_meets_few_rows_too(count: int) -> None:
    stack = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())).train()
    result = Pointwise(stack)(_voxels(count, 3))
    assert result.features.shape == (count, 4)
    assert int(stack[1][0].num_batches_tracked) == 0


def test_batch_norm_without_running_statistics_needs_rows() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        batch_norm(nn.BatchNorm1d(2, track_running_stats=False), torch.zeros(1, 2))


def test_batch_norm_of_many_rows_is_torchs() -> None:
    ours, theirs, features = nn.BatchNorm1d(3), nn.BatchNorm1d(3), torch.randn(50, 3)
    assert torch.equal(batch_norm(ours, features), theirs(features))
    assert torch.equal(ours.running_var, theirs.running_var)


def test_half_types_under_autocast() -> None:
    voxels, layer = _cube(8), Convolution(8, 8)
    exact = layer(voxels).features
    exact.square().mean().backward()
    expected = layer.weight.grad
    layer.weight.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = layer(voxels).features
    assert result.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits: inputs, weights and output are each rounded by 0.4 %, of values up to ten.
    torch.testing.assert_close(result.float(), exact, rtol=2e-2, atol=5e-2)
    result.float().square().mean().backward()
    assert layer.weight.grad is not None
    assert expected is not None
    assert layer.weight.grad.dtype == torch.float32
    # The gradient sums 8,000 rows in float32, so that the errors of single rows average out.
    assert float((layer.weight.grad - expected).norm() / expected.norm()) < 2e-2
