"""Training samples from scene folders: which scene, which crop, which views, fixed by seed and step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from sparse_s4r.data.scene_format import Scene
from sparse_s4r.structures import CELL, ObservationGrid, RGBDFrame, SampleBox, SceneSample, SparseTSDF
from sparse_s4r.structures.errors import DataError

# Scans and observations of this many scenes, and views of this many frames, stay decoded.
_CACHED_SCENES = 8
_CACHED_FRAMES = 1024
# Views are ranked for a crop by this many columns of depth samples: enough for a share, and quick.
_RANKING_WIDTH = 40
_SOME_OVERLAP = 1e-6


# (frames, scan, count, minimum) -> at most ``count`` frames that look most at ``scan``, best first.
SelectViews = Callable[[Iterable[RGBDFrame], SparseTSDF, int, float], tuple[RGBDFrame, ...]]


@dataclass(frozen=True)
class SamplingOptions:
    """How samples are drawn.

    Attributes:
        image_width: Width of the views, pixels.
        views: Views per sample.
        crop: Edge of a crop in x and y, metres; None for whole scenes.
        holes: Boxes cut out of the input.
        hole_size: Largest edge of such a box, metres.
        view_candidates: A crop's views are drawn from this many with most overlap.
        min_overlap: Least share of a view's depth samples near the crop's surface.
        seed: Seed of all choices.
    """

    image_width: int
    views: int
    crop: float | None
    holes: int
    hole_size: float
    view_candidates: int
    min_overlap: float
    seed: int


@dataclass(frozen=True)
class _LoadedScene:
    input: SparseTSDF
    target: SparseTSDF
    input_observation: ObservationGrid
    target_observation: ObservationGrid


class SceneDataset:
    """Samples of one or more scenes; the sample of a step does not depend on the steps before.

    Args:
        scenes: Opened scene folders.
        options: How samples are drawn.
        select_views: Chooses the views of a crop.

    Raises:
        DataError: No scene, scenes with different classes, or one without training frames.
    """

    def __init__(self, scenes: Sequence[Scene], options: SamplingOptions, select_views: SelectViews) -> None:
        if not scenes:
            raise DataError("scenes: expected at least one scene folder, got none")
        names = {scene.class_names for scene in scenes}
        if len(names) > 1:
            raise DataError(
                f"scenes: expected the same classes in all, got {sorted(map(str, names))}; import them anew"
            )
        for scene in scenes:
            if not scene.frame_names("input", "target"):
                raise DataError(f"{scene.path}: expected frames to train on, got none")
        self.scenes = tuple(scenes)
        self.class_names = scenes[0].class_names
        self.options = options
        self._select_views = select_views
        self._load = lru_cache(_CACHED_SCENES)(self._load_scene)
        self._frame = lru_cache(_CACHED_FRAMES)(self._load_frame)
        self._preview = lru_cache(_CACHED_FRAMES)(self._load_preview)

    def sample(self, step: int) -> SceneSample:
        """The sample of ``step``, the same in every run with this seed."""
        generator = torch.Generator().manual_seed(self.options.seed * 1_000_003 + step)
        index = int(torch.randint(len(self.scenes), (1,), generator=generator))
        loaded, name = self._load(index), self.scenes[index].name
        box = None if self.options.crop is None else self._draw_box(loaded, generator)
        scan, target = (loaded.input, loaded.target) if box is None else _inside_both(loaded, box)
        scan, holes = self._cut_holes(scan, generator)
        if box is None:
            frames = self._choose(index, list(self.scenes[index].frame_names("input", "target")), generator)
        else:
            name = f"{name} at {box[0].tolist()}"
            chosen = self._choose(index, self._best_views(index, target), generator)
            frames = tuple(_mask_outside(frame, target, box) for frame in chosen)
        return SceneSample(name, scan, target, loaded.input_observation, loaded.target_observation, frames, box, holes)

    def _choose(self, scene: int, names: list[str], generator: torch.Generator) -> tuple[RGBDFrame, ...]:
        order = torch.randperm(len(names), generator=generator)[: self.options.views]
        return tuple(self._frame(scene, names[int(row)]) for row in order)

    def _cut_holes(self, scan: SparseTSDF, generator: torch.Generator) -> tuple[SparseTSDF, tuple[SampleBox, ...]]:
        """``scan`` without the voxels of some random boxes around voxels of it, and these boxes; never without all."""
        keep, holes = torch.ones(len(scan), dtype=torch.bool), []
        # Free space beside the removed surface would give it away: the boxes reach beyond the band.
        margin = math.ceil(scan.grid.truncation_voxels)
        for _ in range(self.options.holes):
            center = scan.coordinates[int(torch.randint(len(scan), (1,), generator=generator))]
            share = 0.3 + 0.7 * torch.rand(3, generator=generator)
            half = (share * self.options.hole_size / (2 * scan.grid.voxel_size)).long()
            keep &= ((scan.coordinates - center).abs() > half).any(dim=1)
            holes.append((center - half - margin, center + half + margin + 1))
        return (scan.select(keep), tuple(holes)) if bool(keep.any()) else (scan, ())

    def _draw_box(self, loaded: _LoadedScene, generator: torch.Generator) -> SampleBox:
        """A column around a random voxel of the input, on the coarse lattice."""
        scan, target = loaded.input, loaded.target
        center = scan.coordinates[int(torch.randint(len(scan), (1,), generator=generator))]
        # Cells of CELL voxels; at least two, so that the coarsest level has neighbours.
        cells = max(2, round((self.options.crop or 0.0) / (scan.grid.voxel_size * CELL)))
        lower = torch.div(center, CELL, rounding_mode="floor") - cells // 2
        upper = lower + cells
        lower[2] = torch.div(target.coordinates[:, 2].min(), CELL, rounding_mode="floor")
        upper[2] = torch.div(target.coordinates[:, 2].max(), CELL, rounding_mode="floor") + 1
        return lower * CELL, upper * CELL

    def _best_views(self, scene: int, target: SparseTSDF) -> list[str]:
        """Names of the views with most overlap with a cropped scan, best first."""
        previews = [self._preview(scene, name) for name in self.scenes[scene].frame_names("input", "target")]
        best = self._select_views(previews, target, self.options.view_candidates, self.options.min_overlap)
        # A crop at the edge of what was seen still has a best view.
        best = best or self._select_views(previews, target, 1, _SOME_OVERLAP)
        return [frame.name for frame in best]

    def _load_scene(self, index: int) -> _LoadedScene:
        scene = self.scenes[index]
        return _LoadedScene(
            scene.load_scan("input"),
            scene.load_scan("target"),
            scene.load_observation("input"),
            scene.load_observation("target"),
        )

    def _load_frame(self, scene: int, name: str) -> RGBDFrame:
        return self.scenes[scene].load_frame(name, width=self.options.image_width)

    def _load_preview(self, scene: int, name: str) -> RGBDFrame:
        return self.scenes[scene].load_frame(name, width=_RANKING_WIDTH)


def _inside_both(loaded: _LoadedScene, box: SampleBox) -> tuple[SparseTSDF, SparseTSDF]:
    return _inside(loaded.input, box), _inside(loaded.target, box)


def _inside(scan: SparseTSDF, box: SampleBox) -> SparseTSDF:
    lower, upper = box
    return scan.select(((scan.coordinates >= lower) & (scan.coordinates < upper)).all(dim=1))


def _mask_outside(frame: RGBDFrame, target: SparseTSDF, box: SampleBox) -> RGBDFrame:
    """The frame without the depth of surface outside the crop: what stands there cannot be rendered."""
    voxels = target.grid.indices(frame.camera.unproject(frame.depth).reshape(-1, 3))
    inside = ((voxels >= box[0]) & (voxels < box[1])).all(dim=1).view_as(frame.depth)
    return replace(frame, depth=torch.where(inside, frame.depth, 0.0))
