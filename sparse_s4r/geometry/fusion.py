"""Fusion of posed RGB-D frames into a truncated signed distance field, by Open3D's voxel block grid."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import open3d as o3d
import torch
from torch import Tensor

from sparse_s4r.geometry.keys import pack_keys
from sparse_s4r.structures import BLOCK, Camera, GridSpec, RGBDFrame, SparseTSDF
from sparse_s4r.structures.errors import DataError

# Averaging leaves free space just below the truncation, so the band ends a little before it.
BAND = 0.95
_INITIAL_BLOCKS = 4096


def fuse_frames(frames: Iterable[RGBDFrame], grid: GridSpec, depth_max: float = 6.0) -> SparseTSDF:
    """Average the projective signed distances of all frames, voxel by voxel.

    A voxel takes from each frame the depth and colour of the pixel nearest to its projection; the signed
    distance is that depth minus the voxel's z-depth, cut at +-truncation. Kept are voxels with
    ``|tsdf| < 0.95 * truncation``. Not differentiable.

    Args:
        frames: Read once, one at a time.
        grid: Placement of the voxels.
        depth_max: Depth beyond which a sample is ignored, metres.

    Returns:
        The band, coordinates sorted by (x, y, z); float32.

    Raises:
        DataError: No frames, or no depth sample within ``depth_max``.
        ValueError: ``depth_max`` <= 0.

    Source:
        Curless and Levoy, "A volumetric method for building complex models from range images", 1996.
    """
    fusion = Fusion(grid, depth_max)
    for frame in frames:
        fusion.add(frame.to("cpu"))
    return fusion.scan()


class Fusion:
    """A fusion to which frames are added one by one; see ``fuse_frames``.

    Args:
        grid: Placement of the voxels.
        depth_max: Depth beyond which a sample is ignored, metres.
        blocks: Number of blocks to make room for at once; more come at the price of copying, so a guess helps.
    """

    def __init__(self, grid: GridSpec, depth_max: float = 6.0, blocks: int = _INITIAL_BLOCKS) -> None:
        if not depth_max > 0:
            raise ValueError(f"depth_max: expected metres > 0, got {depth_max}")
        self._grid = grid
        self._depth_max = depth_max
        self._volume = _empty_volume(grid.voxel_size, blocks)
        self._count = 0

    def add(self, frame: RGBDFrame, blocks: Tensor | None = None) -> None:
        """Add one frame on the CPU.

        Args:
            frame: The frame.
            blocks: Its ``touched_blocks``, where they are known already.
        """
        self._count += 1
        if blocks is None:
            blocks = touched_blocks(frame.depth, frame.camera, self._grid, self._depth_max)
        if len(blocks):
            _integrate(self._volume, frame, self._grid, self._depth_max, blocks)

    def scan(self) -> SparseTSDF:
        """The band of all frames so far, coordinates sorted by (x, y, z); float32.

        Raises:
            DataError: No frames, or no depth sample within ``depth_max``.
        """
        if self._count == 0:
            raise DataError("frames: expected at least one RGB-D frame to fuse, got none; check the frame selection")
        scan = _read_band(self._volume, self._grid)
        if len(scan) == 0:
            raise DataError(
                f"frames: expected depth samples in (0, {self._depth_max:g}] m, got none in {self._count} frames that "
                "reach the band; check the depth scale and depth_max"
            )
        return scan


def touched_blocks(depth: Tensor, camera: Camera, grid: GridSpec, depth_max: float) -> Tensor:
    """Blocks that hold a voxel within the truncation of a depth image's surface.

    Open3D's own search looks at every fourth pixel and three points per ray, which loses corners of the band.

    Args:
        depth: (H, W) float metres, 0 = missing.
        camera: Camera of the image.
        grid: Placement of the voxels.
        depth_max: Depth beyond which a sample is ignored, metres.

    Returns:
        (B, 3) int64 block coordinates, unique.
    """
    from sparse_s4r.geometry.block_loops import band_bounds, mark_band

    values = depth.float().contiguous().numpy()
    to_world = _pixel_to_world(camera)
    shift = (camera.center.double() - torch.tensor(grid.origin, dtype=torch.float64)) / grid.voxel_size
    start, size = shift.float().numpy(), np.float32(grid.voxel_size)
    lower, upper = np.full(3, np.iinfo(np.int64).max), np.full(3, np.iinfo(np.int64).min)
    band_bounds(values, to_world, start, size, np.float32(grid.truncation), np.float32(depth_max), lower, upper)
    if (upper < lower).any():
        return torch.empty((0, 3), dtype=torch.int64)
    first, last = (lower - 1) // BLOCK, (upper + 1) // BLOCK
    # Points one voxel apart in z along the truncated part of every ray. A voxel of the band lies within one voxel of
    # such a point: half a step, half a pixel and its own rounding.
    steps = 2 * math.ceil(grid.truncation_voxels) + 1
    offsets = torch.linspace(-grid.truncation, grid.truncation, steps).numpy()
    marked = np.zeros(last - first + 1, dtype=np.bool_)
    mark_band(values, to_world, start, size, offsets, np.float32(depth_max), first, marked)
    return torch.from_numpy(np.argwhere(marked) + first)


def surface_box(depth: Tensor, camera: Camera, depth_max: float) -> tuple[Tensor, Tensor]:
    """Corners (3,) and (3,) float64 of the box around what a depth image (H, W) shows; infinite if that is nothing."""
    from sparse_s4r.geometry.block_loops import surface_bounds

    lower, upper = np.full(3, np.inf, dtype=np.float32), np.full(3, -np.inf, dtype=np.float32)
    values = depth.float().contiguous().numpy()
    surface_bounds(values, _pixel_to_world(camera), camera.center.float().numpy(), np.float32(depth_max), lower, upper)
    return torch.from_numpy(lower).double(), torch.from_numpy(upper).double()


def _pixel_to_world(camera: Camera) -> np.ndarray:
    """(3, 3) float64 from pixels (column, row, 1) to world directions whose parameter is z-depth."""
    matrix = camera.camera_to_world[:3, :3].double() @ torch.linalg.inv(camera.intrinsics.double())
    directions: np.ndarray = matrix.contiguous().numpy()
    return directions


def _empty_volume(voxel_size: float, blocks: int) -> o3d.t.geometry.VoxelBlockGrid:
    single = o3d.core.float32
    return o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), (single, single, single), (1, 1, 3), voxel_size, BLOCK, blocks
    )


def _integrate(
    volume: o3d.t.geometry.VoxelBlockGrid, frame: RGBDFrame, grid: GridSpec, depth_max: float, blocks: Tensor
) -> None:
    """Add one frame; the library wants one extrinsic per call and the same cut-offs in every call."""
    # Open3D truncates pixel coordinates where we round, and drops the outermost half pixel: shift by half a pixel
    # and add an invalid row and column.
    intrinsics = frame.camera.intrinsics.double().numpy().copy()
    intrinsics[:2, 2] += 0.5
    depth = np.pad(frame.depth.float().numpy(), ((0, 1), (0, 1)))
    color = np.pad(frame.color.float().numpy(), ((0, 1), (0, 1), (0, 0)))
    matrix = o3d.core.Tensor(intrinsics)
    volume.integrate(
        o3d.core.Tensor(blocks.int().numpy()),
        o3d.t.geometry.Image(o3d.core.Tensor(depth)),
        o3d.t.geometry.Image(o3d.core.Tensor(color)),
        matrix,
        matrix,
        o3d.core.Tensor(_extrinsic(frame.camera, grid)),
        1.0,
        float(depth_max),
        float(grid.truncation_voxels),
    )


def _extrinsic(camera: Camera, grid: GridSpec) -> np.ndarray:
    """World-to-camera for Open3D's lattice, where voxel i lies at i * voxel_size, so that indices agree with ours."""
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor(grid.origin, dtype=torch.float64) + 0.5 * grid.voxel_size
    extrinsic: np.ndarray = (torch.linalg.inv(camera.camera_to_world.double()) @ shift).numpy()
    return extrinsic


