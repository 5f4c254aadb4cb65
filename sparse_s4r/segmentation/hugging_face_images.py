"""How a model of Hugging Face transformers wants its images: what its preprocessor_config.json says, done with torch.

The image processors of transformers work on 8-bit images and, for the most part, need torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from torch import Tensor
from torch.nn import functional

from sparse_s4r.segmentation.dense import MEAN, STD, normalise
from sparse_s4r.structures.errors import DataError

# Pillow's numbers of resampling filters.
_FILTERS = {2: "bilinear", 3: "bicubic"}
_RESCALE = 1 / 255
_DEFAULT_DIVISORS = {"mask2former": 32}
_NORMALISATION = (("image_mean", MEAN), ("image_std", STD))
# Height, width, shortest and longest side.
_Size = tuple[int | None, int | None, int | None, int | None]


@dataclass(frozen=True)
class ImagePreparation:
    """Size and normalisation of images.

    Attributes:
        height: Height in pixels that every image is resized to; None if ``shortest`` gives the size.
        width: Width in pixels, likewise.
        shortest: Length in pixels of the shorter side; None if ``height`` and ``width`` give the size, or images stay
            as they are.
        longest: Largest length in pixels of the longer side; None for any.
        divisor: Sides are rounded up to a multiple of this; 0 to leave them.
        filter: "bilinear" or "bicubic".
        factor: What colours in [0, 1] are multiplied by.
        mean: Mean of the colours after that.
        std: Their standard deviation.
    """

    height: int | None
    width: int | None
    shortest: int | None
    longest: int | None
    divisor: int
    filter: str
    factor: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that an image of ``height`` by ``width`` pixels is resized to."""
        if self.height is not None and self.width is not None:
            height, width = self.height, self.width
        elif self.shortest is not None:
            height, width = _size_by_edges(height, width, self.shortest, self.longest)
        if self.divisor > 0:
            height, width = (ceil(side / self.divisor) * self.divisor for side in (height, width))
        return height, width

    def prepare(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) float32, the network's input, of images (B, 3, H, W) RGB in [0, 1]."""
        size = self.size(images.shape[2], images.shape[3])
        images = images.float()
        if size != (images.shape[2], images.shape[3]):
            # With the filter widened where it shrinks, as Pillow does; bicubic ones overshoot.
            images = functional.interpolate(images, size=size, mode=self.filter, align_corners=False, antialias=True)
            images = images.clamp(0.0, 1.0)
        return normalise(images * self.factor, self.mean, self.std)


def read_preparation(settings: Mapping[str, object], kind: str, source: str) -> ImagePreparation:
    """What the content ``settings`` of a preprocessor_config.json asks for.

    Args:
        settings: The content.
        kind: Type of the model: "segformer", "mask2former" or "oneformer".
        source: Name of the model, for messages.

    Raises:
        DataError: A size, filter or normalisation that is not understood.
    """
    height = width = shortest = longest = None
    if settings.get("do_resize", True):
        height, width, shortest, longest = _read_size(settings, kind, source)
    resample = settings.get("resample", 2)
    if resample not in _FILTERS:
        raise DataError(f"{source}: resample: expected 2 (bilinear) or 3 (bicubic), got {resample}")
    divisor = settings.get("size_divisor", settings.get("size_divisibility", _DEFAULT_DIVISORS.get(kind, 0))) or 0
    factor = settings.get("rescale_factor", _RESCALE) if settings.get("do_rescale", True) else 1.0
    if not isinstance(divisor, int) or not isinstance(factor, int | float):
        raise DataError(f"{source}: expected numbers as size_divisor and rescale_factor, got {divisor!r}, {factor!r}")
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if settings.get("do_normalize", True):
        mean, std = (_three(settings, name, fallback, source) for name, fallback in _NORMALISATION)
    return ImagePreparation(height, width, shortest, longest, divisor, _FILTERS[resample], factor * 255.0, mean, std)


def _read_size(settings: Mapping[str, object], kind: str, source: str) -> _Size:
    size, longest = settings.get("size"), settings.get("max_size")
    if isinstance(size, int):  # the form of old files
        if kind == "segformer":
            return size, size, None, None
        return None, None, size, longest if isinstance(longest, int) else None
    if isinstance(size, Mapping):
        given = {name: value for name, value in size.items() if value is not None}
        if all(isinstance(value, int) for value in given.values()):
            if set(given) == {"height", "width"}:
                return given["height"], given["width"], None, None
            if set(given) in ({"shortest_edge"}, {"shortest_edge", "longest_edge"}):
                return None, None, given["shortest_edge"], given.get("longest_edge", longest)
    raise DataError(
        f"{source}: size of its preprocessor_config.json: expected height and width, or shortest_edge and "
        f"longest_edge, got {size}"
    )


def _three(
    settings: Mapping[str, object], name: str, fallback: tuple[float, float, float], source: str
) -> tuple[float, float, float]:
    value = settings.get(name, fallback)
    if (
        not isinstance(value, list | tuple)
        or len(value) != 3
        or not all(isinstance(part, int | float) for part in value)
    ):
        raise DataError(f"{source}: {name}: expected three numbers, got {value}")
    return float(value[0]), float(value[1]), float(value[2])


def _size_by_edges(height: int, width: int, shortest: int, longest: int | None) -> tuple[int, int]:
    """Size with ``shortest`` as the shorter side, or less so that the longer one is at most ``longest``.

    The rounding is that of transformers, so that the network sees the size that it was tested with.
    """
    low, high = min(height, width), max(height, width)
    exact = float(shortest)
    if longest is not None and high / low * shortest > longest:
        exact = longest * low / high
        shortest = round(exact)
    if low == shortest:
        return height, width
    other = int(exact * high / low)
    return (other, shortest) if width < height else (shortest, other)
