"""Training samples from scene folders: which scene, which crop, which views, fixed by seed and step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from sparse_s4r.data.color_change import ColorChange, draw_color_change
from sparse_s4r.data.crops import crop_observation, crop_scan, cut_holes, draw_box, mask_outside, rows_inside
from sparse_s4r.data.dice import generator_of
from sparse_s4r.data.input_variants import VariantOptions
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.data.scene_store import SceneFields, SceneStore
from sparse_s4r.structures import (
    CELL,
    Camera,
    ObservationGrid,
    RGBDFrame,
    SampleBox,
    SampleMotion,
    SceneSample,
    SparseTSDF,
)
from sparse_s4r.structures.errors import DataError
from sparse_s4r.structures.motion import AnyLabelled

_SOME_OVERLAP = 1e-6
# Views whose overlap is measured, per view that is wanted: those with most samples in the crop's box.
_RANKED = 2
_UNMOVED = SampleMotion()
_OWN_INPUT = VariantOptions(0, (1.0, 1.0), "random")

# (frames, scan, count, minimum) -> at most ``count`` frames that look most at ``scan``, best first.
SelectViews = Callable[[Iterable[RGBDFrame], SparseTSDF, int, float], tuple[RGBDFrame, ...]]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a sample.

    Attributes:
        rotate: Turn by a multiple of 90 degrees about up.
        mirror: Exchange left and right in half of the samples.
        shift: Move by 0 to 15 voxels per axis.
        color: Strength of the change of colours, in [0, 1).
    """

    rotate: bool = False
    mirror: bool = False
    shift: bool = False
    color: float = 0.0


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
        scene_repeat: Consecutive steps that take their samples from one scene.
        variants: Inputs made of other frames than the scenes' own.
        augmentation: Random changes of a sample.
        labels: Label set to learn from; None for the scenes' own.
        memory: Bytes of decoded scans and frames that may be kept.
        truth: Whether samples have the truth of scenes that know it.
        lifted: Whether samples have the labels of all training frames lifted to the fuller scan.
    """

    image_width: int
    views: int
    crop: float | None
    holes: int
    hole_size: float
    view_candidates: int
    min_overlap: float
    seed: int
    scene_repeat: int = 1
    variants: VariantOptions = _OWN_INPUT
    augmentation: Augmentation = Augmentation()
    labels: str | None = None
    memory: float = 2.0 * 2**30
    truth: bool = True
    lifted: bool = False


class SceneDataset:
    """Samples of one or more scenes; the sample of a step does not depend on the steps before.

    Args:
        scenes: Opened scene folders.
        options: How samples are drawn.
        select_views: Chooses the views of a crop.

    Raises:
        DataError: No scene, scenes with different classes, or one without training frames or the label set.
    """

    def __init__(self, scenes: Sequence[Scene], options: SamplingOptions, select_views: SelectViews) -> None:
        self.scenes = tuple(scenes)
        self.class_names = common_classes(scenes, options.labels)
        for scene in scenes:
            if not scene.frame_names("input", "target"):
                raise DataError(f"{scene.path}: expected frames to train on, got none")
        self.options = options
        self._select_views = select_views
        self._store = SceneStore(
            scenes,
            options.image_width,
            options.labels,
            options.variants,
            options.seed,
            options.memory,
            options.truth,
            options.lifted,
        )

    def sample(self, step: int, slot: int = 0, slots: int = 1) -> SceneSample:
        """One sample of ``step``, the same in every run with this seed.

        Args:
            step: Optimiser step, from 0.
            slot: Which of the step's samples, over all processes, batches and places in them.
            slots: Number of samples per step.
        """
        options, generator = self.options, generator_of(self.options.seed, "sample", step, slot)
        index, variant = self._draw_scene(step // options.scene_repeat * slots + slot)
        fields, motion = self._store.fields(index, variant), self._draw_motion(generator)
        fields, frames, box = self._part(index, fields, motion, generator)
        if motion != _UNMOVED:
            fields, frames = _move(fields, motion, box), [motion.frame(frame, fields.target.grid) for frame in frames]
        name = self.scenes[index].name if box is None else f"{self.scenes[index].name} at {box[0].tolist()}"
        scan, holes = cut_holes(fields.input, options.holes, options.hole_size, generator)
        sample = SceneSample(
            name,
            scan,
            fields.target,
            fields.input_observation,
            fields.target_observation,
            tuple(frames),
            box,
            holes,
            index,
            None if motion == _UNMOVED else motion,
            fields.truth,
            fields.lifted,
        )
        if options.augmentation.color > 0:
            return _recolored(sample, draw_color_change(options.augmentation.color, generator))
        return sample

    def scene_fields(self, index: int) -> SceneFields:
        """Scans and observations of scene ``index`` as they are stored: not cropped, not changed."""
        return self._store.fields(index)

    def cameras(self, index: int) -> tuple[Camera, ...]:
        """Cameras of the training frames of scene ``index``, at their stored size."""
        return tuple(self.scenes[index].camera(name) for name in self._store.training_names(index))

    def _draw_scene(self, draw: int) -> tuple[int, int | None]:
        """Scene and input variant of a draw; every scene once before any comes again."""
        round_number, place = divmod(draw, len(self.scenes))
        generator = generator_of(self.options.seed, "round", round_number)
        index = int(torch.randperm(len(self.scenes), generator=generator)[place])
        count = self.options.variants.count
        if count == 0:
            return index, None
        return index, int(torch.randint(count, (), generator=generator_of(self.options.seed, "input", draw)))

    def _draw_motion(self, generator: torch.Generator) -> SampleMotion:
        augmentation = self.options.augmentation
        turns, mirror = (int(torch.randint(count, (), generator=generator)) for count in (4, 2))
        x, y, z = torch.randint(CELL, (3,), generator=generator).tolist()
        return SampleMotion(
            turns if augmentation.rotate else 0,
            bool(mirror) and augmentation.mirror,
            (x, y, z) if augmentation.shift else (0, 0, 0),
        )

    def _part(
        self, index: int, fields: SceneFields, motion: SampleMotion, generator: torch.Generator
    ) -> tuple[SceneFields, list[RGBDFrame], SampleBox | None]:
        """Fields, all or of a crop, and views of them, not moved yet; and the crop's box in the moved scene."""
        if self.options.crop is None:
            return fields, self._choose(index, self._store.training_names(index), generator), None
        moved = draw_box(fields.input, fields.target, motion, self.options.crop, generator)
        box = motion.inverse().box(moved)
        part = _cropped(fields, box)
        frames = self._choose(index, self._best_views(index, part.target, box), generator)
        return part, [mask_outside(frame, part.target.grid, box) for frame in frames], moved

    def _choose(self, scene: int, names: Sequence[str], generator: torch.Generator) -> list[RGBDFrame]:
        order = torch.randperm(len(names), generator=generator)[: self.options.views]
        return [self._store.frame(scene, names[int(row)]) for row in order]

    def _best_views(self, scene: int, target: SparseTSDF, box: SampleBox) -> list[str]:
        """Names of the views with most overlap with a scan cropped to ``box``, best first."""
        previews, samples = self._store.previews(scene)
        wanted, minimum = self.options.view_candidates, self.options.min_overlap
        # A crop at the edge of what was seen still has a best view.
        for count, share in ((wanted, minimum), (1, _SOME_OVERLAP)):
            likely = [previews[view] for view in samples.best(box, _RANKED * count, share)]
            best = self._select_views(likely, target, count, share)
            if best:
                return [frame.name for frame in best]
        return []


