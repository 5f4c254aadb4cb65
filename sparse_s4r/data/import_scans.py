"""The scans of a scene, fused from its frames as written, and what these saw."""

from __future__ import annotations

from torch import Tensor

from sparse_s4r.data.import_frames import Box
from sparse_s4r.data.import_options import ImportOptions
from sparse_s4r.data.scene_writer import SceneScans, SceneWriter
from sparse_s4r.data.stages import StageClock
from sparse_s4r.data.workers import Workers
from sparse_s4r.geometry.fusion import Fusion, touched_blocks
from sparse_s4r.geometry.observation import Observation
from sparse_s4r.structures import BLOCK, GridSpec, RGBDFrame
from sparse_s4r.structures.errors import DataError

# Blocks to make room for: 10 KiB each.
_FEWEST_BLOCKS, _MOST_BLOCKS = 1 << 12, 1 << 15


def make_scans(
    writer: SceneWriter, box: Box, options: ImportOptions, workers: Workers, clock: StageClock
) -> SceneScans:
    """Fuse and observe the kept frames, and all but the held-out ones, on one grid.

    Every frame is read once for each of the two; the next ones are decoded meanwhile.

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

    def prepare(name: str) -> tuple[RGBDFrame, Tensor]:
        frame = scene.load_frame(name)
        return frame, touched_blocks(frame.depth, frame.camera, grid, options.depth_max)

    room = _expected_blocks(box, grid)
    part, whole = Fusion(grid, options.depth_max, room // 2), Fusion(grid, options.depth_max, room)
    with clock.stage("fuse", len(known)):
        for frame, blocks in workers.map(prepare, known):
            whole.add(frame, blocks)
            if frame.name in kept:
                part.add(frame, blocks)
            clock.advance()
        # The volumes are most of the memory: one goes before the other is read.
        part_scan = part.scan()
        del part
        whole_scan = whole.scan()
        del whole
    part_seen = Observation(part_scan, lower, upper, options.depth_max)
    whole_seen = Observation(whole_scan, lower, upper, options.depth_max)
    with clock.stage("observe", len(known)):
        for frame in workers.map(scene.load_frame, known):
            whole_seen.add(frame)
            if frame.name in kept:
                part_seen.add(frame)
            clock.advance()
    return SceneScans(part_scan, whole_scan, part_seen.grid(), whole_seen.grid())


def _expected_blocks(box: Box, grid: GridSpec) -> int:
    """A guess: as many as cover the sides of the box, which is about the surface of a room and of what stands in it."""
    x, y, z = (size / (grid.voxel_size * BLOCK) for size in box.extent)
    return min(max(round(2 * (x * y + y * z + z * x)), _FEWEST_BLOCKS), _MOST_BLOCKS)
