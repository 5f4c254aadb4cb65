"""A small network that labels colour images, made to run on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# The coarsest features have one cell per 32 x 32 pixels.
STRIDE = 32
# Mean and deviation of colours in [0, 1], so that inputs are about normal; those of photographs in general.
_MEAN, _DEVIATION = 0.45, 0.25


class RoomNet(nn.Module):
    """Encoder to a 32nd of the size, context over the whole image, decoder back to a quarter, bilinear to the full.

    All convolutions are plain: on a CPU they are no slower than depthwise ones, which are bound by memory, and in
    bfloat16 they train in two thirds of the time.

    Args:
        class_count: Number K of classes.
        widths: Channels at strides 2, 4, 8, 16 and 32.
        decoder: Channels of the decoder.
    """

    def __init__(
        self, class_count: int, widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128), decoder: int = 64
    ) -> None:
        super().__init__()
        self.class_count = class_count
        half, quarter, eighth, sixteenth, coarse = widths
        self.stem = nn.Sequential(_conv(3, half, 3, 2), _conv(half, quarter, 3, 2), _Residual(quarter))
        self.eighth = nn.Sequential(_conv(quarter, eighth, 3, 2), _Residual(eighth), _Residual(eighth))
        self.sixteenth = nn.Sequential(_conv(eighth, sixteenth, 3, 2), _Residual(sixteenth), _Residual(sixteenth))
        self.coarse = nn.Sequential(_conv(sixteenth, coarse, 3, 2), _Residual(coarse), _Residual(coarse))
        self.context = _Context(coarse, decoder)
        self.laterals = nn.ModuleList(_conv(width, decoder, 1) for width in (sixteenth, eighth, quarter))
        self.merges = nn.ModuleList(_conv(decoder, decoder, 3) for _ in range(3))
        self.classify = nn.Conv2d(decoder, class_count, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of every pixel.

        Args:
            images: (B, 3, H, W) float RGB in [0, 1], of any size.

        Returns:
            (B, K, H, W) logits.
        """
        height, width = images.shape[-2:]
        padded = whole_cells(images)
        logits = self.quarter_logits(padded)
        full = functional.interpolate(logits, padded.shape[-2:], mode="bilinear", align_corners=False)
        return full[..., :height, :width]

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features of the encoder at a quarter and an eighth of the size of ``images`` (B, 3, H, W), rounded up."""
        normal = (images - _MEAN) / _DEVIATION
        quarter: Tensor = self.stem(normal.contiguous(memory_format=torch.channels_last))
        return quarter, self.eighth(quarter)

    def quarter_logits(self, images: Tensor) -> Tensor:
        """Logits (B, K, H / 4, W / 4) of ``images`` whose sides are multiples of ``STRIDE``; see ``forward``."""
        quarter, eighth = self.features(images)
        sixteenth = self.sixteenth(eighth)
        merged = self.context(self.coarse(sixteenth))
        for finer, lateral, merge in zip((sixteenth, eighth, quarter), self.laterals, self.merges, strict=True):
            side = lateral(finer)
            merged = merge(side + functional.interpolate(merged, side.shape[-2:], mode="bilinear", align_corners=False))
        logits: Tensor = self.classify(merged)
        return logits


def whole_cells(images: Tensor) -> Tensor:
    """``images`` (B, 3, H, W) with edges repeated to the right and below, until both sides divide by ``STRIDE``."""
    height, width = images.shape[-2:]
    return functional.pad(images, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def _conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm and rectifier."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    """Two 3x3 convolutions beside the identity (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        last = nn.BatchNorm2d(width)
        # Begins as the identity, which is learnt from faster.
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(_conv(width, width, 3), second, last)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        return functional.relu(features + self.branch(features))


class _Context(nn.Module):
    """The mean of the whole image added to every cell.

    The mean has no batch norm, which would need more than one value per channel.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.local = _conv(inputs, outputs, 1)
        self.whole = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, outputs, h, w) of features (B, inputs, h, w)."""
        mixed: Tensor = self.local(features) + self.whole(features.mean((2, 3), keepdim=True))
        return mixed
