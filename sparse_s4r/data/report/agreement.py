"""How well the depth of one view predicts that of another, under poses that may not be the declared ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Points per view: medians of this many are steady.
_POINTS = 2000
# Views that share less than this part of the first one say nothing of each other.
MIN_OVERLAP = 0.05


@dataclass(frozen=True)
class View:
    """What the comparison of views needs of a frame.

    Attributes:
        index: Position in the capture.
        pixels: (P, 3) float32 pixels (column, row, 1) with depth, spread over the image.
        z: (P,) float32 their depth, metres; 0 for the rest if the view has fewer.
        depth: (H, W) float32 z-depth, metres, 0 = missing.
        intrinsics: (3, 3) float64, pixels of ``depth``.
    """

    index: int
    pixels: Tensor
    z: Tensor
    depth: Tensor
    intrinsics: Tensor


@dataclass(frozen=True)
class Pairs:
    """Pairs of views side by side; depth images of different sizes are filled up with zeros.

    Attributes:
        indices: (B, 2) int64 positions in the capture.
        pixels: (B, P, 3) of the first views.
        z: (B, P) of the first views.
        depth: (B, H, W) of the second views.
        sizes: (B, 2) int64 width and height of the second views.
        intrinsics: (B, 2, 3, 3) of both.
    """

    indices: Tensor
    pixels: Tensor
    z: Tensor
    depth: Tensor
    sizes: Tensor
    intrinsics: Tensor

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Agreement:
    """How pairs of views agree.

    Attributes:
        error: Median, over the pairs that overlap, of the median relative difference of depth; infinite if fewer than
            half of the pairs do.
        metres: The same in metres.
        overlap: Median share of the points of a view that fall onto measured depth of its partner.
        overlapping: Number of pairs that overlap.
        pairs: Number of pairs.
    """

    error: float
    metres: float
    overlap: float
    overlapping: int
    pairs: int


def make_view(index: int, depth: Tensor, intrinsics: Tensor) -> View:
    """A view of a depth image (H, W) in metres with its intrinsics (3, 3)."""
    rows, columns = torch.nonzero(depth > 0, as_tuple=True)
    chosen = torch.linspace(0, max(0, len(rows) - 1), min(_POINTS, len(rows))).round().long()
    rows, columns = rows[chosen], columns[chosen]
    pixels, z = torch.ones((_POINTS, 3)), torch.zeros(_POINTS)
    pixels[: len(rows), 0], pixels[: len(rows), 1] = columns.float(), rows.float()
    z[: len(rows)] = depth[rows, columns].float()
    return View(index, pixels, z, depth.float(), intrinsics.double())


def make_pairs(pairs: Sequence[tuple[View, View]]) -> Pairs:
    """The pairs side by side."""
    height = max((second.depth.shape[0] for _, second in pairs), default=1)
    width = max((second.depth.shape[1] for _, second in pairs), default=1)
    depth = torch.zeros((len(pairs), height, width))
    for number, (_, second) in enumerate(pairs):
        depth[number, : second.depth.shape[0], : second.depth.shape[1]] = second.depth
    sizes = [(second.depth.shape[1], second.depth.shape[0]) for _, second in pairs]
    both = [torch.stack([first.intrinsics, second.intrinsics]) for first, second in pairs]
    return Pairs(
        torch.tensor([(first.index, second.index) for first, second in pairs], dtype=torch.int64).reshape(-1, 2),
        torch.stack([first.pixels for first, _ in pairs]) if pairs else torch.zeros((0, _POINTS, 3)),
        torch.stack([first.z for first, _ in pairs]) if pairs else torch.zeros((0, _POINTS)),
        depth,
        torch.tensor(sizes, dtype=torch.int64).reshape(-1, 2),
        torch.stack(both) if both else torch.zeros((0, 2, 3, 3), dtype=torch.float64),
    )


def agreement(pairs: Pairs, poses: Tensor, factor: float = 1.0) -> Agreement:
    """Compare the views of each pair.

    Args:
        pairs: Views that should overlap.
        poses: (B, 2, 4, 4) float64 camera-to-world, OpenCV axes, of both views of each pair.
        factor: Depth is multiplied by it.
    """
    if len(pairs) == 0:
        return Agreement(torch.inf, torch.inf, 0.0, 0, 0)
    place, predicted = _seen_from_second(pairs, poses, factor)
    width, height = pairs.sizes[:, None, 0], pairs.sizes[:, None, 1]
    column, row = torch.round(place).nan_to_num(nan=-1, posinf=-1, neginf=-1).unbind(dim=2)
    measured = pairs.z > 0
    inside = measured & (predicted > 0) & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    column, row = torch.where(inside, column, 0.0).long(), torch.where(inside, row, 0.0).long()
    seen = factor * pairs.depth[torch.arange(len(pairs))[:, None], row, column]
    both = inside & (seen > 0)
    apart = torch.where(both, (seen - predicted).abs(), torch.nan)
    overlap = both.sum(dim=1) / measured.sum(dim=1).clamp(min=1)
    known = overlap >= MIN_OVERLAP
    count = int(known.sum())
    if 2 * count < len(pairs):
        return Agreement(torch.inf, torch.inf, 0.0, count, len(pairs))
    relative = (apart / predicted).nanmedian(dim=1).values[known]
    metres = apart.nanmedian(dim=1).values[known] / factor
    return Agreement(
        float(relative.median()), float(metres.median()), float(overlap[known].median()), count, len(pairs)
    )


def _seen_from_second(pairs: Pairs, poses: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """Pixels (B, P, 2) and depth (B, P) in the second view of the first one's points."""
    motion = torch.linalg.inv(poses[:, 1]) @ poses[:, 0]
    first, second = pairs.intrinsics.unbind(dim=1)
    # From pixels times depth straight to the second camera's; float32 is enough for pixels once this is one matrix.
    turn = (second @ motion[:, :3, :3] @ torch.linalg.inv(first)).float()
    shift = (second @ motion[:, :3, 3:]).float()
    image = (factor * pairs.z)[..., None] * (pairs.pixels @ turn.transpose(1, 2)) + shift.transpose(1, 2)
    return image[..., :2] / image[..., 2:], image[..., 2]
