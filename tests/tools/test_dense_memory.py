"""The dense network's memory: the formulas against what autograd and the allocator count on a small box."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparse_s4r.models.dense_net import DenseNet
from sparse_s4r.models.scene_net import SceneNetShape
from sparse_s4r.structures import GridSpec, SparseTSDF
from tools.dense_memory import forward_bytes, training_bytes

BOX = (32, 48, 32)
SHAPE = SceneNetShape((4, 6, 8, 10, 12), 1, 2, 5, True, True, 1, 4096, 4096, True, False)


def _scan() -> SparseTSDF:
    coordinates = torch.unique(torch.stack([torch.randint(edge, (200,)) for edge in BOX], dim=1), dim=0)
    count = len(coordinates)
    return SparseTSDF(GridSpec(0.1), coordinates, 0.1 * torch.rand(count), torch.ones(count), torch.rand(count, 3))


def _kept(network: DenseNet) -> int:
    """Bytes of all storages that autograd keeps for the backward pass, without the weights."""
    weights = {value.untyped_storage().data_ptr() for value in network.state_dict().values()}
    kept: dict[int, Tensor] = {}

    def pack(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        fields = network.fields(_scan(), (torch.zeros(3).long(), torch.tensor(BOX)))
    assert fields.tsdf.requires_grad
    return sum(value.untyped_storage().nbytes() for place, value in kept.items() if place not in weights)


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        replace(SHAPE, blocks=2, bottleneck_blocks=0),
        replace(SHAPE, color_encoder=False, color_decoder=False),
        replace(SHAPE, classes=0, widths=(8, 8, 8, 8, 8)),
    ],
    ids=["all", "blocks", "no colour", "no classes"],
)
def test_a_training_step_keeps_what_the_formula_says(shape: SceneNetShape) -> None:
    # The norms' sums per channel, which the formula leaves out, are some thousandths of this small box.
    assert _kept(DenseNet(shape)) == pytest.approx(training_bytes(BOX, shape), rel=2e-3)


def test_a_forward_pass_holds_what_the_formula_says_or_a_little_more() -> None:
    shape = replace(SHAPE, widths=(16, 32, 64, 96, 128))
    network = DenseNet(shape).eval()
    scan, box = _scan(), (torch.zeros(3).long(), torch.tensor(BOX))
    with torch.no_grad():
        peak = _peak(lambda: network.fields(scan, box))
    # On top come the convolution routines' own buffers.
    assert 1.0 <= peak / forward_bytes(BOX, shape) < 1.5


def _peak(action: Callable[[], object]) -> int:
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        action()
    assert profile.kineto_results is not None
    changes = [(one.start_ns(), one.nbytes()) for one in profile.kineto_results.events() if one.name() == "[memory]"]
    total = peak = 0
    for _, change in sorted(changes):
        total += change
        peak = max(peak, total)
    return peak


def test_both_grow_with_the_volume() -> None:
    for needed in (training_bytes, forward_bytes):
        assert needed((64, 96, 64), SHAPE) == 8 * needed(BOX, SHAPE)
    with pytest.raises(ValueError, match="multiples of 16"):
        training_bytes((32, 40, 32), SHAPE)
