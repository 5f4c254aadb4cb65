"""What the frames saw of a scene's box: free, surface or unknown."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from sparse_s4r.geometry.fusion import BAND
from sparse_s4r.structures import BLOCK, Camera, GridSpec, ObservationGrid, RGBDFrame, SparseTSDF, VoxelState
from sparse_s4r.structures.parallel import run_ranges

# Points that a thread looks at before it takes the next ones.
_CHUNK = 1 << 15


def observe(
    frames: Iterable[RGBDFrame], scan: SparseTSDF, lower: Tensor, upper: Tensor, depth_max: float = 6.0
) -> ObservationGrid:
    """Decide for every voxel of a box whether the frames saw it as surface, as free space, or not at all.

    SURFACE: the voxel is in the band of ``scan``. FREE: it is not, and in at least one frame the depth at the
    pixel nearest to its projection exceeds its z-depth by more than the width of the band. UNKNOWN: neither.
    Blocks that hold or touch the band are decided voxel by voxel. Other blocks are uniform: FREE if their eight
    corners and their centre are all free, otherwise UNKNOWN. Not differentiable.

    Args:
        frames: The frames that ``scan`` was fused from; read once, one at a time.
        scan: The fused scan.
        lower: (3,) lower corner of the box, world metres.
        upper: (3,) upper corner of the box, world metres; the box grows to whole blocks.
        depth_max: Depth beyond which a sample is ignored, metres; the value used for the fusion.

    Returns:
        All blocks of the box, on the CPU; SURFACE voxels are the scan's voxels in the box.

    Raises:
        ValueError: An empty box.
    """
    observation = Observation(scan.to("cpu"), lower, upper, depth_max)
    for frame in frames:
        observation.add(frame.to("cpu"))
    return observation.grid()


class Observation:
    """An observation to which frames are added one by one; see ``observe``.

    Args:
        scan: The fused scan, on the CPU.
        lower: (3,) lower corner of the box, world metres.
        upper: (3,) upper corner of the box, world metres.
        depth_max: Depth beyond which a sample is ignored, metres.
    """

    def __init__(self, scan: SparseTSDF, lower: Tensor, upper: Tensor, depth_max: float = 6.0) -> None:
        self._scan = scan
        self._depth_max = depth_max
        self._first, size = _block_box(scan.grid, lower.cpu(), upper.cpu())
        self._near = _blocks_near(scan.coordinates, self._first, size)
        self._lattice = _Lattice(scan.grid, self._first, size)
        self._detail = _Detail(scan.grid, self._near + self._first)

    def add(self, frame: RGBDFrame) -> None:
        """Add one frame on the CPU, of those that the scan was fused from."""
        depth = torch.where(frame.depth <= self._depth_max, frame.depth, 0.0).float().contiguous()
        margin = BAND * self._scan.grid.truncation
        self._lattice.look(depth, frame.camera, margin)
        self._detail.look(depth, frame.camera, margin)

    def grid(self) -> ObservationGrid:
        """What the frames so far have seen."""
        return _assemble(self._scan, self._first, self._lattice.blocks(), self._near, self._detail.states)


def _block_box(grid: GridSpec, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """First block (3,) and number of blocks per axis (3,) of a box in world metres."""
    corners = grid.indices(torch.stack([lower, upper]).double())
    first, last = torch.div(corners, BLOCK, rounding_mode="floor")
    if bool((upper <= lower).any()):
        raise ValueError(f"box: expected upper > lower on every axis, got {lower.tolist()} to {upper.tolist()}")
    return first, last - first + 1


def _blocks_near(coordinates: Tensor, first: Tensor, size: Tensor) -> Tensor:
    """Blocks (B, 3) of the box, relative to ``first``, that hold or touch one of the voxels; sorted."""
    from sparse_s4r.geometry.block_loops import mark_around

    marked = torch.zeros(size.tolist(), dtype=torch.bool)
    mark_around(coordinates.long().contiguous().numpy(), first.numpy(), marked.numpy())
    return marked.nonzero()


def _world_to_image(camera: Camera) -> np.ndarray:
    """(3, 4) float64 from the world to (column, row, 1) times z-depth."""
    matrix = camera.intrinsics.double() @ torch.linalg.inv(camera.camera_to_world.double())[:3]
    projection: np.ndarray = matrix.contiguous().numpy()
    return projection


class _Lattice:
    """Which corners and centres of the box's blocks were seen free."""

    def __init__(self, grid: GridSpec, first: Tensor, size: Tensor) -> None:
        self._size = size
        edge = grid.voxel_size * BLOCK
        origin = torch.tensor(grid.origin, dtype=torch.float64) + first * edge
        axes = [torch.arange(int(n)) for n in size]
        corner_axes = [torch.arange(int(n) + 1) for n in size]
        centers = (torch.cartesian_prod(*axes).double() + 0.5) * edge + origin
        corners = torch.cartesian_prod(*corner_axes).double() * edge + origin
        self._points = torch.cat([centers, corners]).float()
        self._seen = torch.zeros(len(self._points), dtype=torch.bool)

    def look(self, depth: Tensor, camera: Camera, margin: float) -> None:
        from sparse_s4r.geometry.block_loops import look_at_points

        points, seen = self._points.numpy(), self._seen.numpy()
        image, matrix = depth.numpy(), _world_to_image(camera)

        def look(start: int, stop: int) -> None:
            look_at_points(points[start:stop], image, matrix, margin, seen[start:stop])

        run_ranges(look, len(points), _CHUNK)

    def blocks(self) -> Tensor:
        """True (X, Y, Z) where a block was seen free in all of its nine points."""
        x, y, z = self._size.tolist()
        corners = self._seen[x * y * z :].reshape(x + 1, y + 1, z + 1)
        for axis in range(3):
            length = corners.shape[axis] - 1
            corners = corners.narrow(axis, 0, length) & corners.narrow(axis, 1, length)
        return corners & self._seen[: x * y * z].reshape(x, y, z)


