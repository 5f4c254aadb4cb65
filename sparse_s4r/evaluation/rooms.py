"""Predictions of many scenes beside the input, the scan of all frames, and labels lifted from 2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from sparse_s4r.data.prediction_format import load_prediction_of, predicted_scan
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.evaluation.chamfer import Surface, chamfer_scores
from sparse_s4r.evaluation.distance_errors import distance_errors
from sparse_s4r.evaluation.reference import WIDE, KnownSpace, Reference
from sparse_s4r.evaluation.segmentation_protocols import labelled_frames, true_labels
from sparse_s4r.evaluation.voxel_scores import VoxelScores, labels_of, score_voxels
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.structures import ScenePrediction, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError

INPUT = "input"
LIFTED_INPUT = "input, 2D labels lifted"
LIFTED_TARGET = "all frames, 2D labels lifted"
# Points on the two surfaces that are compared must not coincide where the surfaces do.
_REFERENCE_SEED, _PREDICTED_SEED = 0, 1


@dataclass(frozen=True)
class Method:
    """Predictions to judge: a name for the table, and a folder with one prediction folder per scene, by its name."""

    name: str
    root: Path

    def folder(self, scene: Scene) -> Path:
        """The prediction of ``scene``: in a folder called like the scene's folder, else like the scene.

        Raises:
            DataError: Neither is there.
        """
        own = scene.path.resolve().name
        for name in (own, scene.name):
            if (self.root / name).is_dir():
                return self.root / name
        raise DataError(
            f"{self.root}: expected a folder {own} with the prediction of {scene.path}, got none; run s4r predict "
            f"{scene.path} --out {self.root / own}"
        )


@dataclass(frozen=True)
class SceneScores:
    """Scores of one method on one scene.

    Attributes:
        method: Name of the method.
        scene: Name of the scene's folder.
        target: Against the scan of all training frames, where these saw.
        truth: Against the true surface, everywhere; None where it is not known.
    """

    method: str
    scene: str
    target: VoxelScores
    truth: VoxelScores | None


def score_scene(
    scene: Scene, methods: Sequence[Method], label_set: str | None = None, depth_max: float = 6.0
) -> Iterator[SceneScores]:
    """Scores of the baselines and of every method.

    Baselines: the input scan as it is, without labels; the same with labels lifted from the input frames; the scan of
    all training frames with labels lifted from these, which has all geometry that frames can give.

    Args:
        scene: The scene.
        methods: Predictions to judge.
        label_set: Labels that are lifted; None: the scene's own. No labels, no lifted rows.
        depth_max: Depth beyond which frames do not vote, metres.

    Raises:
        DataError: A missing prediction, one of another scene or scan, or a label set with other classes than the scene.
    """
    scan, target, truth = scene.load_scan("input"), scene.load_scan("target"), scene.load_truth()
    names = scene.class_names_of(label_set)
    if names is not None and scene.class_names not in (None, names):
        raise DataError(
            f"{scene.path}: label set {label_set}: expected the scene's classes, {list(scene.class_names or ())}, got "
            f"{list(names)}; label the scene with --taxonomy of its classes"
        )
    classes = len(names or scene.class_names or ())
    judge = _Judge(scene, scan, target, truth, classes)
    yield judge.score(INPUT, ScenePrediction.from_scan(scan), None)
    if names is not None:
        for title, field, splits in (
            (LIFTED_INPUT, scan, ("input",)),
            (LIFTED_TARGET, target, ("input", "target")),
        ):
            frames = (scene.load_frame(name, labels=label_set) for name in scene.frame_names(*splits))
            lifted = lift_labels(labelled_frames(frames), scene.grid, field.coordinates, classes, depth_max=depth_max)
            yield judge.score(title, ScenePrediction.from_scan(field), lifted.labels)
    for method in methods:
        folder = method.folder(scene)
        prediction, _ = load_prediction_of(folder, scene)
        if predicted_scan(folder) != "input":
            raise DataError(
                f"{folder}: expected a prediction made of the input scan, got one of the {predicted_scan(folder)} "
                "scan, in which there is less to complete; judge its labels with tools/evaluate_protocols.py"
            )
        yield judge.score(method.name, prediction, labels_of(prediction))


class _Judge:
    """The references of one scene."""

    def __init__(
        self, scene: Scene, scan: SparseTSDF, target: SparseTSDF, truth: SceneTruth | None, classes: int
    ) -> None:
        self._name, self._scan, self._classes = scene.path.resolve().name, scan, classes
        self._seen = KnownSpace(scan.coordinates, scene.load_observation("input"))
        labels = true_labels(scene, target, truth)
        self._target = _Judged.of(Reference(target, labels, scene.load_observation("target")))
        self._truth = None if truth is None else _Judged.of(Reference.of_truth(truth))

    def score(self, method: str, field: ScenePrediction, labels: Tensor | None) -> SceneScores:
        surface = Surface.of_field(field, _PREDICTED_SEED)
        target = self._score(field, labels, surface, self._target)
        truth = None if self._truth is None else self._score(field, labels, surface, self._truth)
        return SceneScores(method, self._name, target, truth)

    def _score(self, field: ScenePrediction, labels: Tensor | None, surface: Surface, by: _Judged) -> VoxelScores:
        chamfer = None
        if by.surface is not None:
            chamfer = chamfer_scores(surface, by.surface, by.known, field.grid)
        return replace(
            score_voxels(field, labels, by.reference, self._scan, self._classes),
            distances=distance_errors(field, by.reference, self._seen),
            chamfer=chamfer,
        )


@dataclass(frozen=True)
class _Judged:
    """A reference with its surface, None where its band is too thin for one, and where it can judge."""

    reference: Reference
    surface: Surface | None
    known: KnownSpace | None

    @classmethod
    def of(cls, reference: Reference) -> _Judged:
        surface = None
        if reference.is_complete(WIDE):
            surface = Surface.of_field(ScenePrediction.from_scan(reference.field), _REFERENCE_SEED)
        return cls(reference, surface, reference.known_space())
