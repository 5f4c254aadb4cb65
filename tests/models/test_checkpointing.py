"""Activation checkpointing changes the memory of a step, and nothing that comes out of it."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.models.scene_net import SceneNet
from sparse_s4r.sparse.layers import ResidualBlock
from tests.models.scenes import make_network, make_room


def train_once(recompute: bool) -> tuple[SceneNet, float]:
    """The network after one backward pass on a batch of two scenes, and the loss."""
    network = make_network().train()
    network.recompute = recompute
    predictions = network([make_room(0).scene(free=True, guide=True), make_room(4).scene(guide=True)])
    total = torch.zeros((), dtype=torch.float64)
    for prediction in predictions:
        assert prediction.color is not None
        assert prediction.semantic_logits is not None
        total = total + prediction.tsdf.square().mean() + prediction.color.sum(1).square().mean()
        total = total + prediction.semantic_logits.square().mean()
        for level in prediction.occupancy:
            total = total + level.logits.sigmoid().mean()
    torch.autograd.backward(total)
    return network, float(total.detach())


def test_gradients_and_statistics_are_those_without() -> None:
    (plain, loss), (saving, same) = train_once(False), train_once(True)
    assert loss == same
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert one.grad is not None, name
        assert other.grad is not None, name
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-12)
    counted = 0
    for (name, value), other_value in zip(plain.named_buffers(), saving.buffers(), strict=True):
        torch.testing.assert_close(value, other_value, rtol=1e-12, atol=0)
        if name.endswith("num_batches_tracked"):
            counted += int(value)
            assert int(value) == 1, name
    assert counted > 20


def test_what_is_within_a_level_is_not_kept() -> None:
    def kept(recompute: bool) -> int:
        network = make_network().train()
        network.recompute = recompute
        sizes: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            sizes.append(tensor.numel() * tensor.element_size())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network([make_room(0).scene(guide=True)])
        return sum(sizes)

    assert kept(True) < 0.5 * kept(False)


def test_without_a_gradient_nothing_is_computed_twice() -> None:
    calls = []
    network = make_network().eval()
    network.recompute = True
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        network([make_room(0).scene()])
    assert len(calls) == sum(isinstance(module, ResidualBlock) for module in network.modules())
