"""The small network: sizes, and what its output depends on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse_s4r.segmentation.room_net import STRIDE, RoomNet, whole_cells


@pytest.fixture(scope="module")
def network() -> RoomNet:
    torch.manual_seed(0)
    return RoomNet(7).eval()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (1, 1), (33, 95), (240, 320)])
@torch.no_grad()
def test_every_pixel_of_any_size_gets_logits(network: RoomNet, height: int, width: int) -> None:
    logits = network(torch.rand(2, 3, height, width))
    assert logits.shape == (2, 7, height, width)
    assert bool(torch.isfinite(logits).all())


def test_edges_are_repeated_until_cells_are_whole() -> None:
    images = torch.rand(1, 3, 30, 65)
    padded = whole_cells(images)
    assert padded.shape == (1, 3, 32, 96)
    torch.testing.assert_close(padded[..., :30, :65], images)
    torch.testing.assert_close(padded[..., 31, :65], images[..., 29, :])
    torch.testing.assert_close(padded[..., :30, 95], images[..., 64])
    assert whole_cells(torch.rand(1, 3, STRIDE, 2 * STRIDE)).shape == (1, 3, STRIDE, 2 * STRIDE)


@torch.no_grad()
def test_an_image_is_labelled_alike_alone_and_in_a_batch(network: RoomNet) -> None:
    images = torch.rand(3, 3, 64, 64)
    together = network(images)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_whole_image_is_context_for_every_pixel(network: RoomNet) -> None:
    # Corner to corner is farther than the convolutions reach in so large an image.
    images = torch.rand(1, 3, 512, 512)
    changed = images.clone()
    changed[..., -64:, -64:] = 0.0
    assert float((network(images) - network(changed))[..., 0, 0].abs().max()) > 0


def test_a_step_trains_every_weight() -> None:
    network = RoomNet(5).train()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            # Branches begin at zero; a first step has to open them.
            nn.init.ones_(part.weight)
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def test_the_network_of_the_shipped_weights_is_small() -> None:
    assert 1_000_000 < sum(weight.numel() for weight in RoomNet(39).parameters()) < 1_500_000
