"""Do probabilities mean what they say? Reliability, errors of calibration, and temperatures that mend them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import optimize
from torch import Tensor

# Temperatures outside of this range mean that there was nothing to fit, such as logits that are always right.
LOWEST, HIGHEST = 0.01, 100.0


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: what was claimed and what came true, in bins of equal width over [0, 1].

    Attributes:
        edges: (B + 1,) float64 from 0 to 1; a value on an edge belongs to the bin below, 0 to the first.
        counts: (B,) int64 number of samples.
        confidence: (B,) float64 mean confidence of a bin's samples, NaN without samples.
        accuracy: (B,) float64 share of them that were right, NaN without samples.
    """

    edges: Tensor
    counts: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def ece(self) -> float:
        """Expected calibration error: mean over samples of abs(confidence - accuracy) of their bins; NaN for none."""
        total = int(self.counts.sum())
        gaps = (self.confidence - self.accuracy).abs().nan_to_num() * self.counts
        return float(gaps.sum()) / total if total else math.nan


def reliability(confidence: Tensor, correct: Tensor, bins: int = 15) -> Reliability:
    """Bin samples by their confidence.

    Args:
        confidence: (N,) float in [0, 1]: of a label, or the probability of an event.
        correct: (N,) bool, whether the label was right, or the event happened.
        bins: Number of bins.

    Raises:
        ValueError: Other shapes, confidences that are no probabilities, or fewer than one bin.

    Source:
        Guo et al., "On calibration of modern neural networks", 2017.
    """
    confidence, correct = _pair(confidence, correct)
    if bins < 1:
        raise ValueError(f"bins: expected at least 1, got {bins}")
    index = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    counts = torch.bincount(index, minlength=bins)
    claimed = torch.bincount(index, confidence, minlength=bins) / counts
    came_true = torch.bincount(index, correct.double(), minlength=bins) / counts
    return Reliability(torch.linspace(0, 1, bins + 1, dtype=torch.float64), counts, claimed, came_true)


def expected_calibration_error(confidence: Tensor, correct: Tensor, bins: int = 15) -> float:
    """``reliability(...).ece``: 0 where, in every bin, what was claimed is what came true; NaN without samples."""
    return reliability(confidence, correct, bins).ece


def brier_score(probability: Tensor, happened: Tensor) -> float:
    """Mean squared difference of probabilities (N,) and what happened (N,) bool; NaN without samples.

    0.25 is what always saying one half gives.
    """
    probability, happened = _pair(probability, happened)
    return float((probability - happened.double()).square().mean()) if len(probability) else math.nan


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature T that makes ``logits / T`` fit best: least negative log-likelihood.

    Args:
        logits: (N, K) float of classes, or (N,) float of one event.
        targets: (N,) class below K, or (N,) bool (or 0 and 1) whether the event happened.

    Returns:
        T within [0.01, 100], near an end of it where the likelihood only grows towards that. Above 1: the logits
        claimed too much.

    Raises:
        ValueError: No samples, other shapes, targets out of range, or logits that are not finite.
    """
    values, wanted = _samples(logits, targets)

    # Convex in 1 / T, so of one valley in its logarithm.
    def loss(logarithm: float) -> float:
        scaled = values * math.exp(-logarithm)
        if scaled.dim() == 1:
            return float(F.binary_cross_entropy_with_logits(scaled, wanted))
        return float(F.cross_entropy(scaled, wanted))

    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))


def fit_binary(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    """Temperature T and bias b that make ``sigmoid(logits / T + b)`` fit best: Platt scaling.

    Args:
        logits: (N,) float.
        targets: (N,) bool (or 0 and 1), whether the event happened.

    Returns:
        T within [0.01, 100] and b within [-20, 20].

    Raises:
        ValueError: As ``fit_temperature``.
    """
    values, wanted = _samples(logits, targets)
    if values.dim() != 1:
        raise ValueError(f"logits: expected shape (N,), got {tuple(values.shape)}; classes take fit_temperature")

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        scale, bias = float(parameters[0]), float(parameters[1])
        scaled = values * scale + bias
        wrong = torch.sigmoid(scaled) - wanted
        gradient = np.array([float((wrong * values).mean()), float(wrong.mean())])
        return float(F.binary_cross_entropy_with_logits(scaled, wanted)), gradient

    bounds = [(1 / HIGHEST, 1 / LOWEST), (-20.0, 20.0)]
    options = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500}
    found = optimize.minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return 1 / float(found.x[0]), float(found.x[1])


def _samples(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets on the CPU, in the types of the losses."""
    if logits.dim() not in (1, 2) or tuple(targets.shape) != (len(logits),):
        shapes = f"{tuple(logits.shape)} and {tuple(targets.shape)}"
        raise ValueError(f"logits and targets: expected (N, K) or (N,) and (N,), got {shapes}")
    if not len(logits):
        raise ValueError("logits: expected samples to fit a temperature to, got none")
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("logits: expected finite numbers, got NaN or infinity")
    classes = 2 if logits.dim() == 1 else logits.shape[1]
    wanted = targets.cpu().long()
    if int(wanted.min()) < 0 or int(wanted.max()) >= classes:
        raise ValueError(f"targets: expected values below {classes}, got {int(wanted.min())} to {int(wanted.max())}")
    return logits.detach().cpu().double(), wanted if logits.dim() == 2 else wanted.double()


def _pair(confidence: Tensor, correct: Tensor) -> tuple[Tensor, Tensor]:
    if confidence.dim() != 1 or confidence.shape != correct.shape:
        raise ValueError(
            f"confidence and correct: expected (N,) both, got {tuple(confidence.shape)} and {tuple(correct.shape)}"
        )
    confidence = confidence.detach().cpu().double()
    if not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise ValueError("confidence: expected probabilities in [0, 1], got others")
    return confidence, correct.cpu().bool()
