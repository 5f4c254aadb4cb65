"""Which cells the network works on: the bottleneck's, and those kept at every level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.geometry.keys import pack_keys, unpack_keys
from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.structures import SampleBox, SparseTSDF


@dataclass(frozen=True)
class SceneInput:
    """What the network is given of one scene.

    Attributes:
        scan: The incomplete scan.
        free: Observation of the input; cells that it saw to be entirely free get no surface. None: not used.
        guide: Observation of the target; its surface cells are kept in addition to the predicted ones, which
            teaches fine levels before the coarse ones are right. None: prediction alone.
        holes: Boxes in which free space counts as unseen.
        box: Lower and upper (exclusive) voxel indices, each (3,) int64 multiples of 16, beyond which nothing is
            generated. None: no bound.
        finest: Stride, 1, 2, 4, 8 or 16, at which decoding ends: beyond 1 there is occupancy alone, and no voxel.
    """

    scan: SparseTSDF
    free: ObservationPyramid | None = None
    guide: ObservationPyramid | None = None
    box: SampleBox | None = None
    holes: tuple[SampleBox, ...] = ()
    finest: int = 1


def expect_scenes(scenes: Sequence[SceneInput], color: bool) -> None:
    """Raise ValueError unless there is a scene and every scan has voxels and, if ``color``, their colour."""
    if not scenes:
        raise ValueError("scenes: expected at least one, got none")
    for scene in scenes:
        if len(scene.scan) == 0:
            raise ValueError("scan: expected at least one voxel, got none; is the scene empty?")
        if color and scene.scan.color is None:
            raise ValueError("scan: expected colour, got none; train and use a model with color_encoder: false")


def reachable_cells(scan: SparseTSDF, stride: int, reach: int) -> Tensor:
    """Cells (M, 3) int64 of ``stride`` voxels within ``reach`` cells, along each axis, of a voxel of ``scan``."""
    cells = torch.unique(pack_keys(torch.div(scan.coordinates, stride, rounding_mode="floor")))
    spread = torch.arange(-reach, reach + 1, device=cells.device)
    for axis in range(3):
        offsets = torch.zeros(len(spread), 3, dtype=torch.int64, device=cells.device)
        offsets[:, axis] = spread
        grown = unpack_keys(cells)[:, None] + offsets
        cells = torch.unique(pack_keys(grown.view(-1, 3)))
    return unpack_keys(cells)


def possible(scene: SceneInput, cells: Tensor, stride: int) -> Tensor:
    """True (M,) for cells (M, 3) that lie in the scene's box and were not seen to be free."""
    allowed = torch.ones(len(cells), dtype=torch.bool, device=cells.device)
    if scene.box is not None:
        lower, upper = (bound.to(cells.device) for bound in scene.box)
        allowed &= ((cells * stride >= lower) & (cells * stride < upper)).all(dim=1)
    if scene.free is not None:
        allowed &= ~(scene.free.entirely_free(cells, stride) & ~_meets(scene.holes, cells, stride))
    return allowed


def _meets(boxes: tuple[SampleBox, ...], cells: Tensor, stride: int) -> Tensor:
    """True (M,) for cells that overlap one of ``boxes``."""
    meets = torch.zeros(len(cells), dtype=torch.bool, device=cells.device)
    for lower, upper in boxes:
        meets |= (((cells + 1) * stride > lower) & (cells * stride < upper)).all(dim=1)
    return meets


def within_budget(logits: Tensor, keep: Tensor, budget: int) -> Tensor:
    """Of the cells to ``keep`` (M,) bool, at most ``budget`` with the highest ``logits`` (M,)."""
    if int(keep.sum()) <= budget:
        return keep
    ranked = torch.where(keep, logits.detach(), -torch.inf)
    best = torch.topk(ranked, budget).indices
    return torch.zeros_like(keep).index_fill_(0, best, True)
