"""Trainings and predictions that are kept: what is finished is not done again, what broke off goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from sparse_s4r.data.scene_format import ScanName
from sparse_s4r.inference.run import run_prediction
from sparse_s4r.structures.errors import UserError
from sparse_s4r.training.run import run_training
from sparse_s4r.training.trainer import CHECKPOINT_NAME

# What was asked for, written first; and again when the training is done: a checkpoint alone may be of its middle.
_BEGUN, _DONE = "begun.json", "done.json"
RUN = "run"


def is_trained(folder: Path) -> bool:
    """Whether the training in ``folder`` is done."""
    return (folder / _DONE).is_file()


def train_once(config: Path, settings: Sequence[str], scenes: Sequence[Path], folder: Path) -> Path:
    """The checkpoint of a training, trained unless it is there already.

    A training that broke off goes on from its last checkpoint if it was begun in the same way, and starts anew else.

    Args:
        config: Configuration file.
        settings: ``section.key=value`` on top of it.
        scenes: Scene folders to train on.
        folder: Holds the training, in ``run``, and the record of what it was asked for.

    Raises:
        UserError: A finished training with other settings or scenes is there; or see ``run_training``.
    """
    run, stated = folder / RUN, {"settings": list(settings), "scenes": [path.name for path in scenes]}
    if is_trained(folder):
        found = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        if {key: found.get(key) for key in stated} != stated:
            raise UserError(f"{folder}: expected a training with {stated}, got one with {found}; name another --out")
        return run / CHECKPOINT_NAME
    text = json.dumps(stated)
    begun = folder / _BEGUN
    resume = begun.is_file() and begun.read_text(encoding="utf-8") == text and (run / CHECKPOINT_NAME).is_file()
    if run.exists() and not resume:
        shutil.rmtree(run)
    folder.mkdir(parents=True, exist_ok=True)
    begun.write_text(text, encoding="utf-8")
    # What is resumed has its settings in its checkpoint.
    checkpoint = run_training(None if resume else config, () if resume else settings, scenes, run, resume=resume)
    (folder / _DONE).write_text(text, encoding="utf-8")
    return checkpoint


def steps_and_seconds(folder: Path) -> tuple[int, float]:
    """Steps done by the training in ``folder`` and the seconds they took, sampling included; 0 without a log.

    The log has a line per step and loses those that a resumed training repeats, so this holds for these too.
    """
    log = folder / RUN / "losses.jsonl"
    if not log.is_file():
        return 0, 0.0
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return len(rows), float(sum(row["seconds"] for row in rows))


def predict_all(checkpoint: Path, scenes: Sequence[Path], root: Path, scan: ScanName = "input") -> None:
    """Predictions of ``scenes`` in folders of their names, from the incomplete scan or that of all training frames."""
    for scene in scenes:
        out = root / scene.resolve().name
        if not out.exists():
            run_prediction(scene, checkpoint, out, scan=scan)
