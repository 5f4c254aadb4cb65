"""Dense inference with any network of logits: sizes, tiles, scales, mirror images and the sum per class."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor
from torch.nn import functional

from sparse_s4r.segmentation.label_map import LabelMap, drop_ignored, sum_targets

# (B, 3, h, w) normalised images -> (B, U, h', w') logits, at a size of the network's choice.
Network = Callable[[Tensor], Tensor]
# Of ImageNet, on which nearly all backbones were trained.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DenseOptions:
    """How images are brought before a network.

    Attributes:
        short_side: Length in pixels that the shorter side of an image is resized to at scale 1; None to leave it.
        scales: Factors on that size; the probabilities of all are averaged.
        flip: Also average over the mirror image.
        tile: Largest side in pixels of what the network sees at once. Larger images are cut into tiles that overlap by
            a third, and probabilities are averaged there. It must fit the size rule.
        step: Size rule: sides must be a multiple of ``step`` plus ``rest``. What is missing is filled at the right and
            at the bottom with the mean colour, and cut off the result.
        rest: See ``step``.
        mean: Mean of the colours in [0, 1] that the network was trained on.
        std: Their standard deviation.

    Raises:
        ValueError: A value out of range.
    """

    short_side: int | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    tile: int = 713
    step: int = 1
    rest: int = 0
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD

    def __post_init__(self) -> None:
        if self.short_side is not None and self.short_side < 1:
            raise ValueError(f"short_side: expected at least 1 pixel, got {self.short_side}")
        if not self.scales or min(self.scales) <= 0:
            raise ValueError(f"scales: expected one or more factors above 0, got {self.scales}")
        if self.tile < 1 or self.fitting(self.tile) != self.tile:
            raise ValueError(f"tile: expected a multiple of {self.step} plus {self.rest}, got {self.tile}")

    def fitting(self, length: int) -> int:
        """Smallest side of at least ``length`` that the size rule allows."""
        return max(ceil((length - self.rest) / self.step), 1) * self.step + self.rest


@torch.no_grad()
def dense_probabilities(images: Tensor, network: Network, label_map: LabelMap, options: DenseOptions) -> Tensor:
    """Probabilities of a taxonomy's classes in every pixel.

    Softmax over the network's classes in every tile, the sum per class of the taxonomy, and only then means over
    overlaps, mirror images and scales: few channels are kept, and the order makes no difference to the result.

    Args:
        images: (B, 3, H, W) float RGB in [0, 1], on the network's device.
        network: The network of U classes.
        label_map: From its classes to the K of the taxonomy.
        options: See there.

    Returns:
        (B, K, H, W) float32, per pixel of sum 1, or of sum 0 where ignored classes win. No gradient.
    """
    total = torch.zeros((), device=images.device)
    size = (images.shape[2], images.shape[3])
    for scale in options.scales:
        scaled = resize_images(images, scaled_size(size, options.short_side, scale))
        sums = _tiled(normalise(scaled, options.mean, options.std), network, label_map, options)
        total = total + resize_images(sums, size)
    return drop_ignored(total / len(options.scales))


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(B, 3, H, W) float32 of mean 0 and deviation 1 over the colours that ``mean`` and ``std`` were taken from."""
    shape = (1, 3, 1, 1)
    centre, spread = (images.new_tensor(values, dtype=torch.float32).view(shape) for values in (mean, std))
    return (images.float() - centre) / spread


def resize_images(images: Tensor, size: tuple[int, int], antialias: bool = False) -> Tensor:
    """(B, C, *size) by bilinear interpolation between pixel centres; ``antialias`` as Pillow does when it shrinks."""
    if (images.shape[2], images.shape[3]) == size:
        return images
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=antialias)


def scaled_size(size: tuple[int, int], short_side: int | None, scale: float) -> tuple[int, int]:
    """(height, width) in pixels of an image of ``size`` whose shorter side becomes ``scale * short_side``."""
    shorter = min(size)
    target = max(round(scale * (shorter if short_side is None else short_side)), 1)
    height, width = (target if side == shorter else round(side * target / shorter) for side in size)
    return height, width


def _tiled(images: Tensor, network: Network, label_map: LabelMap, options: DenseOptions) -> Tensor:
    """(B, K + 1, h, w) sums per class of normalised images (B, 3, h, w), mean over overlapping tiles."""
    batch, _, height, width = images.shape
    sums = images.new_zeros((batch, len(label_map.class_names) + 1, height, width))
    count = images.new_zeros((height, width))
    for rows in _spans(height, options.tile):
        for columns in _spans(width, options.tile):
            sums[:, :, rows, columns] += _sums(images[:, :, rows, columns], network, label_map, options)
            count[rows, columns] += 1
    return sums / count


def _spans(length: int, tile: int) -> Iterator[slice]:
    if length <= tile:
        yield slice(0, length)
        return
    stride = ceil(tile * 2 / 3)
    for index in range(ceil((length - tile) / stride) + 1):
        end = min(index * stride + tile, length)
        yield slice(end - tile, end)


def _sums(tile: Tensor, network: Network, label_map: LabelMap, options: DenseOptions) -> Tensor:
    height, width = tile.shape[2], tile.shape[3]
    padding = (0, options.fitting(width) - width, 0, options.fitting(height) - height)
    padded = functional.pad(tile, padding)
    sums = _class_sums(padded, network, label_map)
    if options.flip:
        sums = (sums + _class_sums(padded.flip(3), network, label_map).flip(3)) / 2
    return sums[:, :, :height, :width]


def _class_sums(images: Tensor, network: Network, label_map: LabelMap) -> Tensor:
    logits = resize_images(network(images).float(), (images.shape[2], images.shape[3]))
    return sum_targets(logits.softmax(dim=1), label_map)
