"""What every 2D segmenter offers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame


class Segmenter(Protocol):
    """Gives each pixel of a frame a probability per class."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        ...

    def probabilities(self, frame: RGBDFrame) -> Tensor:
        """(K, H, W) float32 in [0, 1], per pixel of sum 1, or of sum 0 where no statement is made."""
        ...


class ImageSegmenter(Protocol):
    """Gives each pixel of an image a probability per class, from its colours alone: what a 2D network offers."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        ...

    def probabilities(self, images: Tensor) -> Tensor:
        """Probabilities of every class in every pixel; no gradient.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1], of any size and on any device.

        Returns:
            (B, K, H, W) float32 in [0, 1] on the segmenter's device, per pixel of sum 1, or of sum 0 where no
            statement is made.
        """
        ...


class FrameSegmenter:
    """Asks an ``ImageSegmenter`` about the colours of a frame.

    Args:
        images: The segmenter to ask.
    """

    def __init__(self, images: ImageSegmenter) -> None:
        self._images = images

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self._images.class_names

    def probabilities(self, frame: RGBDFrame) -> Tensor:
        """(K, H, W) float32 on the frame's device, per pixel of sum 1, or of sum 0 where no statement is made."""
        image = frame.color.permute(2, 0, 1).unsqueeze(0)
        return self._images.probabilities(image)[0].to(frame.color.device)


def label_frame(segmenter: Segmenter, frame: RGBDFrame, min_confidence: float = 0.0) -> Tensor:
    """Most probable class of every pixel.

    Args:
        segmenter: The segmenter to ask.
        frame: The frame to label.
        min_confidence: Probability below which a pixel has no label.

    Returns:
        (H, W) int64 class; ``IGNORE_LABEL`` where the segmenter makes no statement or is not sure enough.

    Raises:
        ValueError: ``min_confidence`` outside [0, 1].
    """
    if not 0.0 <= min_confidence <= 1.0:
        raise ValueError(f"min_confidence: expected a probability in [0, 1], got {min_confidence}")
    confidence, label = segmenter.probabilities(frame).max(dim=0)
    return torch.where((confidence > 0) & (confidence >= min_confidence), label, IGNORE_LABEL)


def one_hot(labels: Tensor, count: int, confidence: Tensor | float = 1.0) -> Tensor:
    """Probabilities (K, H, W) of ``labels`` (H, W): ``confidence`` for the label, the rest shared by the others.

    ``IGNORE_LABEL`` gives zeros. ``confidence`` is a number or (H, W); with a single class it is taken as 1.
    """
    known = labels != IGNORE_LABEL
    sure = torch.as_tensor(confidence if count > 1 else 1.0, dtype=torch.float32, device=labels.device)
    sure = sure.expand(labels.shape)
    rest = (1.0 - sure) / max(count - 1, 1)
    result = rest.expand(count, *labels.shape).clone()
    result.scatter_(0, torch.where(known, labels, 0).unsqueeze(0), sure.unsqueeze(0))
    return result * known
