"""New trainings from trained weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_s4r.checkpoint import Checkpoint, load_checkpoint
from sparse_s4r.data.scene import open_scene
from sparse_s4r.structures.errors import CheckpointError, ConfigError
from sparse_s4r.training.initial import start_from
from sparse_s4r.training.run import run_training
from sparse_s4r.training.trainer import Trainer
from sparse_s4r.weights_file import WeightsFile, save_weights_file
from tests.small_scene import make_small_scene, shared_run, shared_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_checkpoint(shared_run(tmp_path_factory) / "checkpoint.pt")


@pytest.fixture
def weights(trained: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "trained.safetensors"
    save_weights_file(WeightsFile(trained.config, trained.weights, trained.step), path)
    return path


def renamed(trained: Checkpoint, names: tuple[str, ...]) -> Checkpoint:
    """The checkpoint with ``names`` in place of its classes, and a head of that many."""
    model = trained.config.model.model_copy(update={"class_names": names})
    heads = {
        f"heads.semantic.{part}": trained.weights[f"heads.semantic.{part}"][: len(names)] for part in ("weight", "bias")
    }
    config = trained.config.model_copy(update={"model": model})
    return Checkpoint(config, {**trained.weights, **heads}, {}, trained.step, torch.empty(0))


def test_a_training_starts_from_the_weights_with_its_own_settings(
    trained: Checkpoint, weights: Path, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[dict[str, torch.Tensor]] = []
    save = Trainer.save

    def keep_first(self: Trainer, path: Path) -> None:
        if self.done == 0:
            first.append({name: value.clone() for name, value in self.network.state_dict().items()})
        save(self, path)

    monkeypatch.setattr(Trainer, "save", keep_first)
    run_training(None, ["train.steps=1", "data.image_width=24"], [scene], tmp_path / "run", resume=False, init=weights)
    for name, value in first[0].items():
        assert torch.equal(value.cpu(), trained.weights[name]), name
    done = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert done.step == 1
    # The network is the weights', the training is not.
    assert done.config.model == trained.config.model
    assert (done.config.train.learning_rate, done.config.data.image_width) == (1e-3, 24)
    assert any(not torch.equal(value, trained.weights[name]) for name, value in done.weights.items())


def test_another_architecture_is_refused(weights: Path, scene: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="checkpoint of another model"):
        run_training(None, ["model.widths=[4,4,6,6,9]"], [scene], tmp_path / "run", resume=False, init=weights)
    assert not (tmp_path / "run").exists()


def test_options_that_exclude_each_other(weights: Path, scene: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="--init: expected no --resume beside it"):
        run_training(None, [], [scene], tmp_path / "run", resume=True, init=weights)
    with pytest.raises(ConfigError, match="--new-classes: expected --init with it"):
        run_training(None, [], [scene], tmp_path / "run", resume=False, new_classes=True)


def test_weights_alone_cannot_be_resumed(weights: Path, scene: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    whole = load_checkpoint(weights)
    with pytest.raises(CheckpointError, match="start a new training from them with --init"):
        _resume_from(whole, scene, tmp_path)


def _resume_from(checkpoint: Checkpoint, scene: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparse_s4r.training.run.load_checkpoint", lambda path: checkpoint)
        run_training(None, [], [scene], tmp_path / "run", resume=True)


def test_other_classes_need_to_be_asked_for(trained: Checkpoint, scene: Path) -> None:
    other = renamed(trained, ("rock", "tree"))
    scenes = [open_scene(scene)]
    with pytest.raises(ConfigError, match=r"--init: the weights have the classes \['rock', 'tree'\].*--new-classes"):
        start_from(other, None, [], scenes, new_classes=False)
    config, weights = start_from(other, None, [], scenes, new_classes=True)
    assert config.model.class_names == scenes[0].class_names
    assert weights["heads.semantic.weight"].shape[0] == len(scenes[0].class_names or ())
    same = {name for name in weights if not name.startswith("heads.semantic.")}
    assert same == {name for name in trained.weights if not name.startswith("heads.semantic.")}
    assert all(torch.equal(weights[name], trained.weights[name]) for name in same)


def test_scenes_without_classes_leave_the_semantic_decoder_out(trained: Checkpoint, tmp_path: Path) -> None:
    bare = make_small_scene(tmp_path, labels=False)
    with pytest.raises(ConfigError, match="--new-classes"):
        start_from(trained, None, [], [bare], new_classes=False)
    config, weights = start_from(trained, None, [], [bare], new_classes=True)
    assert config.model.class_names == ()
    assert not [name for name in weights if "semantic" in name]


def test_weights_without_classes_get_a_semantic_decoder(trained: Checkpoint, scene: Path) -> None:
    blind = renamed(trained, ())
    kept = {name: value for name, value in blind.weights.items() if "semantic" not in name}
    blind = Checkpoint(blind.config, kept, {}, 1, torch.empty(0))
    config, weights = start_from(blind, None, [], [open_scene(scene)], new_classes=True)
    assert config.model.class_names == open_scene(scene).class_names
    assert weights.keys() == trained.weights.keys()


def test_the_dense_network_keeps_its_classes(trained: Checkpoint, scene: Path) -> None:
    model = trained.config.model.model_copy(update={"network": "dense"})
    dense = Checkpoint(trained.config.model_copy(update={"model": model}), trained.weights, {}, 1, torch.empty(0))
    with pytest.raises(ConfigError, match="--new-classes: expected a sparse network"):
        start_from(dense, None, [], [open_scene(scene)], new_classes=True)
