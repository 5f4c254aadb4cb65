"""Floor, wall, ceiling and object from depth alone: no network, no training."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sparse_s4r.segmentation.interface import label_frame, one_hot
from sparse_s4r.segmentation.surface_planes import point_normals, wall_distance
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.errors import DataError

STRUCTURE_NAMES = ("floor", "wall", "ceiling", "object")
FLOOR, WALL, CEILING, OBJECT = range(4)
# Cosine from which a surface counts as level: about 30 degrees, since normals of real depth are noisy.
_LEVEL = 0.85
_FLOOR_BAND = 0.08
_CEILING_HEIGHT = 1.9
_BIN = 0.02


class GeometricSegmenter:
    """Tells floor, wall, ceiling and object apart by height, normal and the large upright planes of a frame.

    Floor: near the floor's height, and level where the normal is known. Ceiling: level, from above, over 1.9 m. Wall:
    near an upright plane with almost nothing behind it that reaches over 1 m or fills the frame. Object: the rest.

    Args:
        up: Upward direction of the world.
        floor_height: Height of the floor along ``up``, metres, e.g. from ``estimate_floor``; None to take each
            frame's lowest level surface, which is wrong in frames that do not see the floor.
        confidence: Probability given to the class found.

    Raises:
        ValueError: An ``up`` of length 0.
    """

    def __init__(
        self,
        up: tuple[float, float, float] = (0.0, 0.0, 1.0),
        floor_height: float | None = None,
        confidence: float = 0.9,
    ) -> None:
        direction = torch.tensor(up, dtype=torch.float32)
        if float(direction.norm()) == 0:
            raise ValueError(f"up: expected a direction, got {up}")
        self._up = direction / direction.norm()
        self._floor_height = floor_height
        self._confidence = confidence

    @property
    def class_names(self) -> tuple[str, ...]:
        """``STRUCTURE_NAMES``."""
        return STRUCTURE_NAMES

    def probabilities(self, frame: RGBDFrame) -> Tensor:
        """(4, H, W); 0 where depth is missing."""
        return one_hot(self._classify(frame.to("cpu")), len(STRUCTURE_NAMES), self._confidence).to(frame.depth.device)

    def label_frame(self, frame: RGBDFrame) -> Tensor:
        """(H, W) int64 class, ``IGNORE_LABEL`` where depth is missing."""
        return label_frame(self, frame)

    def _classify(self, frame: RGBDFrame) -> Tensor:
        depth = frame.depth.float()
        points = frame.camera.unproject(depth)
        normals, known = point_normals(points, depth > 0, frame.camera.center.float())
        floor_height = self._floor_height
        if floor_height is None:
            floor_height = _lowest_level(points[known] @ self._up, normals[known] @ self._up)
        height = points @ self._up - (0.0 if floor_height is None else floor_height)
        upness = normals @ self._up
        labels = torch.full(depth.shape, OBJECT)
        # Depth noise grows with the square of the distance.
        band = _FLOOR_BAND + 0.003 * depth**2
        labels[wall_distance(points, normals, known, height, self._up) < 0.07 + 0.003 * depth**2] = WALL
        if floor_height is not None:
            # Where a normal mixes floor and what stands on it, only the height tells.
            level = (upness > _LEVEL) | ~known | (height < 0.4 * band)
            labels[(height < band) & level] = FLOOR
        labels[(height > _CEILING_HEIGHT) & (upness < -_LEVEL) & known] = CEILING
        labels[depth <= 0] = IGNORE_LABEL
        return labels


def estimate_floor(frames: Iterable[RGBDFrame], up: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> float:
    """Height of a capture's floor along ``up``: its lowest large level surface.

    Args:
        frames: A dozen frames spread over the capture are enough; read once.
        up: Upward direction of the world.

    Raises:
        DataError: No level surface that faces up.
    """
    direction = torch.tensor(up, dtype=torch.float32)
    direction = direction / direction.norm()
    heights, upness = [], []
    for frame in frames:
        depth = frame.depth.cpu().float()
        camera = frame.camera.to("cpu")
        points = camera.unproject(depth)
        normals, known = point_normals(points, depth > 0, camera.center.float())
        heights.append(points[known] @ direction)
        upness.append(normals[known] @ direction)
    floor = _lowest_level(torch.cat(heights), torch.cat(upness)) if heights else None
    if floor is None:
        raise DataError("floor: expected level surfaces in the depth images, got none; check the up axis")
    return floor


def _lowest_level(heights: Tensor, upness: Tensor) -> float | None:
    """Height of the lowest peak in the histogram of upward-facing points; None without such points."""
    level = heights[upness > _LEVEL]
    if len(level) < 50:
        return None
    lower = float(level.min())
    counts = torch.bincount(((level - lower) / _BIN).long()).float()
    smooth = torch.nn.functional.avg_pool1d(counts[None, None], 3, stride=1, padding=1)[0, 0]
    # The lowest bin that holds a fair share of the largest level surface, then uphill to its peak.
    index = int((smooth > 0.2 * smooth.max()).nonzero()[0])
    while index + 1 < len(smooth) and smooth[index + 1] > smooth[index]:
        index += 1
    near = level[(level - (lower + (index + 0.5) * _BIN)).abs() < 2 * _BIN]
    return float(near.median())
