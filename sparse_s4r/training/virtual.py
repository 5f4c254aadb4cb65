"""Virtual views in training: a pool of them per scene, and what a segmenter says of their pictures."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

from sparse_s4r.losses.image import LabelledView
from sparse_s4r.render import Raycaster, VirtualViewOptions, VirtualViewSampler
from sparse_s4r.render.composed import compose
from sparse_s4r.render.shown import shown_picture
from sparse_s4r.segmentation.interface import ImageSegmenter
from sparse_s4r.structures import (
    IGNORE_LABEL,
    Camera,
    ObservationGrid,
    SampleMotion,
    ScenePrediction,
    SceneSample,
    SparseTSDF,
)
from sparse_s4r.structures.errors import DataError

# A pool is some 100 KiB, and seconds to draw anew.
_CACHED_POOLS = 1024
# Width of the small pictures by whose pixels a view is said to see a part of a scene.
_SURVEY_WIDTH = 32


class TargetFields(Protocol):
    """What all training frames of a scene saw, on the CPU."""

    @property
    def target(self) -> SparseTSDF:
        """Their scan."""
        ...

    @property
    def target_observation(self) -> ObservationGrid:
        """Which space they saw."""
        ...


class SceneSource(Protocol):
    """Where scenes come from, such as a ``SceneDataset``."""

    def scene_fields(self, index: int) -> TargetFields:
        """The fields of scene ``index``."""
        ...

    def cameras(self, index: int) -> Sequence[Camera]:
        """The cameras of its training frames."""
        ...


@dataclass(frozen=True)
class PoolView:
    """A virtual view of a scene in the scene's own coordinates.

    Attributes:
        camera: On the CPU.
        surface: (P, 3) int64, the voxels that the pixels of a small picture of the target scan see.
    """

    camera: Camera
    surface: Tensor

    def overlap(self, sample: SceneSample) -> float:
        """Share in [0, 1] of the surface in this view that lies inside the sample's box; 1 for a whole scene."""
        if sample.box is None:
            return 1.0
        lower, upper = (bound.to("cpu") for bound in sample.box)
        voxels = (sample.motion or SampleMotion()).coordinates(self.surface)
        return float(((voxels >= lower) & (voxels < upper)).all(dim=1).double().mean())


class VirtualViewPool:
    """Virtual views of every scene, drawn when a scene is first asked for; the same for the same seed.

    Args:
        scenes: Where scans and real cameras come from.
        options: What virtual cameras are like.
        size: Most views per scene.
        seed: Seed of all choices.
    """

    def __init__(self, scenes: SceneSource, options: VirtualViewOptions, size: int, seed: int) -> None:
        self.options, self.size, self.seed = options, size, seed
        self._scenes = scenes
        self._views = lru_cache(_CACHED_POOLS)(self._draw)
        # Why scenes have no view, until it has been said.
        self._unsaid: dict[int, str] = {}

    def views(self, index: int) -> tuple[PoolView, ...]:
        """The views of scene ``index``; none where no camera finds a place."""
        return self._views(index)

    def scan(self, index: int) -> SparseTSDF:
        """The target scan of scene ``index``, what its virtual views look at."""
        return self._scenes.scene_fields(index).target

    def choose(self, sample: SceneSample, count: int, min_overlap: float, step: int) -> tuple[PoolView, ...]:
        """Some of the views that see the sample, chosen by seed, step and the sample's name.

        Of a scene that has no view at all there is one warning.

        Args:
            sample: Knows its scene by ``scene_index``.
            count: Most views.
            min_overlap: Least share of a view's surface inside the sample's box.
            step: Training step.

        Raises:
            ValueError: A sample of no scene.
        """
        if sample.scene_index < 0:
            raise ValueError(f"sample {sample.name}: expected the index of its scene, got {sample.scene_index}")
        views = self.views(sample.scene_index)
        reason = self._unsaid.pop(sample.scene_index, None)
        if reason is not None:
            warnings.warn(f"{sample.name}: its scene trains without virtual views: {reason}", stacklevel=2)
        seeing = [view for view in views if view.overlap(sample) >= min_overlap]
        text = f"{self.seed} {step} {sample.name}"
        generator = torch.Generator().manual_seed(zlib.crc32(text.encode()))
        order = torch.randperm(len(seeing), generator=generator).tolist()
        return tuple(seeing[row] for row in order[:count])

    @torch.no_grad()
    def _draw(self, index: int) -> tuple[PoolView, ...]:
        fields = self._scenes.scene_fields(index)
        scan = fields.target
        sampler = VirtualViewSampler(scan, fields.target_observation, self.options)
        try:
            found = sampler.sample(self._scenes.cameras(index), self.size, self.seed * 1_000_003 + index)
        except DataError as error:
            self._unsaid[index] = str(error)
            return ()
        cameras = [view.camera for view in found.views]
        options = self.options
        height = max(1, round(options.height * _SURVEY_WIDTH / options.width))
        raycaster = Raycaster(near=0.0, far=options.far)
        field = raycaster.prepare(ScenePrediction.from_scan(scan))
        small = raycaster.render_views(field, [camera.resized(_SURVEY_WIDTH, height) for camera in cameras])
        surfaces = [scan.coordinates[view.voxel[view.hit]] for view in small]
        return tuple(PoolView(camera, surface) for camera, surface in zip(cameras, surfaces, strict=True))