class _Detail:
    """Which voxels of the blocks near the surface were seen free."""

    def __init__(self, grid: GridSpec, blocks: Tensor) -> None:
        self._radius = 0.5 * grid.voxel_size * BLOCK * 3**0.5
        self._centers = grid.centers(blocks, stride=BLOCK)
        local = torch.cartesian_prod(*[torch.arange(BLOCK)] * 3).float()
        self._offsets = (local - 0.5 * (BLOCK - 1)) * grid.voxel_size
        self.states = torch.zeros((len(blocks), BLOCK**3), dtype=torch.bool)

    def look(self, depth: Tensor, camera: Camera, margin: float) -> None:
        from sparse_s4r.geometry.block_loops import look_at_blocks

        rows = self._in_frustum(camera, float(depth.max()) - margin).numpy()
        centers, offsets, states = self._centers.numpy(), self._offsets.numpy(), self.states.numpy()
        image, matrix = depth.numpy(), _world_to_image(camera)

        def look(start: int, stop: int) -> None:
            look_at_blocks(rows[start:stop], centers, offsets, image, matrix, margin, states)

        run_ranges(look, len(rows), max(1, _CHUNK // BLOCK**3))

    def _in_frustum(self, camera: Camera, far: float) -> Tensor:
        """Rows of the blocks whose bounding sphere meets the frustum up to z-depth ``far``."""
        pose = camera.camera_to_world.float()
        local = (self._centers - pose[:3, 3]) @ pose[:3, :3]
        keep = (local[:, 2] > -self._radius) & (local[:, 2] < far + self._radius)
        inverse = torch.linalg.inv(camera.intrinsics.double()).float()
        left, top = inverse[0, 2] - 0.5 * inverse[0, 0], inverse[1, 2] - 0.5 * inverse[1, 1]
        right, bottom = left + camera.width * inverse[0, 0], top + camera.height * inverse[1, 1]
        for axis, low, high in ((0, left, right), (1, top, bottom)):
            below = (local[:, axis] - low * local[:, 2]) / (1 + low**2).sqrt()
            above = (high * local[:, 2] - local[:, axis]) / (1 + high**2).sqrt()
            keep &= (below > -self._radius) & (above > -self._radius)
        return keep.nonzero().squeeze(1)


def _assemble(scan: SparseTSDF, first: Tensor, free: Tensor, near: Tensor, near_free: Tensor) -> ObservationGrid:
    """Join uniform blocks, voxel states near the surface and the band itself."""
    size = torch.tensor(free.shape)
    states = near_free.to(torch.uint8) * int(VoxelState.FREE)
    row_of = torch.full(free.shape, -1, dtype=torch.int64)
    row_of[near[:, 0], near[:, 1], near[:, 2]] = torch.arange(len(near))
    block = torch.div(scan.coordinates, BLOCK, rounding_mode="floor")
    inside = ((block >= first) & (block < first + size)).all(dim=1)
    x, y, z = (block[inside] - first).unbind(1)
    local = scan.coordinates[inside] - block[inside] * BLOCK
    states[row_of[x, y, z], (local[:, 0] * BLOCK + local[:, 1]) * BLOCK + local[:, 2]] = int(VoxelState.SURFACE)
    uniform = states.amin(dim=1) == states.amax(dim=1) if len(states) else torch.zeros(0, dtype=torch.bool)
    block_state = free.to(torch.uint8) * int(VoxelState.FREE)
    block_state[near[:, 0], near[:, 1], near[:, 2]] = torch.where(uniform, states[:, 0], ObservationGrid.MIXED)
    coordinates = torch.cartesian_prod(*[torch.arange(int(n)) for n in size]) + first
    return ObservationGrid(scan.grid, coordinates, block_state.reshape(-1), states[~uniform])
