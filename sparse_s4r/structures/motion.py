"""Exact motions of a scene on the lattice of its voxels: the same scene, seen by a network as another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from sparse_s4r.structures.camera import Camera
from sparse_s4r.structures.field import BLOCK, ObservationGrid, SparseTSDF, VoxelState
from sparse_s4r.structures.frame import RGBDFrame
from sparse_s4r.structures.grid import GridSpec
from sparse_s4r.structures.labelled import LabelledField

AnyLabelled = TypeVar("AnyLabelled", bound=LabelledField)

# Lower and upper (exclusive) voxel indices, each (3,) int64, of a part of a scene.
SampleBox = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class SampleMotion:
    """A mirroring in x, then a rotation about +z (up), then a shift: whole voxels go onto whole voxels.

    The grid stays where it is, since its origin must lie on the coarse lattice; the world moves about the grid's
    origin O, X' = O + R (X - O) + shift * voxel_size, with the cameras in it. In voxels, counted from corners, that is
    x' = R x + shift; voxel i goes to -1 - i under the mirroring. No value is interpolated.

    Attributes:
        turns: Quarter turns about +z, counter-clockwise seen from above.
        mirror: Whether x becomes -x before the rotation.
        shift: Whole voxels along x, y and z. A shift that is no multiple of 16 changes which voxels share a coarse
            cell.
    """

    turns: int = 0
    mirror: bool = False
    shift: tuple[int, int, int] = (0, 0, 0)

    @property
    def rotation(self) -> Tensor:
        """(3, 3) int64 with entries -1, 0, 1: R of the class's formula; its determinant is -1 when mirrored."""
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[self.turns % 4]
        flip = -1 if self.mirror else 1
        return torch.tensor([[cos * flip, -sin, 0], [sin * flip, cos, 0], [0, 0, 1]])

    def inverse(self) -> SampleMotion:
        """The motion back."""
        # A mirroring after a turn is its own inverse.
        turns = self.turns % 4 if self.mirror else -self.turns % 4
        back = SampleMotion(turns, self.mirror)
        x, y, z = (-(back.rotation @ torch.tensor(self.shift))).tolist()
        return replace(back, shift=(x, y, z))

    def coordinates(self, coordinates: Tensor) -> Tensor:
        """Where the voxels (N, 3) int64 go, (N, 3) int64."""
        return self._cells(coordinates, torch.tensor(self.shift))

    def points(self, points: Tensor, grid: GridSpec) -> Tensor:
        """Where the world points (P, 3) metres go, (P, 3)."""
        matrix = self.matrix(grid).to(points)
        return points @ matrix[:3, :3].T + matrix[:3, 3]

    def matrix(self, grid: GridSpec) -> Tensor:
        """(4, 4) float64, the motion of the world that ``grid`` lies in; metres."""
        matrix = torch.eye(4, dtype=torch.float64)
        rotation, origin = self.rotation.double(), torch.tensor(grid.origin, dtype=torch.float64)
        matrix[:3, :3] = rotation
        matrix[:3, 3] = origin - rotation @ origin + torch.tensor(self.shift).double() * grid.voxel_size
        return matrix

    def box(self, box: SampleBox) -> SampleBox:
        """The box of the moved voxels."""
        rotation, shift = self.rotation.to(box[0].device), torch.tensor(self.shift, device=box[0].device)
        corners = torch.stack(box) @ rotation.T + shift
        return corners.amin(0), corners.amax(0)

    def camera(self, camera: Camera, grid: GridSpec) -> Camera:
        """The camera that sees of the moved world what ``camera`` saw, left and right exchanged when mirrored.

        A picture of the mirrored world is the mirrored picture: the camera stays right-handed, its principal point
        goes to width - 1 - cx.
        """
        pose = self.matrix(grid).to(camera.camera_to_world) @ camera.camera_to_world
        intrinsics = camera.intrinsics
        if self.mirror:
            pose = pose.clone()
            pose[:, 0] = -pose[:, 0]
            intrinsics = intrinsics.clone()
            intrinsics[0, 1] = -intrinsics[0, 1]
            intrinsics[0, 2] = camera.width - 1 - intrinsics[0, 2]
        return replace(camera, intrinsics=intrinsics, camera_to_world=pose)

    def frame(self, frame: RGBDFrame, grid: GridSpec) -> RGBDFrame:
        """The frame of the moved world; labels keep their classes."""
        camera = self.camera(frame.camera, grid)
        if not self.mirror:
            return replace(frame, camera=camera)
        return replace(
            frame,
            camera=camera,
            color=frame.color.flip(1),
            depth=frame.depth.flip(1),
            labels=None if frame.labels is None else frame.labels.flip(1),
            confidence=None if frame.confidence is None else frame.confidence.flip(1),
        )

    def scan(self, scan: SparseTSDF) -> SparseTSDF:
        """The moved scan, its voxels sorted again."""
        return self._scan(scan)[0]

    def labelled(self, voxels: AnyLabelled) -> AnyLabelled:
        """The moved field with its labels, its voxels sorted again."""
        field, order = self._scan(voxels.field)
        return replace(voxels, field=field, labels=voxels.labels if order is None else voxels.labels[order])

    def observation(self, observation: ObservationGrid) -> ObservationGrid:
        """The moved observation, in blocks of the unmoved lattice; what it does not hold is unknown, as before."""
        shift = torch.tensor(self.shift)
        whole = torch.div(shift, BLOCK, rounding_mode="floor")
        blocks = self._cells(observation.block_coordinates, whole)
        order = _lattice_order(blocks)
        mixed = observation.block_state == ObservationGrid.MIXED
        row = torch.cumsum(mixed, 0) - 1
        wanted = row[order][mixed[order]]
        moved = replace(
            observation,
            block_coordinates=blocks[order],
            block_state=observation.block_state[order],
            voxel_state=self._turn(observation.voxel_state)[wanted],
        )
        part = shift - whole * BLOCK
        return _shift_within_blocks(moved, part.tolist()) if bool(part.any()) else moved

    def _cells(self, cells: Tensor, shift: Tensor) -> Tensor:
        """Moved cells (N, 3) of any edge, ``shift`` (3,) counted in cells."""
        rotation = self.rotation.to(cells.device)
        # A cell's lower corner becomes an upper one along every reversed axis.
        reversed_axes = (rotation.sum(1) < 0).long()
        columns = rotation.abs().argmax(1)
        signs = 1 - 2 * reversed_axes
        return cells[:, columns] * signs + (shift.to(cells.device) - reversed_axes)

    def _scan(self, scan: SparseTSDF) -> tuple[SparseTSDF, Tensor | None]:
        moved = replace(scan, coordinates=self.coordinates(scan.coordinates))
        if self.turns % 4 == 0 and not self.mirror:
            return moved, None
        order = _lattice_order(moved.coordinates)
        return moved.select(order), order

    def _turn(self, voxels: Tensor) -> Tensor:
        """States (M, BLOCK**3) within mirrored and turned blocks."""
        cube = voxels.view(-1, BLOCK, BLOCK, BLOCK)
        if self.mirror:
            cube = cube.flip(1)
        return torch.rot90(cube, self.turns % 4, (1, 2)).reshape(-1, BLOCK**3)


