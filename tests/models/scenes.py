"""A small scene for the networks: a floor and a wall with a hole, and what was seen of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.geometry.pyramid import ObservationPyramid
from sparse_s4r.models.scene_net import SceneNet, SceneNetShape
from sparse_s4r.models.sites import SceneInput
from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, SparseTSDF, VoxelState

GRID = GridSpec(0.1, truncation_voxels=3.0)
SIZE = 32
SHAPE = SceneNetShape(
    widths=(3, 4, 5, 6, 7),
    blocks=1,
    bottleneck_blocks=1,
    classes=3,
    color_encoder=True,
    color_decoder=True,
    reach=1,
    voxel_budget=1_000_000,
    training_budget=1_000_000,
    keep_observed=True,
    residual=True,
)


@dataclass(frozen=True)
class Room:
    """A room with ``scan``, the part that the input saw, and ``target``, all of it."""

    scan: SparseTSDF
    target: SparseTSDF
    scan_states: ObservationGrid
    target_states: ObservationGrid

    def scene(self, free: bool = False, guide: bool = False) -> SceneInput:
        return SceneInput(
            self.scan,
            free=ObservationPyramid(self.scan_states) if free else None,
            guide=ObservationPyramid(self.target_states) if guide else None,
        )


def make_room(seed: int = 0, color: bool = True, shift: tuple[int, int, int] = (0, 0, 0)) -> Room:
    """A floor at z = 8 voxels and a wall at x = 8, within 32^3 voxels; the scan lacks a corner of the floor."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.arange(SIZE)
    cells = torch.cartesian_prod(axis, axis, axis)
    centres = cells + 0.5
    distance = torch.minimum(centres[:, 0], centres[:, 2]) - 8.0
    band = distance.abs() < 2.8
    colors = torch.rand(len(cells), 3, generator=generator, dtype=torch.float64)
    offset = torch.tensor(shift)
    target = SparseTSDF(
        GRID,
        cells[band] + offset,
        distance[band].double() * GRID.voxel_size,
        torch.ones(int(band.sum()), dtype=torch.float64),
        colors[band] if color else None,
    )
    lost = ((target.coordinates - offset)[:, 0] > 16) & ((target.coordinates - offset)[:, 1] > 16 + seed)
    scan = target.select(~lost)
    seen_free = distance >= 2.8
    hidden = (cells[:, 0] > 16) & (cells[:, 1] > 16 + seed)
    return Room(
        scan,
        target,
        _states(seen_free & ~hidden, band & ~hidden, offset),
        _states(seen_free, band, offset),
    )


def _states(free: Tensor, surface: Tensor, offset: Tensor) -> ObservationGrid:
    """Dense masks (SIZE^3,) in blocks."""
    state = torch.full((SIZE**3,), int(VoxelState.UNKNOWN), dtype=torch.uint8)
    state[free], state[surface] = int(VoxelState.FREE), int(VoxelState.SURFACE)
    per_axis = SIZE // BLOCK
    blocks = state.view(per_axis, BLOCK, per_axis, BLOCK, per_axis, BLOCK).permute(0, 2, 4, 1, 3, 5)
    corner = torch.arange(per_axis)
    return ObservationGrid(
        GRID,
        torch.cartesian_prod(corner, corner, corner) + torch.div(offset, BLOCK, rounding_mode="floor"),
        torch.full((per_axis**3,), ObservationGrid.MIXED, dtype=torch.uint8),
        blocks.reshape(per_axis**3, BLOCK**3).contiguous(),
    )


def make_network(shape: SceneNetShape = SHAPE, engine: str = "builtin") -> SceneNet:
    """A float64 network in evaluation mode whose heads are drawn at random: those of a new one are zero."""

    def voxels(coordinates: Tensor, features: Tensor, stride: int) -> object:
        return make_voxels(engine, coordinates, features, stride)

    torch.manual_seed(1)
    network = SceneNet(shape, voxels).double()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        heads = network.heads
        for head in (*network.occupancy, heads.tsdf, heads.color, heads.tsdf_change, heads.color_change):
            if head is not None:
                assert isinstance(head, torch.nn.Linear)
                head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * 0.3)
                head.bias.fill_(0.0)
    return network.eval()


def row_set(coordinates: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in coordinates.tolist()}