def common_classes(scenes: Sequence[Scene], labels: str | None) -> tuple[str, ...] | None:
    """Classes of the scenes' own labels or of the label set ``labels``; None for scenes without labels.

    Raises:
        DataError: No scene, scenes with different classes, or one without the label set.
    """
    if not scenes:
        raise DataError("scenes: expected at least one scene folder, got none")
    names = {scene.class_names_of(labels) for scene in scenes}
    if len(names) > 1:
        remedy = "import them anew" if labels is None else f"label them anew as {labels}"
        raise DataError(f"scenes: expected the same classes in all, got {sorted(map(str, names))}; {remedy}")
    return names.pop()


def _cropped(fields: SceneFields, box: SampleBox) -> SceneFields:
    def part(voxels: AnyLabelled | None) -> AnyLabelled | None:
        return None if voxels is None else voxels.select(rows_inside(voxels.field.coordinates, box))

    return SceneFields(
        crop_scan(fields.input, box),
        crop_scan(fields.target, box),
        crop_observation(fields.input_observation, box),
        crop_observation(fields.target_observation, box),
        part(fields.truth),
        part(fields.lifted),
    )


def _move(fields: SceneFields, motion: SampleMotion, box: SampleBox | None) -> SceneFields:
    """Moved fields; of the observations' blocks only what lies in the moved ``box``."""

    def observed(observation: ObservationGrid) -> ObservationGrid:
        moved = motion.observation(observation)
        return moved if box is None else crop_observation(moved, box)

    return SceneFields(
        motion.scan(fields.input),
        motion.scan(fields.target),
        observed(fields.input_observation),
        observed(fields.target_observation),
        None if fields.truth is None else motion.labelled(fields.truth),
        None if fields.lifted is None else motion.labelled(fields.lifted),
    )


def _recolored(sample: SceneSample, change: ColorChange) -> SceneSample:
    def recolored(voxels: AnyLabelled | None) -> AnyLabelled | None:
        return None if voxels is None else replace(voxels, field=change.scan(voxels.field))

    return replace(
        sample,
        input=change.scan(sample.input),
        target=change.scan(sample.target),
        frames=tuple(change.frame(frame) for frame in sample.frames),
        truth=recolored(sample.truth),
        lifted=recolored(sample.lifted),
    )