def _lattice_keys(cells: Tensor, lower: Tensor, size: Tensor) -> Tensor:
    """Numbers (N,) int64 of cells (N, 3) in a box, ascending with (x, y, z)."""
    x, y, z = (cells - lower).unbind(1)
    return (x * size[1] + y) * size[2] + z


def _lattice_order(cells: Tensor) -> Tensor:
    """Rows (N,) that sort cells (N, 3) by (x, y, z)."""
    if len(cells) == 0:
        return torch.zeros(0, dtype=torch.int64, device=cells.device)
    lower = cells.amin(0)
    return torch.argsort(_lattice_keys(cells, lower, cells.amax(0) - lower + 1))


def _shift_within_blocks(observation: ObservationGrid, shift: list[int]) -> ObservationGrid:
    """``observation`` moved by ``shift`` of 0 to BLOCK - 1 voxels per axis: every block is put together of up to 8."""
    blocks = observation.block_coordinates
    if len(blocks) == 0:
        return observation
    device = blocks.device
    lower, size = blocks.amin(0) - 1, blocks.amax(0) - blocks.amin(0) + 3
    reach = [(0, 1) if step else (0,) for step in shift]
    corners = torch.cartesian_prod(*(torch.tensor(steps, device=device) for steps in reach)).view(-1, 3)
    spread = _lattice_keys((blocks[:, None] + corners).view(-1, 3), lower, size)
    keys = torch.unique(spread)
    made = torch.stack([keys // (size[1] * size[2]), keys // size[2] % size[1], keys % size[2]], dim=1) + lower
    # Rows of the blocks that every new block takes from; the last row stands for what is not held.
    old_keys = _lattice_keys(blocks, lower, size)
    sources = [_rows(old_keys, _lattice_keys(made - corner, lower, size)) for corner in corners]
    state = torch.cat([observation.block_state, observation.block_state.new_tensor([int(VoxelState.UNKNOWN)])])
    states = torch.stack([state[rows] for rows in sources])
    uniform = (states == states[0]).all(0) & (states[0] != ObservationGrid.MIXED)
    detailed = (~uniform).nonzero().squeeze(1)
    voxels = _put_together(observation, state, [rows[detailed] for rows in sources], corners, shift)
    block_state = states[0].clone()
    same = voxels.amin(1) == voxels.amax(1)
    block_state[detailed] = torch.where(same, voxels[:, 0], ObservationGrid.MIXED)
    return ObservationGrid(observation.grid, made, block_state, voxels[~same])


def _put_together(
    observation: ObservationGrid, state: Tensor, sources: list[Tensor], corners: Tensor, shift: list[int]
) -> Tensor:
    """Voxel states (M, BLOCK**3) of new blocks from the blocks at ``sources``, one row (M,) per corner."""
    mixed = state == ObservationGrid.MIXED
    table = torch.cat([observation.voxel_state, _uniform_blocks(state)]).view(-1, BLOCK, BLOCK, BLOCK)
    row = torch.where(mixed, torch.cumsum(mixed, 0) - 1, len(observation.voxel_state) + state.long())
    result = table.new_empty(len(sources[0]), BLOCK, BLOCK, BLOCK)
    for rows, corner in zip(sources, corners.tolist(), strict=True):
        # The block one below gives its last ``step`` voxels, the block itself its first ones.
        take = [slice(BLOCK - s, None) if c else slice(0, BLOCK - s) for c, s in zip(corner, shift, strict=True)]
        put = [slice(0, s) if c else slice(s, None) for c, s in zip(corner, shift, strict=True)]
        result[:, put[0], put[1], put[2]] = table[:, take[0], take[1], take[2]][row[rows]]
    return result.view(-1, BLOCK**3)


def _uniform_blocks(like: Tensor) -> Tensor:
    """One block of each ``VoxelState``, in order."""
    states = torch.arange(len(VoxelState), dtype=like.dtype, device=like.device)
    return states[:, None].expand(-1, BLOCK**3)


def _rows(keys: Tensor, wanted: Tensor) -> Tensor:
    """Rows (M,) of ``wanted`` in ascending ``keys`` (N,); N where absent."""
    position = torch.searchsorted(keys, wanted)
    found = keys[position.clamp(max=len(keys) - 1)] == wanted
    return torch.where(found, position, len(keys))
