"""The scans of a scene, fused from its frames as written, and what these saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.data.import_frames import Box
from sparse_s4r.data.import_options import ImportOptions
from sparse_s4r.data.scene import Scene
from sparse_s4r.data.scene_writer import SceneScans, SceneWriter
from sparse_s4r.data.stages import StageClock
from sparse_s4r.data.workers import Workers
from sparse_s4r.geometry.fusion import Fusion, touched_blocks
from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.geometry.observation import Observation
from sparse_s4r.structures import BLOCK, GridSpec, RGBDFrame, SparseTSDF
from sparse_s4r.structures.errors import DataError

# Blocks to make room for: 10 KiB each.
_FEWEST_BLOCKS, _MOST_BLOCKS = 1 << 12, 1 << 15


def make_scans(
    writer: SceneWriter, box: Box, options: ImportOptions, workers: Workers, clock: StageClock
) -> SceneScans:
    """Fuse and observe the kept frames, and all but the held-out ones, on one grid.

    Every frame is read once for each of the two; the next ones are decoded meanwhile. With ``options.cover`` the kept
    frames are chosen here, among all but the held-out ones, and the writer is told.

    Args:
        writer: Has written the frames.
        box: Of what the frames show.
        options: How.
        workers: Decode.
        clock: Of the stages.

    Raises:
        DataError: No depth within the range, or no frame for the incomplete scan.
    """
    if box.is_empty:
        raise DataError(
            f"{writer.info.name}: expected depth within {options.depth_max:g} m, got none; check the depth scale "
            "and --depth-max"
        )
    # The band ends within the truncation; two voxels more cover the rounding to voxel centres.
    margin = (options.truncation_voxels + 2) * options.voxel_size
    lower, upper = box.lower - margin, box.upper + margin
    grid = GridSpec.around(lower, options.voxel_size, options.truncation_voxels)
    scene = writer.preview(grid)
    kept, known = set(scene.frame_names("input")), scene.frame_names("input", "target")
    if not kept:
        raise DataError(
            f"{writer.info.name}: expected at least one frame for the incomplete scan, got none; raise keep"
        )
    source = _Source(scene, grid, options.depth_max, workers, clock, _expected_blocks(box, grid))
    if options.cover is None:
        part_scan, whole_scan = _fuse_both(source, kept, known)
    else:
        whole_scan = _fuse_all(source, known)
        part_scan, kept = _fuse_until(source, known, whole_scan, options.cover, options.seed)
        writer.assign(kept)
    part_seen = Observation(part_scan, lower, upper, options.depth_max)
    whole_seen = Observation(whole_scan, lower, upper, options.depth_max)
    with clock.stage("observe", len(known)):
        for frame in workers.map(scene.load_frame, known):
            whole_seen.add(frame)
            if frame.name in kept:
                part_seen.add(frame)
            clock.advance()
    return SceneScans(part_scan, whole_scan, part_seen.grid(), whole_seen.grid())


def surface_coverage(part: SparseTSDF, whole: SparseTSDF) -> float:
    """Share of the surface voxels of ``whole``, of a distance below one voxel, that ``part`` has in its band."""
    surface = whole.coordinates[whole.tsdf.abs() < whole.grid.voxel_size]
    found = VoxelHash(part.coordinates).rows(surface) >= 0
    return float(found.double().mean()) if len(found) else 0.0


@dataclass(frozen=True)
class _Source:
    """Where frames to fuse come from, and how."""

    scene: Scene
    grid: GridSpec
    depth_max: float
    workers: Workers
    clock: StageClock
    room: int

    def frames(self, names: Sequence[str]) -> Iterator[tuple[RGBDFrame, Tensor]]:
        """Each frame with the blocks it touches; the next ones are decoded meanwhile."""

        def prepare(name: str) -> tuple[RGBDFrame, Tensor]:
            frame = self.scene.load_frame(name)
            return frame, touched_blocks(frame.depth, frame.camera, self.grid, self.depth_max)

        for pair in self.workers.map(prepare, names):
            self.clock.advance()
            yield pair


def _fuse_both(source: _Source, kept: set[str], known: Sequence[str]) -> tuple[SparseTSDF, SparseTSDF]:
    part = Fusion(source.grid, source.depth_max, source.room // 2)
    whole = Fusion(source.grid, source.depth_max, source.room)
    with source.clock.stage("fuse", len(known)):
        for frame, blocks in source.frames(known):
            whole.add(frame, blocks)
            if frame.name in kept:
                part.add(frame, blocks)
        # The volumes are most of the memory: one goes before the other is read.
        part_scan = part.scan()
        del part
        return part_scan, whole.scan()


def _fuse_all(source: _Source, known: Sequence[str]) -> SparseTSDF:
    whole = Fusion(source.grid, source.depth_max, source.room)
    with source.clock.stage("fuse", len(known)):
        for frame, blocks in source.frames(known):
            whole.add(frame, blocks)
        return whole.scan()


def _fuse_until(
    source: _Source, known: Sequence[str], whole: SparseTSDF, cover: float, seed: int
) -> tuple[SparseTSDF, set[str]]:
    """Add frames in a random order; of the scans on the way, the one whose coverage is nearest to ``cover``.

    Measured after every frame near the wish, and of many frames far below it after every sixteenth part of them.
    """
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(seed)).tolist()
    names = [known[index] for index in order]
    part = Fusion(source.grid, source.depth_max, source.room // 2)
    best: tuple[float, SparseTSDF, int] | None = None
    reached, due = 0.0, 1
    with source.clock.stage("cover", len(known)):
        for count, (frame, blocks) in enumerate(source.frames(names), start=1):
            part.add(frame, blocks)
            # A frame whose depth is all out of range touches nothing, and there may be no scan yet.
            if (count < due or (best is None and not len(blocks))) and count < len(names):
                continue
            scan = part.scan()
            reached = surface_coverage(scan, whole)
            if best is None or abs(reached - cover) < abs(best[0] - cover):
                best = (reached, scan, count)
            if reached >= cover:
                break
            due = count + (max(1, count // 16) if reached < 0.8 * cover else 1)
    assert best is not None
    return best[1], set(names[: best[2]])


def _expected_blocks(box: Box, grid: GridSpec) -> int:
    """A guess: as many as cover the sides of the box, which is about the surface of a room and of what stands in it."""
    x, y, z = (size / (grid.voxel_size * BLOCK) for size in box.extent)
    return min(max(round(2 * (x * y + y * z + z * x)), _FEWEST_BLOCKS), _MOST_BLOCKS)
