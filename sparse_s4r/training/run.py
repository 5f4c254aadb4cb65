"""From scene folders to a trained network in a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparse_s4r.build import with_classes
from sparse_s4r.checkpoint import Checkpoint, expect_training_state, load_checkpoint
from sparse_s4r.config import Config, load_config, make_config, save_config
from sparse_s4r.config_files import override
from sparse_s4r.data.scene_dataset import common_classes
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.structures.errors import CheckpointError, ConfigError, DataError
from sparse_s4r.training.initial import start_from
from sparse_s4r.training.trainer import CHECKPOINT_NAME, make_trainer


def run_training(
    config_path: Path | None,
    overrides: Sequence[str],
    scene_folders: Sequence[Path],
    out: Path,
    resume: bool,
    init: Path | None = None,
    new_classes: bool = False,
) -> Path:
    """Train on ``scene_folders`` and write ``out``: config.yaml, checkpoint.pt, losses.jsonl, tensorboard/.

    Args:
        config_path: YAML file; None: defaults. A resumed training takes the checkpoint's configuration instead.
        overrides: ``section.key=value``.
        scene_folders: Made by ``s4r import``.
        out: Must not exist, or with ``resume`` must hold a checkpoint.
        resume: Go on from ``out``'s checkpoint.
        init: Weights to start a new training from; ``model`` in the configuration is theirs unless said otherwise.
        new_classes: With ``init``: draw the semantic head anew, for scenes with other classes.

    Returns:
        The checkpoint.

    Raises:
        ConfigError, DataError, CheckpointError, TrainingError: See their messages; what was in ``out`` stays.
    """
    if new_classes and init is None:
        raise ConfigError("--new-classes: expected --init with it; a training from nothing takes the scenes' classes")
    if resume and init is not None:
        raise CheckpointError("--init: expected no --resume beside it: a training goes on, or starts from weights")
    scenes = [open_scene(folder) for folder in scene_folders]
    if resume:
        checkpoint = load_checkpoint(out / CHECKPOINT_NAME)
        expect_training_state(checkpoint)
        config = _with_scene_classes(_resumed_config(checkpoint, config_path, overrides), scenes)
        trainer = make_trainer(config, scenes, checkpoint)
    elif init is None:
        config = _with_scene_classes(load_config(config_path, overrides), scenes)
        _expect_new(out)
        trainer = make_trainer(config, scenes)
    else:
        config, weights = start_from(load_checkpoint(init), config_path, overrides, scenes, new_classes)
        _expect_new(out)
        trainer = make_trainer(config, scenes, init=weights)
    out.mkdir(parents=True, exist_ok=True)
    save_config(config, out / "config.yaml")
    return trainer.fit(out)


def _expect_new(out: Path) -> None:
    if out.exists():
        raise DataError(f"{out}: expected a folder that does not exist yet; name another, or add --resume")


def _with_scene_classes(config: Config, scenes: Sequence[Scene]) -> Config:
    return with_classes(config, common_classes(scenes, config.data.labels))


def _resumed_config(checkpoint: Checkpoint, config_path: Path | None, overrides: Sequence[str]) -> Config:
    if config_path is not None:
        raise CheckpointError("--resume: expected no --config, the checkpoint holds it; change single keys with --set")
    values = checkpoint.config.model_dump(mode="json")
    override(values, overrides)
    config = make_config(values, source="--set")
    if config.train.steps < checkpoint.step:
        raise ConfigError(
            f"--set train.steps={config.train.steps}: expected at least the {checkpoint.step} steps that the "
            "checkpoint has done"
        )
    return config
