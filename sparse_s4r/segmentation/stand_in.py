"""A stand-in for a 2D segmentation network on synthetic rooms: the true labels, made worse."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from sparse_s4r.segmentation.interface import one_hot
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame

# What networks take for one another in rooms.
_CONFUSABLE = {
    "wall": ("door", "curtain"),
    "cabinet": ("desk", "bookshelf"),
    "bed": ("sofa",),
    "chair": ("sofa", "otherfurniture"),
    "sofa": ("bed", "chair"),
    "table": ("desk",),
    "door": ("wall", "cabinet"),
    "window": ("picture", "wall"),
    "bookshelf": ("cabinet",),
    "picture": ("window", "wall"),
    "desk": ("table",),
    "curtain": ("wall",),
    "otherfurniture": ("cabinet", "chair"),
}
# A flip of a surface as large as this is rarer: networks seldom miss a whole wall or floor.
_LARGE_SHARE = 0.2


class StandInSegmenter:
    """Knows the true labels of synthetic frames and degrades them; it is NOT a segmentation method.

    It exists so that the demo runs without downloading a network. It looks at no colour. Errors are of the two kinds
    that networks make: outlines follow a coarse grid, and whole segments take the name of a similar class. Errors
    are drawn anew for every frame, and are the same each time for the same frame name and seed.

    Args:
        class_names: Names of the classes of the frames' labels.
        seed: Seed of the errors.
        flip_rate: Share of segments (connected regions of one class) that take another name.
        block: Edge in pixels of the grid that outlines follow; 1 for exact outlines.

    Raises:
        ValueError: A rate outside [0, 1] or a block below 1.
    """

    def __init__(self, class_names: tuple[str, ...], seed: int = 0, flip_rate: float = 0.1, block: int = 5) -> None:
        if not 0.0 <= flip_rate <= 1.0:
            raise ValueError(f"flip_rate: expected a share in [0, 1], got {flip_rate}")
        if block < 1:
            raise ValueError(f"block: expected at least 1 pixel, got {block}")
        self._class_names = class_names
        self._seed = seed
        self._flip_rate = flip_rate
        self._block = block

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self._class_names

    def probabilities(self, frame: RGBDFrame) -> Tensor:
        """(K, H, W), less sure at outlines and where a name was changed; 0 where the truth is unknown.

        Raises:
            ValueError: The frame has no labels.
        """
        if frame.labels is None:
            raise ValueError(f"frame {frame.name}: expected true labels to degrade, got none; use a real segmenter")
        rng = np.random.default_rng([self._seed, zlib.crc32(frame.name.encode())])
        truth = frame.labels.cpu().numpy()
        coarse = _follow_grid(truth, self._block, rng)
        labels, flipped = self._flip_segments(coarse, rng)
        sure = np.where(flipped, 0.6, 0.9) - 0.3 * (coarse != truth)
        probabilities = one_hot(
            torch.from_numpy(labels), len(self._class_names), torch.from_numpy(sure.astype(np.float32))
        )
        return probabilities.to(frame.depth.device)

    def _flip_segments(self, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        result, flipped = labels.copy(), np.zeros(labels.shape, dtype=bool)
        for label in np.unique(labels):
            options = [] if label == IGNORE_LABEL else self._similar(int(label))
            segments, count = ndimage.label(labels == label)
            for segment in range(1, count + 1):
                # Drawn for every segment, so that a change of one does not change the next.
                draw, choice = rng.random(), rng.integers(1 << 30)
                area = segments == segment
                rate = self._flip_rate * (0.2 if area.mean() > _LARGE_SHARE else 1.0)
                if options and draw < rate:
                    result[area], flipped[area] = options[int(choice) % len(options)], True
        return result, flipped

    def _similar(self, label: int) -> list[int]:
        names = _CONFUSABLE.get(self._class_names[label], ())
        return [self._class_names.index(name) for name in names if name in self._class_names]


def _follow_grid(labels: np.ndarray, block: int, rng: np.random.Generator) -> np.ndarray:
    """Give every cell of a grid the label of one of its pixels."""
    rows, columns = labels.shape
    shape = (-(-rows // block), -(-columns // block))
    row = np.minimum(np.arange(shape[0])[:, None] * block + rng.integers(0, block, shape), rows - 1)
    column = np.minimum(np.arange(shape[1])[None, :] * block + rng.integers(0, block, shape), columns - 1)
    coarse: np.ndarray = labels[row, column].repeat(block, axis=0).repeat(block, axis=1)[:rows, :columns]
    # Pixels without truth stay without; others keep their own label rather than losing it.
    return np.where((labels == IGNORE_LABEL) | (coarse == IGNORE_LABEL), labels, coarse)
