"""Other incomplete scans of a scene: fused from a random part of its training frames."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from sparse_s4r.data.import_options import ImportOptions
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.geometry.fusion import Fusion, touched_blocks
from sparse_s4r.geometry.observation import Observation
from sparse_s4r.structures import BLOCK, ObservationGrid, SparseTSDF
from sparse_s4r.structures.errors import DataError

KeepMode = Literal["random", "block", "mixed"]
# Most runs of frames that "block" leaves out.
_MOST_RUNS = 3


@dataclass(frozen=True)
class VariantOptions:
    """How inputs are drawn from a scene's training frames.

    Attributes:
        count: Variants per scene; 0 for the scene's own input scan alone.
        keep: Least and largest share of the frames that are kept.
        mode: "random" leaves out single frames, "block" up to three runs of the capture, "mixed" draws one of them.
    """

    count: int
    keep: tuple[float, float]
    mode: KeepMode


def choose_frames(names: Sequence[str], options: VariantOptions, generator: torch.Generator) -> tuple[str, ...]:
    """The kept ones of ``names``, in their order; at least one."""
    low, high = options.keep
    share = low + (high - low) * float(torch.rand((), generator=generator))
    kept = min(max(1, round(share * len(names))), len(names))
    block = options.mode == "block"
    if options.mode == "mixed":
        block = bool(torch.rand((), generator=generator) < 0.5)
    rows = _runs(len(names), kept, generator) if block else torch.randperm(len(names), generator=generator)[:kept]
    return tuple(names[row] for row in sorted(rows.tolist()))


def fuse_variant(scene: Scene, names: Sequence[str]) -> tuple[SparseTSDF, ObservationGrid]:
    """Scan and observation of the frames ``names`` on the scene's grid, over the box that the scene observed.

    Raises:
        DataError: The frames have no depth within the scene's range.
    """
    depth_max = depth_max_of(scene)
    frames = [scene.load_frame(name) for name in names]
    fusion = Fusion(scene.grid, depth_max)
    for frame in frames:
        fusion.add(frame, touched_blocks(frame.depth, frame.camera, scene.grid, depth_max))
    scan = fusion.scan()
    blocks = scene.load_observation("input").block_coordinates
    edge = scene.grid.voxel_size * BLOCK
    origin = torch.tensor(scene.grid.origin, dtype=torch.float64)
    # Half a voxel inside, so that rounding adds no layer of blocks.
    lower = origin + blocks.amin(0) * edge + 0.5 * scene.grid.voxel_size
    upper = origin + (blocks.amax(0) + 1) * edge - 0.5 * scene.grid.voxel_size
    observation = Observation(scan, lower, upper, depth_max)
    for frame in frames:
        observation.add(frame)
    return scan, observation.grid()


def _runs(count: int, kept: int, generator: torch.Generator) -> torch.Tensor:
    """Rows (kept,) of ``count`` frames, taken as a ring, without one to three runs of it."""
    runs = 1 + int(torch.randint(_MOST_RUNS, (), generator=generator))
    runs = min(runs, kept, max(1, count - kept))
    keeping = _parts(kept, runs, generator)
    dropping = _parts(count - kept, runs, generator)
    start = int(torch.randint(count, (), generator=generator))
    rows: list[int] = []
    for keep, drop in zip(keeping, dropping, strict=True):
        rows += range(start, start + keep)
        start += keep + drop
    return torch.tensor(rows) % count


def _parts(total: int, parts: int, generator: torch.Generator) -> list[int]:
    """``total`` as a sum of random ``parts``, all >= 1 where that is possible."""
    if total < parts:
        return [total] + [0] * (parts - 1)
    cuts = torch.randperm(max(total - 1, 1), generator=generator)[: parts - 1].sort().values + 1
    edges = [0, *cuts.tolist(), total]
    return [stop - start for start, stop in itertools.pairwise(edges)]


def depth_max_of(scene: Scene) -> float:
    """Depth beyond which the scene's own scans ignored samples, metres; the import's default where it is not told."""
    options = scene.document.made_by.get("options")
    value = options.get("depth_max", ImportOptions.depth_max) if isinstance(options, dict) else ImportOptions.depth_max
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise DataError(f"{scene.path}: made_by.options.depth_max: expected metres > 0, got {value!r}")
    return float(value)
