"""What the frames saw of a scene's box: free, surface or unknown."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sparse_s4r.geometry.fusion import BAND
from sparse_s4r.structures import BLOCK, Camera, GridSpec, ObservationGrid, RGBDFrame, SparseTSDF, VoxelState

# Points projected at once; about 100 MB of temporaries.
_CHUNK = 1 << 19


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
    scan = scan.to("cpu")
    first, size = _block_box(scan.grid, lower.cpu(), upper.cpu())
    near = _blocks_near(scan.coordinates, first, size)
    lattice = _Lattice(scan.grid, first, size)
    detail = _Detail(scan.grid, near + first)
    margin = BAND * scan.grid.truncation
    for frame in (frame.to("cpu") for frame in frames):
        depth = torch.where(frame.depth <= depth_max, frame.depth, 0.0).float()
        lattice.look(depth, frame.camera, margin)
        detail.look(depth, frame.camera, margin)
    return _assemble(scan, first, lattice.blocks(), near, detail.states)


def _block_box(grid: GridSpec, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """First block (3,) and number of blocks per axis (3,) of a box in world metres."""
    corners = grid.indices(torch.stack([lower, upper]).double())
    first, last = torch.div(corners, BLOCK, rounding_mode="floor")
    if bool((upper <= lower).any()):
        raise ValueError(f"box: expected upper > lower on every axis, got {lower.tolist()} to {upper.tolist()}")
    return first, last - first + 1


def _blocks_near(coordinates: Tensor, first: Tensor, size: Tensor) -> Tensor:
    """Blocks (B, 3) of the box, relative to ``first``, that hold or touch one of the voxels; sorted."""
    marked = torch.zeros(size.tolist(), dtype=torch.bool)
    for offset in torch.cartesian_prod(*[torch.tensor([-1, 0, 1])] * 3):
        block = torch.div(coordinates + offset, BLOCK, rounding_mode="floor") - first
        block = block[((block >= 0) & (block < size)).all(dim=1)]
        marked[block[:, 0], block[:, 1], block[:, 2]] = True
    return marked.nonzero()


def _free(points: Tensor, depth: Tensor, camera: Camera, margin: float) -> Tensor:
    """True (P,) where the depth image lies more than ``margin`` metres behind a point (P, 3) float32."""
    to_camera = torch.linalg.inv(camera.camera_to_world.double())
    matrix = camera.intrinsics.double() @ to_camera[:3]
    matrix = matrix.float()
    image = torch.addmm(matrix[:, 3], points, matrix[:, :3].T)
    z = image[:, 2]
    pixel = (image[:, :2] / z.unsqueeze(1)).round_()
    column, row = pixel[:, 0], pixel[:, 1]
    inside = (z > 0) & (column >= 0) & (row >= 0) & (column <= camera.width - 1) & (row <= camera.height - 1)
    flat = torch.where(inside, row * camera.width + column, 0.0).long()
    # A missing depth is 0 and thus never behind anything in front of the camera.
    return inside & (depth.reshape(-1)[flat] > z + margin)


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
        for part, seen in zip(torch.split(self._points, _CHUNK), torch.split(self._seen, _CHUNK), strict=True):
            seen |= _free(part, depth, camera, margin)

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
        rows = self._in_frustum(camera, float(depth.max()) - margin)
        for part in torch.split(rows, max(1, _CHUNK // BLOCK**3)):
            points = (self._centers[part].unsqueeze(1) + self._offsets).reshape(-1, 3)
            self.states[part] |= _free(points, depth, camera, margin).reshape(len(part), BLOCK**3)

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