def _read_band(volume: o3d.t.geometry.VoxelBlockGrid, grid: GridSpec) -> SparseTSDF:
    table = volume.hashmap()
    # Attributes have one row per slot of the table, used or not.
    rows = torch.from_numpy(table.active_buf_indices().numpy().astype(np.int64))
    blocks = torch.from_numpy(table.key_tensor().numpy())[rows].long()
    # Indexed at once, so that only the slots in use are copied; Open3D stores a block with x fastest.
    tsdf = torch.from_numpy(volume.attribute("tsdf").numpy())[rows].reshape(len(rows), BLOCK**3)
    weight = torch.from_numpy(volume.attribute("weight").numpy())[rows].reshape(len(rows), BLOCK**3)
    block, voxel = torch.nonzero((weight > 0) & (tsdf.abs() < BAND), as_tuple=True)
    local = torch.stack([voxel % BLOCK, voxel // BLOCK % BLOCK, voxel // BLOCK**2], dim=1)
    coordinates = blocks[block] * BLOCK + local
    color = torch.from_numpy(volume.attribute("color").numpy()).reshape(-1, BLOCK**3, 3)[rows[block], voxel]
    scan = SparseTSDF(
        grid,
        coordinates,
        tsdf[block, voxel] * grid.truncation,
        weight[block, voxel],
        (color / 255.0).clamp_(0.0, 1.0),
    )
    return scan.select(torch.argsort(pack_keys(coordinates)))
