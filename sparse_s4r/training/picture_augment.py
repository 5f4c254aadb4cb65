"""Random changes of labelled images, so that what is learnt holds for other cameras, rooms and renders."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sparse_s4r.structures import IGNORE_LABEL

# Labels are wanted for every fourth pixel.
CELL = 4
# Colours to lightness and two axes of colour (YIQ), in which hue is an angle.
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = torch.linalg.inv(_TO_YIQ)


@dataclass(frozen=True)
class PictureAugmentation:
    """How strongly images are changed; the defaults are for pictures of 320 x 240.

    Attributes:
        height, width: Size of the result, pixels; multiples of ``CELL``.
        zoom: Smallest and largest magnification.
        tilt: Largest rotation of the image, radians.
        tone: How far hue, saturation, white balance, contrast, brightness and gamma change; 1 is as far as photographs
            of rooms differ, 0 leaves them.
        recolor: Share of images in which every class gets a tint of its own, as a class has no colour.
        blur: Share of blurred images.
        coarse: Share of images shown with fewer pixels, as renders of voxels are.
        noise: Largest deviation of noise.
        erased: Share of images with missing patches, which renders show in the mean colour.
    """

    height: int = 96
    width: int = 128
    zoom: tuple[float, float] = (0.3, 0.75)
    tilt: float = 0.1
    tone: float = 0.5
    recolor: float = 0.1
    blur: float = 0.2
    coarse: float = 0.2
    noise: float = 0.04
    erased: float = 0.2

    def __call__(self, color: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Change one image.

        Args:
            color: (3, H, W) uint8 RGB.
            labels: (H, W) uint8.
            generator: Source of all choices.

        Returns:
            (3, height, width) float32 in [0, 1] and (height / 4, width / 4) uint8 labels of the centres of its cells.
        """
        dice = Dice(generator)
        image, full, small = self._crop(color, labels, dice)
        if dice.chance(self.recolor):
            image = _recolor(image, full, dice)
        image = _tone(image, self.tone, dice)
        if dice.chance(self.blur):
            image = functional.avg_pool2d(image[None], 3, 1, 1, count_include_pad=False)[0]
        if dice.chance(self.coarse):
            image = _coarse(image, dice)
        image = image + dice.normal(image.shape) * dice.uniform(0.0, self.noise)
        if dice.chance(self.erased):
            image, small = _erase(image, small, dice)
        return image.clamp(0.0, 1.0), small

    def _crop(self, color: Tensor, labels: Tensor, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
        """A turned, scaled, perhaps mirrored part of the image, its labels, and the labels of cells."""
        height, width = labels.shape
        zoom = math.exp(dice.uniform(math.log(self.zoom[0]), math.log(self.zoom[1])))
        stretch = math.exp(dice.uniform(-0.15, 0.15))
        # Share of the image that the result spans, along both axes.
        spans = self.width / width / zoom * stretch, self.height / height / zoom / stretch
        shift_x, shift_y = (dice.uniform(-1.0, 1.0) * max(1.0 - span, 0.15) for span in spans)
        mirror = -1.0 if dice.chance(0.5) else 1.0
        angle = dice.uniform(-self.tilt, self.tilt)
        cosine, sine = math.cos(angle), math.sin(angle)
        ratio = height / width
        affine = torch.tensor(
            [
                [mirror * spans[0] * cosine, -spans[1] * sine * ratio, shift_x],
                [mirror * spans[0] * sine / ratio, spans[1] * cosine, shift_y],
            ]
        )
        fill = color.float().mean((1, 2)).view(3, 1, 1) / 255
        grid = functional.affine_grid(affine[None], [1, 3, self.height, self.width], align_corners=False)
        known = color.float() / 255 - fill
        image = functional.grid_sample(known[None], grid, "bilinear", "zeros", align_corners=False)[0] + fill
        # Labels are shifted by one, so that zeros beyond the edge mean none.
        shifted = (labels.long() + 1).remainder(IGNORE_LABEL + 1).float()[None, None]
        full = functional.grid_sample(shifted, grid, "nearest", "zeros", align_corners=False)[0, 0]
        cells = functional.affine_grid(
            affine[None], [1, 3, self.height // CELL, self.width // CELL], align_corners=False
        )
        small = functional.grid_sample(shifted, cells, "nearest", "zeros", align_corners=False)[0, 0]
        return image, _unshifted(full), _unshifted(small)


class Dice:
    """Random numbers of one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def chance(self, share: float) -> bool:
        """True in ``share`` of all cases."""
        return self.uniform(0.0, 1.0) < share

    def integer(self, low: int, high: int) -> int:
        """A whole number in [low, high)."""
        return int(torch.randint(low, high, (), generator=self._generator))

    def normal(self, shape: torch.Size) -> Tensor:
        """Normal numbers of deviation 1."""
        return torch.randn(shape, generator=self._generator)

    def spread(self, *shape: int) -> Tensor:
        """Numbers in [0, 1)."""
        return torch.rand(shape, generator=self._generator)


def _unshifted(labels: Tensor) -> Tensor:
    return (labels.long() - 1).remainder(IGNORE_LABEL + 1).to(torch.uint8)


def _recolor(image: Tensor, labels: Tensor, dice: Dice) -> Tensor:
    """Multiply about half of the classes by a tint each."""
    tints = 0.4 + 1.1 * dice.spread(3, IGNORE_LABEL + 1)
    tints[:, dice.spread(IGNORE_LABEL + 1) < 0.5] = 1.0
    return image * tints[:, labels.long()]


def _tone(image: Tensor, strength: float, dice: Dice) -> Tensor:
    """Hue, saturation, white balance, contrast and brightness as one linear map, then gamma."""
    angle = strength * dice.uniform(-0.5, 0.5)
    saturation = 1.0 + strength * dice.uniform(-0.7, 0.5)
    if dice.chance(0.1 * strength):
        saturation = 0.0
    cosine, sine = math.cos(angle) * saturation, math.sin(angle) * saturation
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    gains = 1.0 + strength * (0.4 * dice.spread(3, 1) - 0.2)
    linear = gains * (_FROM_YIQ @ turn @ _TO_YIQ)
    contrast, brightness = 1.0 + strength * dice.uniform(-0.4, 0.4), strength * dice.uniform(-0.2, 0.2)
    mean = image.mean((1, 2)).view(3, 1)
    pixels = image.flatten(1)
    changed = (linear * contrast) @ (pixels - mean) + linear @ mean + brightness
    gamma = math.exp(strength * dice.uniform(-0.5, 0.5))
    toned: Tensor = changed.clamp(0.0, 1.0).pow(gamma).view_as(image)
    return toned


def _coarse(image: Tensor, dice: Dice) -> Tensor:
    """The image at a half to a sixth of its size, blown up again in blocks or smoothly."""
    height, width = image.shape[-2:]
    factor = dice.uniform(2.0, 6.0)
    small = functional.interpolate(image[None], size=(round(height / factor), round(width / factor)), mode="area")
    mode = "nearest" if dice.chance(0.5) else "bilinear"
    return functional.interpolate(small, size=(height, width), mode=mode)[0]


def _erase(image: Tensor, small: Tensor, dice: Dice) -> tuple[Tensor, Tensor]:
    """Irregular holes in the mean colour, without labels; half of the time ragged ones, else rectangles."""
    rows, columns = small.shape
    holes = torch.zeros(rows, columns, dtype=torch.bool)
    if dice.chance(0.5):
        coarse = dice.spread(1, 1, max(rows // dice.integer(2, 9), 1), max(columns // dice.integer(2, 9), 1))
        level = functional.interpolate(coarse, size=(rows, columns), mode="bilinear")[0, 0]
        holes = level < dice.uniform(0.1, 0.45)
    else:
        for _ in range(dice.integer(1, 10)):
            top, left = dice.integer(0, rows), dice.integer(0, columns)
            holes[top : top + dice.integer(1, rows // 3 + 2), left : left + dice.integer(1, columns // 3 + 2)] = True
    kept = ~holes
    wide = holes.repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)
    fill = image.flatten(1)[:, ~wide.flatten()].mean(1) if bool(kept.any()) else image.mean((1, 2))
    return torch.where(wide, fill.view(3, 1, 1), image), torch.where(holes, IGNORE_LABEL, small.long()).to(torch.uint8)
