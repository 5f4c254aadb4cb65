"""The dense baseline: shapes, sites and gradients."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from sparse_s4r.models.dense_net import DenseNet, scan_box
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.structures import ScenePrediction, SparseTSDF
from tests.models.scenes import GRID, SHAPE, make_room, row_set


def make_dense(**changes: Any) -> DenseNet:
    torch.manual_seed(0)
    return DenseNet(dataclasses.replace(SHAPE, **changes)).double().eval()


def predict(network: DenseNet, scene: SceneInput) -> ScenePrediction:
    (prediction,) = network([scene])
    return prediction


def test_fields_cover_the_box() -> None:
    box = torch.tensor([-16, 0, 0]), torch.tensor([32, 16, 32])
    fields = make_dense().fields(make_room().scan, box)
    assert fields.tsdf.shape == fields.occupancy.shape == (48, 16, 32)
    assert fields.color is not None
    assert fields.color.shape == (48, 16, 32, 3)
    assert bool(((fields.color > 0) & (fields.color < 1)).all())
    assert fields.semantic_logits is not None
    assert fields.semantic_logits.shape == (48, 16, 32, 3)


def test_fields_lie_where_the_scan_does() -> None:
    # A scan moved by 16 voxels, and the box with it, gives the same numbers.
    network = make_dense()
    lower, upper = torch.tensor([0, 0, 0]), torch.tensor([32, 32, 32])
    shift = torch.tensor([16, -32, 48])
    here = network.fields(make_room().scan, (lower, upper))
    there = network.fields(make_room(shift=(16, -32, 48)).scan, (lower + shift, upper + shift))
    torch.testing.assert_close(here.tsdf, there.tsdf, rtol=1e-9, atol=1e-9)


def test_the_box_must_lie_on_the_coarse_lattice() -> None:
    network, scan = make_dense(), make_room().scan
    for lower, upper in (([0, 0, 8], [16, 16, 24]), ([0, 0, 0], [16, 16, 20])):
        with pytest.raises(ValueError, match="box: expected multiples of 16 voxels, got"):
            network.fields(scan, (torch.tensor(lower), torch.tensor(upper)))


def test_the_box_of_a_scan_holds_it_snugly() -> None:
    scan = make_room(shift=(-12, 3, 40)).scan
    lower, upper = scan_box(scan)
    assert lower.tolist() == [-16, 0, 32]
    assert bool(((lower % 16 == 0) & (upper % 16 == 0)).all())
    assert bool(((scan.coordinates >= lower) & (scan.coordinates < upper)).all())
    assert bool((upper - scan.coordinates.amax(0) <= 16).all())


@pytest.mark.parametrize("keep_observed", [True, False])
def test_sites_are_occupied_observed_or_guided_and_not_free(keep_observed: bool) -> None:
    room = make_room()
    scene = room.scene(free=True, guide=True)
    prediction = predict(make_dense(keep_observed=keep_observed), scene)
    assert scene.free is not None
    assert scene.guide is not None
    (level,) = prediction.occupancy
    assert level.stride == 1
    assert len(level.coordinates) == 32**3
    seen = row_set(room.scan.coordinates)
    occupied = level.logits > 0
    if keep_observed:
        occupied |= torch.tensor([tuple(cell) in seen for cell in level.coordinates.tolist()])
    wanted = (occupied & ~scene.free.entirely_free(level.coordinates, 1)) | scene.guide.surface(level.coordinates, 1)
    assert row_set(prediction.coordinates) == row_set(level.coordinates[wanted])
    assert 0 < len(prediction) < 32**3
    assert prediction.observed is not None
    assert row_set(prediction.coordinates[prediction.observed]) == seen


def test_values_belong_to_their_voxels() -> None:
    room = make_room()
    network = make_dense()
    prediction = predict(network, room.scene())
    fields = network.fields(room.scan, scan_box(room.scan))
    x, y, z = prediction.coordinates.unbind(1)
    assert torch.equal(prediction.tsdf, fields.tsdf[x, y, z])
    assert fields.color is not None
    assert prediction.color is not None
    assert torch.equal(prediction.color, fields.color[x, y, z])


def test_gradients_reach_every_weight() -> None:
    network = make_dense().train()
    prediction = predict(network, make_room().scene(guide=True))
    assert prediction.color is not None
    assert prediction.semantic_logits is not None
    values = (prediction.tsdf, prediction.color, prediction.semantic_logits, prediction.occupancy[0].logits)
    terms: list[Tensor] = [(value**2).mean() for value in values]
    torch.autograd.backward(torch.stack(terms).sum())
    dead = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert dead == []


def test_color_blind_and_class_less_variants() -> None:
    network = make_dense(color_encoder=False, color_decoder=False, classes=0)
    prediction = predict(network, make_room(color=False).scene())
    assert prediction.color is None
    assert prediction.semantic_logits is None


def test_refuses_what_it_cannot_work_on() -> None:
    empty = SparseTSDF(GRID, torch.empty(0, 3, dtype=torch.int64), torch.empty(0), torch.empty(0), torch.empty(0, 3))
    with pytest.raises(ValueError, match="scenes: expected at least one, got none"):
        make_dense()([])
    with pytest.raises(ValueError, match="scan: expected at least one voxel, got none"):
        make_dense()([SceneInput(empty)])
    with pytest.raises(ValueError, match=r"scan: expected colour, got none.*color_encoder: false"):
        make_dense()([make_room(color=False).scene()])
