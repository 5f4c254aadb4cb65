"""Scores of the methods on the scenes, from predictions on disk; each is kept as long as its files stay as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.evaluation.reference import Reference
from sparse_s4r.evaluation.rooms import SceneScores
from sparse_s4r.evaluation.score_files import load_scores, save_scores
from sparse_s4r.evaluation.segmentation_protocols import true_labels
from sparse_s4r.evaluation.voxel_scores import VoxelScores, score_voxels
from sparse_s4r.structures.errors import DataError, UserError
from tools.tables.measures import COMPLETION, GIVEN, JUDGED
from tools.tables.plan import Plan
from tools.tables.scenes import TableScene
from tools.tables.work import load_field, prediction_file

# To be raised whenever a figure is computed in another way.
_VERSION = 1
# Files of a scene that scores depend on.
_JUDGING = (
    "scene.json",
    "input.safetensors",
    "target.safetensors",
    "target_observation.safetensors",
    "truth.safetensors",
)


def score_all(
    plan: Plan, methods: Iterable[str], again: bool = False
) -> tuple[list[tuple[str, str, SceneScores]], dict[str, str]]:
    """Scores of methods on every scene to judge on.

    Args:
        plan: What to score.
        methods: Those that should have predictions.
        again: Score what has been scored already too.

    Returns:
        Method, protocol and scores; and for every method that has a prediction missing or damaged the reason.
    """
    names = list(methods)
    found: list[tuple[str, str, SceneScores]] = []
    reasons: dict[str, str] = {}
    for scene in plan.test:
        judges = _Judges(scene.folder)
        for name in names:
            for protocol in plan.methods[name]:
                try:
                    scores = _score(plan, name, protocol, scene, judges, again)
                # The others keep their figures.
                except UserError as error:
                    reasons.setdefault(name, f"score: {error}")
                else:
                    found.append((name, protocol, scores))
    return [entry for entry in found if entry[0] not in reasons], reasons


def _score(plan: Plan, name: str, protocol: str, scene: TableScene, judges: _Judges, again: bool) -> SceneScores:
    file = plan.folder(name) / "scores" / protocol / f"{scene.folder.resolve().name}.json"
    key = _key(scene.folder, prediction_file(plan, name, scene, GIVEN[protocol]))
    found = None if again else load_scores(file, key)
    if found is None:
        target, truth = judges.of(protocol).score(plan, name)
        found = (SceneScores(name, scene.name, target, truth),)
        save_scores(file, key, found)
    return found[0]


class _Judges:
    """The judges of one scene, made when they are asked for: their labels may have to be lifted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, _Judge] = {}

    def of(self, protocol: str) -> _Judge:
        if protocol not in self._made:
            self._made[protocol] = _Judge(open_scene(self._folder), protocol)
        return self._made[protocol]


class _Judge:
    """The references of one scene in one protocol; the true surface is one where something is completed."""

    def __init__(self, scene: Scene, protocol: str) -> None:
        self._scene, self._protocol = scene, protocol
        self._classes = len(scene.class_names or ())
        self._scan = scene.load_scan("input")
        self._truth: Reference | None = None
        truth, judged = scene.load_truth(), JUDGED[protocol]
        field = scene.load_scan(judged)
        self._target = Reference(field, true_labels(scene, field, truth), scene.load_observation(judged))
        if truth is not None and protocol == COMPLETION:
            self._truth = Reference.of_truth(truth)

    def score(self, plan: Plan, name: str) -> tuple[VoxelScores, VoxelScores | None]:
        field, labels = load_field(plan, name, self._scene, GIVEN[self._protocol])
        target = score_voxels(field, labels, self._target, self._scan, self._classes)
        if self._truth is None:
            return target, None
        return target, score_voxels(field, labels, self._truth, self._scan, self._classes)


def _key(scene: Path, prediction: Path | None) -> str:
    """A digest of what scores on a scene depend on: sizes and times of its files, its frames apart, and the prediction.

    Raises:
        DataError: The prediction is missing.
    """
    if prediction is not None and not prediction.is_file():
        raise DataError(f"{prediction}: expected a prediction, found none; let the command go on with it")
    files = [scene / name for name in _JUDGING if (scene / name).is_file()] + ([prediction] if prediction else [])
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps([_VERSION, *states]).encode()).hexdigest()
