"""What training reads of its scenes, kept in memory as long as it is in use."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Generic, TypeVar

import torch
from torch import Tensor

from sparse_s4r.data.dice import generator_of
from sparse_s4r.data.input_variants import VariantOptions, choose_frames, depth_max_of, fuse_variant
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.data.view_samples import ViewSamples
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.structures import IGNORE_LABEL, LabelledField, ObservationGrid, RGBDFrame, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError

# Shares of the memory that targets, inputs, views and previews may take.
_TARGETS, _INPUTS, _VIEWS, _PREVIEWS = 0.35, 0.35, 0.2, 0.1
# Views are ranked for a crop by this many columns of depth samples: enough for a share, and quick.
_RANKING_WIDTH = 40

T = TypeVar("T")


@dataclass(frozen=True)
class SceneFields:
    """A scene's incomplete and its fuller scan, what the frames of each saw, and, where wanted, the truth and
    the fuller scan with the labels of all training frames."""

    input: SparseTSDF
    target: SparseTSDF
    input_observation: ObservationGrid
    target_observation: ObservationGrid
    truth: SceneTruth | None
    lifted: LabelledField | None = None


class SceneStore:
    """Scenes whose fields and frames are read when asked for and kept for a while; any thread may ask.

    Args:
        scenes: Opened scene folders.
        image_width: Width of the views, pixels.
        labels: Label set of the views; None for the scenes' own.
        variants: Inputs made of other frames than the scenes' own.
        seed: Of the choice of their frames.
        memory: Bytes that may be kept.
        truth: Whether the truth is wanted.
        lifted: Whether labels lifted from the training frames to the fuller scan are wanted.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        image_width: int,
        labels: str | None,
        variants: VariantOptions,
        seed: int,
        memory: float,
        truth: bool,
        lifted: bool = False,
    ) -> None:
        self.scenes = tuple(scenes)
        self._image_width = image_width
        self._labels = labels
        self._variants = variants
        self._seed = seed
        self._truth = truth
        self._lifted = lifted
        # A byte per voxel: kept for all scenes.
        self._voted = _Recent[Tensor](math.inf)
        self._targets = _Recent[tuple[SparseTSDF, ObservationGrid, SceneTruth | None]](_TARGETS * memory)
        self._inputs = _Recent[tuple[SparseTSDF, ObservationGrid]](_INPUTS * memory)
        self._frames = _Recent[RGBDFrame](_VIEWS * memory)
        self._previews = _Recent[tuple[tuple[RGBDFrame, ...], ViewSamples]](_PREVIEWS * memory)

    def fields(self, index: int, variant: int | None = None) -> SceneFields:
        """Fields of scene ``index``, the input that of its frames or of ``variant``."""
        target, seen, truth = self._targets.get((index,), lambda: self._load_target(index))
        scan, seen_by_input = self._inputs.get((index, variant), lambda: self._load_input(index, variant))
        lifted = LabelledField(target, self._target_labels(index, target)) if self._lifted else None
        return SceneFields(scan, target, seen_by_input, seen, truth, lifted)

    def frame(self, index: int, name: str) -> RGBDFrame:
        """Frame ``name`` of scene ``index`` at the views' width."""
        return self._frames.get((index, name), lambda: self._load_frame(index, name))

    def training_names(self, index: int) -> tuple[str, ...]:
        """Names of the frames of scene ``index`` that may be trained on."""
        return self.scenes[index].frame_names("input", "target")

    def previews(self, index: int) -> tuple[tuple[RGBDFrame, ...], ViewSamples]:
        """The training frames of scene ``index`` at a few columns of depth, without colour; and their samples."""
        return self._previews.get((index,), lambda: self._load_previews(index))

    def variant_frames(self, index: int, variant: int) -> tuple[str, ...]:
        """Names of the frames that ``variant`` of scene ``index`` is fused from."""
        generator = generator_of(self._seed, "variant", index, variant)
        return choose_frames(self.training_names(index), self._variants, generator)

    def _load_target(self, index: int) -> tuple[SparseTSDF, ObservationGrid, SceneTruth | None]:
        scene = self.scenes[index]
        truth = scene.load_truth() if self._truth else None
        if truth is not None and scene.class_names_of(self._labels) != scene.class_names:
            # The truth's classes are the scene's own, which are not learned.
            truth = replace(truth, labels=torch.full_like(truth.labels, IGNORE_LABEL))
        return scene.load_scan("target"), scene.load_observation("target"), truth

    def _load_input(self, index: int, variant: int | None) -> tuple[SparseTSDF, ObservationGrid]:
        scene = self.scenes[index]
        if variant is not None:
            return fuse_variant(scene, self.variant_frames(index, variant))
        return scene.load_scan("input"), scene.load_observation("input")

    def _target_labels(self, index: int, target: SparseTSDF) -> Tensor:
        """Classes (N,) int64 of the fuller scan's voxels, by the votes of all training frames."""
        scene = self.scenes[index]

        def vote() -> Tensor:
            names = scene.class_names_of(self._labels)
            if names is None:
                raise DataError(f"{scene.path}: expected labels to lift to the scan, got none; switch loss.lifted off")
            frames = (self.frame(index, name) for name in self.training_names(index))
            voted = lift_labels(frames, target.grid, target.coordinates, len(names), depth_max=depth_max_of(scene))
            return voted.labels.to(torch.int16)

        return self._voted.get((index,), vote).long()

    def _load_frame(self, index: int, name: str) -> RGBDFrame:
        return self.scenes[index].load_frame(name, width=self._image_width, labels=self._labels)

    def _load_previews(self, index: int) -> tuple[tuple[RGBDFrame, ...], ViewSamples]:
        scene = self.scenes[index]
        frames = []
        for name in self.training_names(index):
            frame = scene.load_frame(name, width=_RANKING_WIDTH)
            black = torch.zeros(()).expand(frame.color.shape)
            frames.append(RGBDFrame(name, frame.camera, black, frame.depth.clone()))
        return tuple(frames), ViewSamples.of(frames, scene.grid)


class _Recent(Generic[T]):
    """The most recently used values, the last one in any case; who wants one that is being made waits for it."""

    def __init__(self, memory: float) -> None:
        self._memory = memory
        self._values: OrderedDict[tuple[object, ...], tuple[T, int]] = OrderedDict()
        self._used = 0
        self._lock = threading.RLock()

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._values:
                value = make()
                self._values[key] = value, _bytes(value)
                self._used += self._values[key][1]
            self._values.move_to_end(key)
            while self._used > self._memory and len(self._values) > 1:
                self._used -= self._values.popitem(last=False)[1][1]
            return self._values[key][0]


def _bytes(value: object) -> int:
    """Memory of the tensors in ``value``."""
    if isinstance(value, torch.Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, tuple):
        return sum(_bytes(part) for part in value)
    if is_dataclass(value):
        return sum(_bytes(getattr(value, part.name)) for part in fields(value))
    return 0
