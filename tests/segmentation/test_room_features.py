"""Features of the shipped segmenter's encoder."""

from __future__ import annotations

import torch

from sparse_s4r.segmentation.room_features import RoomFeatures, shipped_room_features
from sparse_s4r.segmentation.room_net import RoomNet


def test_they_are_those_that_the_network_labels_by() -> None:
    torch.manual_seed(0)
    network = RoomNet(4, (4, 6, 8, 8, 8), 8)
    seen = {}
    network.stem.register_forward_hook(lambda _module, _inputs, output: seen.update(quarter=output))
    network.eighth.register_forward_hook(lambda _module, _inputs, output: seen.update(eighth=output))
    images = torch.rand(2, 3, 64, 96)
    features = RoomFeatures(network, 96)
    network(images)
    quarter, eighth = (seen["quarter"].clone(), seen["eighth"].clone())
    found = features(images)
    assert torch.equal(found[0], quarter)
    assert torch.equal(found[1], eighth)
    assert not any(weight.requires_grad for weight in network.parameters())


def test_the_shipped_ones_follow_the_picture() -> None:
    features = shipped_room_features("cpu")
    images = torch.rand(1, 3, 30, 40, requires_grad=True)
    quarter, eighth = features(images)
    # 160 pixels along the longer side.
    assert quarter.shape[-2:] == (30, 40)
    assert eighth.shape[-2:] == (15, 20)
    (quarter.square().mean() + eighth.square().mean()).backward()
    assert images.grad is not None
    assert bool((images.grad.abs().sum(1) > 0).float().mean() > 0.9)
