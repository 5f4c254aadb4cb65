"""Trainings and predictions of the tables: one method after the other, each once, whatever is done already kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from sparse_s4r.data.output import new_folder
from sparse_s4r.data.prediction_format import PREDICTION_NAME, PredictionInfo, load_prediction_of, save_prediction
from sparse_s4r.data.scene_format import ScanName, Scene, Split, open_scene
from sparse_s4r.evaluation.voxel_scores import labels_of
from sparse_s4r.geometry.lifting import lift_labels
from sparse_s4r.structures import IGNORE_LABEL, ScenePrediction
from sparse_s4r.structures.errors import DataError, UserError
from tools import lift_virtual
from tools.tables.plan import Plan
from tools.tables.scenes import TableScene
from tools.trainings import predict_all, train_once

# Frames of which each scan is fused.
_SPLITS: dict[ScanName, tuple[Split, ...]] = {"input": ("input",), "target": ("input", "target")}
# Depth beyond which frames do not vote, metres; as in the evaluation of rooms.
DEPTH_MAX = 6.0


def prepare(plan: Plan, console: Console) -> None:
    """Import and label the scenes that need it.

    Raises:
        DataError: Raw frames that are missing, or a command that failed.
    """
    for scene in plan.scenes:
        if scene.imported:
            continue
        if scene.capture is None or scene.problems:
            problem = "; ".join(scene.problems) or "no scene there; make it with s4r import"
            raise DataError(f"{scene.folder}: {problem}; --dry-run lists all that is missing")
        _run(plan.import_command(scene), console)
    without = [scene for scene in plan.labelled() if not scene.has_labels(plan.choices.label_set)]
    if without:
        _run(plan.label_command(without), console)


def train(plan: Plan, console: Console) -> dict[str, str]:
    """Train what is not trained; gives the reason for every method that could not be."""
    scenes = [scene.folder for scene in plan.train]

    def one(name: str) -> None:
        method = plan.method(name)
        if method.kind == "train":
            train_once(method.config_file(), plan.settings(name), scenes, plan.folder(name))

    return _each(plan, "train", one, console)


def predict(plan: Plan, checkpoints: Callable[[str], Path | None], console: Console) -> dict[str, str]:
    """Predict what is not predicted; gives the reason for every method that could not be.

    Args:
        plan: What to do.
        checkpoints: Checkpoint of a method; None where its training is not done.
        console: Where to say what is done.
    """

    def one(name: str) -> None:
        method, scenes = plan.method(name), [scene.folder for scene in plan.test]
        for given in plan.given(name):
            root = plan.predictions(name, given)
            if method.kind == "lift":
                _lift_all(scenes, root, given, plan.choices.label_set)
            elif method.kind == "vote":
                _vote_all(plan, scenes, root, given)
            elif method.kind == "train":
                checkpoint = checkpoints(name)
                if checkpoint is None:
                    raise UserError("its training is not done")
                predict_all(checkpoint, scenes, root, given)

    return _each(plan, "predict", one, console)


def load_field(plan: Plan, name: str, scene: Scene, given: ScanName) -> tuple[ScenePrediction, Tensor | None]:
    """What a method gives for a scene: its field, and the class of every voxel if it knows classes.

    Raises:
        DataError: The prediction is missing, or is of another scene.
    """
    if plan.method(name).kind == "scan":
        return ScenePrediction.from_scan(scene.load_scan(given)), None
    folder = plan.predictions(name, given) / scene.path.resolve().name
    prediction, _ = load_prediction_of(folder, scene)
    return prediction, labels_of(prediction)


def prediction_file(plan: Plan, name: str, scene: TableScene, given: ScanName) -> Path | None:
    """The file that a method's scores on a scene follow from; None where it is the scan itself."""
    if plan.method(name).kind == "scan":
        return None
    return plan.predictions(name, given) / scene.folder.resolve().name / PREDICTION_NAME


def _lift_all(scenes: Sequence[Path], root: Path, given: ScanName, label_set: str) -> None:
    for path in scenes:
        out = root / path.resolve().name
        if out.exists():
            continue
        scene = open_scene(path)
        with new_folder(out) as folder:
            _lift(scene, given, label_set, folder)


def _lift(scene: Scene, given: ScanName, label_set: str, folder: Path) -> None:
    """Write labels lifted to a scan as a prediction of the voxels that got one: the format knows no others."""
    names, scan = scene.label_set(label_set).class_names, scene.load_scan(given)
    frames = (scene.load_frame(name, labels=label_set) for name in scene.frame_names(*_SPLITS[given]))
    lifted = lift_labels(frames, scene.grid, scan.coordinates, len(names), depth_max=DEPTH_MAX)
    chosen = lifted.labels != IGNORE_LABEL
    field = scan.select(chosen)
    logits = F.one_hot(lifted.labels[chosen], len(names)).float()
    prediction = ScenePrediction(
        scene.grid,
        field.coordinates,
        field.tsdf,
        field.color,
        logits,
        torch.ones(len(field), dtype=torch.bool),
        label_confidence=lifted.confidence[chosen],
    )
    up = tuple(float(value) for value in scene.up)
    save_prediction(prediction, PredictionInfo(names, (up[0], up[1], up[2]), ""), folder)


def _vote_all(plan: Plan, scenes: Sequence[Path], root: Path, given: ScanName) -> None:
    left = [path for path in scenes if not (root / path.resolve().name).exists()]
    if left:
        choices = plan.choices
        command = [*map(str, left), "--segmenter", choices.segmenter, "--taxonomy", plan.dataset.taxonomy]
        try:
            lift_virtual.main([*command, "--scan", given, "--seed", str(choices.seed), "--out", str(root)])
        except SystemExit as error:
            # It ends the process where a user can mend something.
            raise DataError(str(error)) from error


def _each(plan: Plan, phase: str, work: Callable[[str], None], console: Console) -> dict[str, str]:
    """Do ``work`` for every method; one that cannot be done must not keep the others waiting for nights."""
    reasons = {}
    for name in plan.methods:
        console.rule(f"{phase}: {plan.method(name).title}")
        reason = plan.unavailable(name)
        if not reason:
            try:
                work(name)
            except UserError as error:
                reason = f"{phase}: {error}"
        if reason:
            reasons[name] = reason
            console.print(reason, style="yellow", markup=False, soft_wrap=True)
    return reasons


def _run(arguments: Sequence[str], console: Console) -> None:
    """An s4r command, in a process of its own."""
    console.print("s4r " + " ".join(arguments), markup=False, soft_wrap=True)
    script = "from sparse_s4r.cli.main import main; main()"
    if subprocess.run([sys.executable, "-c", script, *arguments], check=False).returncode:
        raise DataError(f"s4r {arguments[0]}: the command failed, see above; what was done is kept")
