"""Every engine against loops over single cells and taps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.sparse.tensor import VoxelTensor
from tests.oracles import sparse_conv as oracle
from tests.sparse.scenes import ENGINES, assert_field, field_of, scattered_cells

pytestmark = pytest.mark.parametrize("engine", ENGINES)


def _voxels(engine: str, count: int = 200, channels: int = 3, stride: int = 1, seed: int = 0) -> VoxelTensor:
    cells = scattered_cells(count, seed=seed)
    features = torch.randn(len(cells), channels, dtype=torch.float64)
    return make_voxels(engine, cells, features, stride)


def _weight(taps: int, inputs: int = 3, outputs: int = 4) -> torch.Tensor:
    return torch.randn(taps, inputs, outputs, dtype=torch.float64)


def test_rows_stay_as_given(engine: str) -> None:
    cells = scattered_cells(100)
    features = torch.randn(len(cells), 2)
    voxels = make_voxels(engine, cells, features)
    assert isinstance(voxels, VoxelTensor)
    assert torch.equal(voxels.coordinates, cells)
    assert torch.equal(voxels.features, features)
    assert voxels.stride == 1


@pytest.mark.parametrize("taps", [1, 27, 125])
def test_conv(engine: str, taps: int) -> None:
    voxels, weight = _voxels(engine), _weight(taps)
    result = voxels.conv(weight)
    assert_field(result, oracle.conv(field_of(voxels.coordinates, voxels.features), weight.numpy()))
    assert torch.equal(result.coordinates, voxels.coordinates)


@pytest.mark.parametrize("tap", range(27))
def test_one_tap_of_conv(engine: str, tap: int) -> None:
    # One tap, and weights that differ between channels: a flipped or transposed kernel cannot pass.
    voxels, weight = _voxels(engine, count=60), torch.zeros(27, 3, 2, dtype=torch.float64)
    weight[tap] = torch.arange(1.0, 7.0).view(3, 2)
    assert_field(voxels.conv(weight), oracle.conv(field_of(voxels.coordinates, voxels.features), weight.numpy()))


@pytest.mark.parametrize("tap", range(8))
def test_one_tap_of_down_and_up(engine: str, tap: int) -> None:
    voxels, weight = _voxels(engine, count=60), torch.zeros(8, 3, 3, dtype=torch.float64)
    weight[tap] = torch.arange(1.0, 10.0).view(3, 3)
    coarse = voxels.down(weight)
    expected = oracle.down(field_of(voxels.coordinates, voxels.features), weight.numpy())
    assert_field(coarse, expected)
    assert_field(coarse.up(weight), oracle.up(expected, weight.numpy(), oracle.children(expected)), atol=1e-11)


def test_down_twice(engine: str) -> None:
    voxels, first, second = _voxels(engine), _weight(8), _weight(8, 4, 2)
    coarse = voxels.down(first)
    expected = oracle.down(field_of(voxels.coordinates, voxels.features), first.numpy())
    assert_field(coarse, expected)
    coarser = coarse.down(second)
    assert (coarse.stride, coarser.stride) == (2, 4)
    assert_field(coarser, oracle.down(expected, second.numpy()))


def test_up_onto_sites_some_of_which_lack_a_parent(engine: str) -> None:
    voxels, weight = _voxels(engine, count=40, stride=2), _weight(8)
    # Cells of half the edge; the parents of many of them are not among the voxels.
    target = _voxels(engine, count=300, seed=1)
    expected = oracle.up(
        field_of(voxels.coordinates, voxels.features),
        weight.numpy(),
        list(field_of(target.coordinates, target.features)),
    )
    assert any(not value.any() for value in expected.values())
    result = voxels.up(weight, target)
    assert_field(result, expected)
    assert torch.equal(result.coordinates, target.coordinates)


def test_conv_on_generated_and_pruned_sites(engine: str) -> None:
    voxels, raise_by, weight = _voxels(engine, count=150, stride=4), _weight(8), _weight(27, 4, 2)
    raised = voxels.up(raise_by)
    expected = field_of(raised.coordinates, raised.features)
    assert_field(raised.conv(weight), oracle.conv(expected, weight.numpy()), atol=1e-11)
    keep = torch.rand(len(raised.features)) < 0.3
    pruned = raised.prune(keep)
    assert torch.equal(pruned.coordinates, raised.coordinates[keep])
    assert_field(pruned, field_of(raised.coordinates[keep], raised.features[keep]))
    remaining = field_of(pruned.coordinates, pruned.features)
    assert_field(pruned.conv(weight), oracle.conv(remaining, weight.numpy()), atol=1e-11)
    again = _weight(8, 4, 4)
    assert_field(pruned.down(again), oracle.down(remaining, again.numpy()), atol=1e-11)


def test_lookup(engine: str) -> None:
    mine, other = _voxels(engine), _voxels(engine, channels=2, seed=1)
    known = field_of(other.coordinates, other.features)
    expected = np.stack([known.get(tuple(cell), np.zeros(2)) for cell in mine.coordinates.tolist()])
    np.testing.assert_array_equal(mine.lookup(other).numpy(), expected)
    assert torch.equal(mine.lookup(mine), mine.features)


def test_voxels_without_sites(engine: str) -> None:
    full = _voxels(engine, stride=2)
    none = full.prune(torch.zeros(len(full.features), dtype=torch.bool))
    assert none.conv(_weight(27)).features.shape == (0, 4)
    assert none.down(_weight(8)).coordinates.shape == (0, 4)
    assert none.down(_weight(8)).features.shape == (0, 4)
    assert none.up(_weight(8)).features.shape == (0, 4)
    assert none.lookup(full).shape == (0, 3)
    assert not full.lookup(none).any()
    empty = make_voxels(engine, torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 3, dtype=torch.float64), 2)
    assert empty.conv(_weight(27)).features.shape == (0, 4)
    fine = _voxels(engine)
    assert not empty.up(_weight(8), fine).features.any()


def test_bare_sites_have_features_without_channels(engine: str) -> None:
    cells = scattered_cells(50)
    sites = make_voxels(engine, cells, torch.zeros(len(cells), 0))
    assert sites.lookup(sites.prune(cells[:, 1] > 0)).shape == (len(cells), 0)
    assert sites.with_features(torch.ones(len(cells), 2)).features.shape == (len(cells), 2)


def test_tensors_that_are_not_contiguous(engine: str) -> None:
    voxels = _voxels(engine)
    strided = voxels.with_features(voxels.features.T.contiguous().T)
    for taps, step in ((27, "conv"), (8, "down")):
        weight = _weight(taps)
        slanted = weight.permute(2, 0, 1).contiguous().permute(1, 2, 0)
        assert not slanted.is_contiguous()
        expected = getattr(voxels, step)(weight).features
        torch.testing.assert_close(getattr(strided, step)(slanted).features, expected, rtol=0, atol=1e-12)


def test_steps_leave_their_input_as_it_was(engine: str) -> None:
    voxels = _voxels(engine, stride=2)
    before = voxels.features.clone(), voxels.coordinates.clone()
    voxels.conv(_weight(27)).features.zero_()
    voxels.down(_weight(8))
    voxels.up(_weight(8))
    voxels.prune(voxels.features[:, 0] > 0).features.zero_()
    assert torch.equal(voxels.features, before[0])
    assert torch.equal(voxels.coordinates, before[1])


def test_wrong_arguments_are_named(engine: str) -> None:
    voxels = _voxels(engine)
    with pytest.raises(ValueError, match=r"weight: expected an odd kernel .* got 8 taps"):
        voxels.conv(_weight(8))
    with pytest.raises(ValueError, match=r"weight: expected shape \(k\^3, C_in, C_out\), got \(26, 3, 4\)"):
        voxels.conv(_weight(26))
    with pytest.raises(ValueError, match="weight: expected 3 input channels as the features have, got 2"):
        voxels.conv(_weight(27, 2))
    with pytest.raises(ValueError, match=r"weight: expected 8 taps \(k = 2\), got 27"):
        voxels.down(_weight(27))
    with pytest.raises(ValueError, match="there are no finer cells"):
        voxels.up(_weight(8))
    with pytest.raises(ValueError, match="keep: expected bool"):
        voxels.prune(torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="features: expected"):
        voxels.with_features(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="expected voxels of stride 1, got 2"):
        voxels.lookup(_voxels(engine, stride=2))
    with pytest.raises(ValueError, match="expected a target of stride 2, got 1"):
        _voxels(engine, stride=4).up(_weight(8), voxels)
    with pytest.raises(TypeError, match="make both by one engine"):
        voxels.lookup(_voxels("dense-masked" if engine == "builtin" else "builtin"))
