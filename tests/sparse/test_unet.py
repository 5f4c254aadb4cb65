"""The same network with the same weights on the engines, and what must not change its results."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_s4r.sparse.factory import make_voxels
from tests.sparse.scenes import ENGINES, in_cell_order, scattered_cells
from tests.sparse.unet import SmallUNet


@dataclass
class Result:
    """All that a run gives, in an order of rows that is no engine's."""

    sites: Tensor
    outputs: tuple[Tensor, Tensor]
    features_gradient: Tensor
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


def _run(engine: str, network: SmallUNet, cells: Tensor, features: Tensor) -> Result:
    network = copy.deepcopy(network)
    leaf = features.clone().requires_grad_()
    pruned, fine, _ = network(make_voxels(engine, cells, leaf, levels=2))
    sites, coarse = in_cell_order(pruned)
    assert torch.equal(fine.coordinates, cells)
    # Squares, so that the gradient differs from row to row.
    ((coarse**2).sum() + (fine.features**3).sum()).backward()
    assert leaf.grad is not None
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    outputs = coarse.detach(), fine.features.detach()
    return Result(sites, outputs, leaf.grad, gradients, dict(network.named_buffers()))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_builtin_equals(engine: str, training: bool, tolerance: Callable[[str, torch.dtype], Any]) -> None:
    network = SmallUNet().double().train(training)
    cells = scattered_cells(900, extent=14)
    features = torch.randn(len(cells), 3, dtype=torch.float64)
    builtin, other = (_run(name, network, cells, features) for name in ("builtin", engine))
    assert torch.equal(builtin.sites, other.sites)
    assert len(builtin.sites) > 0
    forward, backward = (vars(tolerance(kind, torch.float64)) for kind in ("forward", "gradient"))
    torch.testing.assert_close(builtin.outputs, other.outputs, **forward)
    torch.testing.assert_close(builtin.features_gradient, other.features_gradient, **backward)
    assert builtin.gradients.keys() == other.gradients.keys()
    assert len(builtin.gradients) > 20
    torch.testing.assert_close(builtin.gradients, other.gradients, **backward)
    torch.testing.assert_close(builtin.buffers, other.buffers, **forward)
    changed = builtin.buffers["fine.branch.0.module.0.running_mean"].any()
    assert bool(changed) == training


@settings(max_examples=10)
@given(st.tuples(*[st.integers(-50, 50)] * 3))
def test_shifts_with_its_input_by_whole_coarse_cells(steps: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = SmallUNet().double()
    cells = scattered_cells(300)
    features = torch.randn(len(cells), 3, dtype=torch.float64)
    # Two halvings: whole cells of four voxels.
    shift = torch.tensor([0, *steps]) * 4
    here, there = _run("builtin", network, cells, features), _run("builtin", network, cells + shift, features)
    assert torch.equal(here.sites + shift // 2, there.sites)
    # Rows come in another order, so the sums of the batch norms differ in their last bits.
    torch.testing.assert_close(here.outputs, there.outputs, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(here.gradients, there.gradients, rtol=1e-9, atol=1e-9)


def test_does_not_shift_by_part_of_a_coarse_cell() -> None:
    # Otherwise the test above would prove nothing.
    network = SmallUNet().double()
    cells = scattered_cells(300)
    features = torch.randn(len(cells), 3, dtype=torch.float64)
    moved = _run("builtin", network, cells + torch.tensor([0, 1, 0, 0]), features)
    here = _run("builtin", network, cells, features)
    assert here.sites.shape != moved.sites.shape or not torch.equal(here.outputs[0], moved.outputs[0])


@pytest.mark.parametrize("engine", ENGINES)
def test_scenes_of_a_batch_do_not_touch(engine: str) -> None:
    # In eval mode, as batch statistics do join the scenes. Both scenes fill the same cells.
    network = SmallUNet().double().eval()
    cells = scattered_cells(600)
    features = torch.randn(len(cells), 3, dtype=torch.float64)
    voxels = make_voxels(engine, cells, features)
    together = network.last(network.back(network.halve(network.stem(voxels)), voxels))
    for scene in (0, 1):
        mine = cells[:, 0] == scene
        alone = make_voxels(engine, cells[mine] * torch.tensor([0, 1, 1, 1]), features[mine])
        apart = network.last(network.back(network.halve(network.stem(alone)), alone))
        torch.testing.assert_close(together.features[mine], apart.features, rtol=1e-12, atol=1e-12)


def test_one_state_serves_all_engines() -> None:
    network, other = SmallUNet(), SmallUNet()
    other.load_state_dict(network.state_dict())
    assert not any(engine in name for name in network.state_dict() for engine in ("builtin", "dense", "minkowski"))