@dataclass(frozen=True)
class VirtualLabels:
    """Renders a prediction from virtual cameras and has the pictures labelled.

    A segmenter needs context. What the picture shows around a predicted crop is the target scan, so that it looks
    like a room; only the pixels that show the prediction are compared.

    Attributes:
        raycaster: Renders the views.
        segmenter: Labels their pictures.
        pool: Where the views come from.
        count: Views per sample.
        min_overlap: Least share of a view's surface inside a crop.
        min_confidence: Pixels whose label is less probable have none.

    Source: S4R section 3.3, equation 4.
    """

    raycaster: Raycaster
    segmenter: ImageSegmenter
    pool: VirtualViewPool
    count: int
    min_overlap: float
    min_confidence: float

    def __call__(self, prediction: ScenePrediction, sample: SceneSample, step: int) -> tuple[LabelledView, ...]:
        """Labelled views of ``prediction``, differentiable in its logits; none where no view sees the sample.

        Raises:
            ValueError: A prediction without colour or logits, or a sample of no scene.
            DataError: A crop's scene has no colour.
        """
        if prediction.color is None or prediction.semantic_logits is None:
            raise ValueError("virtual views: expected a prediction with colour and logits, got one without")
        chosen = self.pool.choose(sample, self.count, self.min_overlap, step)
        if not chosen:
            return ()
        motion, grid = sample.motion or SampleMotion(), prediction.grid
        field = self.raycaster.prepare(self._field(prediction, sample))
        cameras = [motion.camera(view.camera, grid) for view in chosen]
        views = self.raycaster.render_views(field, cameras)
        pictures = torch.stack([shown_picture(view) for view in views])
        labels = self._labels(pictures)
        # The prediction's rows come first; a miss has row -1.
        counts = [(view.voxel >= 0) & (view.voxel < len(prediction)) for view in views]
        return tuple(LabelledView(*parts) for parts in zip(views, pictures, labels, counts, strict=True))

    def _field(self, prediction: ScenePrediction, sample: SceneSample) -> ScenePrediction:
        """What the cameras look at; of its attributes only the logits learn."""
        moves = self.raycaster.rules.attributes_move_surface
        still = replace(
            prediction,
            tsdf=prediction.tsdf if moves else prediction.tsdf.detach(),
            color=None if prediction.color is None else prediction.color.detach(),
            observed=None,
            occupancy=(),
        )
        if sample.box is None:
            return still
        scan = self.pool.scan(sample.scene_index)
        return compose(still, scan if sample.motion is None else sample.motion.scan(scan), sample.box)

    @torch.no_grad()
    def _labels(self, pictures: Tensor) -> Tensor:
        """Labels (V, H, W) of pictures (V, H, W, 3)."""
        # A segmenter is told nothing of the training's precision.
        with torch.autocast(pictures.device.type, enabled=False):
            probabilities = self.segmenter.probabilities(pictures.permute(0, 3, 1, 2).contiguous())
        confidence, labels = probabilities.max(dim=1)
        return torch.where((confidence > 0) & (confidence >= self.min_confidence), labels, IGNORE_LABEL)
