"""What the shipped segmenter's encoder sees in pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse_s4r.segmentation.room_net import RoomNet
from sparse_s4r.segmentation.room_segmenter import WEIGHTS, load_room_weights, resized
from sparse_s4r.weights import shipped_weights


class RoomFeatures:
    """The encoder's features at a quarter and an eighth of the size that it was trained for.

    Args:
        network: Trained network; put into evaluation mode, and its weights learn no more.
        long_side: Longer side of the pictures that it is shown, pixels.
    """

    def __init__(self, network: RoomNet, long_side: int) -> None:
        self.network = network.eval().requires_grad_(False)
        self.long_side = long_side

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps of images (B, 3, H, W), RGB in [0, 1], on the network's device; differentiable in the images."""
        return self.network.features(resized(images, self.long_side))


def shipped_room_features(device: torch.device | str) -> RoomFeatures:
    """The features of the shipped weights."""
    stored = load_room_weights(shipped_weights(WEIGHTS))
    return RoomFeatures(stored.network.to(device), stored.long_side)
