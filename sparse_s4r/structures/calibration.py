"""From a network's scores to probabilities that mean what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Calibration:
    """Temperatures fitted on scenes that took no part in the training; 1, 0 and 1 leave the scores as they are.

    Attributes:
        occupancy_temperature: Divides the finest level's occupancy logit of completed voxels; > 0.
        occupancy_bias: Is added after that.
        label_temperature: Divides the class logits; > 0.

    Raises:
        ValueError: A number that is not finite, or a temperature that is not positive.

    Source: Guo et al., ICML 2017 (temperature); Platt 1999 (with a bias).
    """

    occupancy_temperature: float = 1.0
    occupancy_bias: float = 0.0
    label_temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("occupancy_temperature", "label_temperature"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: expected a positive number, got {value}")
        if not math.isfinite(self.occupancy_bias):
            raise ValueError(f"occupancy_bias: expected a finite number, got {self.occupancy_bias}")

    def occupancy(self, logits: Tensor) -> Tensor:
        """Probability (N,) float32 of a voxel with occupancy ``logits`` (N,) to lie in the band of the true surface."""
        return torch.sigmoid(logits.float() / self.occupancy_temperature + self.occupancy_bias)

    def confidence(self, logits: Tensor) -> Tensor:
        """Probability (N,) float32 that the class with the largest of ``logits`` (N, K) is right; K > 0."""
        return torch.softmax(logits.float() / self.label_temperature, dim=1).amax(dim=1)
