"""Training against a discriminator: exact when resumed, and nothing at all when off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sparse_s4r.build import build_features, with_classes
from sparse_s4r.checkpoint import load_checkpoint
from sparse_s4r.config import load_config
from sparse_s4r.data.scene import open_scene
from sparse_s4r.refine.settings import refine_config
from sparse_s4r.render import Raycaster
from sparse_s4r.structures.errors import CheckpointError, ConfigError
from sparse_s4r.training.adversarial import make_adversary
from sparse_s4r.training.run import run_training
from sparse_s4r.training.trainer import make_trainer
from tests.small_scene import TINY, shared_scene

START, STEPS = 2, 5
ON = (
    f"loss.adversarial={{weight: 0.5, start: {START}}}",
    f"loss.perceptual={{weight: 0.5, start: {START + 1}, weights: shipped}}",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_scene(tmp_path_factory)


@pytest.fixture(scope="module")
def run(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adversarial") / "run"
    run_training(None, [*TINY, *ON, f"train.steps={STEPS}"], [scene], folder, resume=False)
    return folder


def losses(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "losses.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_terms_count_from_their_starts_and_the_opponent_learns(run: Path) -> None:
    named = [{"adversarial", "discriminator", "perceptual"} & line.keys() for line in losses(run)]
    both = {"adversarial", "discriminator"}
    assert named == [set(), set(), both, *[{*both, "perceptual"}] * 2]
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    fresh = make_adversary(checkpoint.config, Raycaster(), "cpu")
    assert fresh is not None
    trained = checkpoint.adversary["weights"]
    changed = [name for name, value in fresh.state()["weights"].items() if not torch.equal(value, trained[name])]
    assert len(changed) >= 12
    rates = [group["lr"] for group in checkpoint.adversary["optimizer"]["param_groups"]]
    assert rates == [pytest.approx(4 * 0.003)]
    assert not any("discriminator" in name or "adversary" in name for name in checkpoint.weights)


def test_an_interrupted_training_goes_on_exactly(run: Path, scene: Path, tmp_path: Path) -> None:
    settings = [*TINY, *ON, f"train.steps={START + 1}"]
    run_training(None, settings, [scene], tmp_path / "run", resume=False)
    run_training(None, [f"train.steps={STEPS}"], [scene], tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == losses(run)
    one, other = (load_checkpoint(folder / "checkpoint.pt") for folder in (run, tmp_path / "run"))
    for weights, again in ((one.weights, other.weights), (one.adversary["weights"], other.adversary["weights"])):
        assert weights.keys() == again.keys()
        assert all(torch.equal(weight, again[name]) for name, weight in weights.items())


def test_off_or_not_yet_on_a_training_is_as_without(run: Path, scene: Path, tmp_path: Path) -> None:
    run_training(None, [*TINY, f"train.steps={START}"], [scene], tmp_path / "off", resume=False)
    assert losses(tmp_path / "off") == losses(run)[:START]
    assert load_checkpoint(tmp_path / "off" / "checkpoint.pt").adversary == {}
    # Switched on when it goes on, it starts anew, with the weights that it always has.
    run_training(None, [*ON, f"train.steps={STEPS}"], [scene], tmp_path / "off", resume=True)
    assert losses(tmp_path / "off") == losses(run)


def test_off_there_is_no_opponent_and_no_network(scene: Path) -> None:
    config = with_classes(load_config(None, TINY), open_scene(scene).class_names)
    objective = make_trainer(config, [open_scene(scene)]).objective
    assert objective.adversary is None
    assert objective.loss.features is None


def test_what_cannot_be_is_refused(run: Path) -> None:
    blind = load_config(None, [*ON, "model.color_decoder=false"])
    with pytest.raises(ConfigError, match=r"loss\.perceptual\.weight: expected 0 for a network without a colour"):
        build_features(blind, "cpu")
    with pytest.raises(ConfigError, match=r"loss\.adversarial\.weight: expected 0"):
        make_adversary(blind, Raycaster(), "cpu")
    with pytest.raises(ConfigError, match=r"loss\.perceptual\.weights: expected shipped, or a file"):
        build_features(load_config(None, ["loss.perceptual.weight=1"]), "cpu")
    adversary = make_adversary(load_checkpoint(run / "checkpoint.pt").config, Raycaster(), "cpu")
    assert adversary is not None
    with pytest.raises(CheckpointError, match="expected the state of this discriminator"):
        adversary.load({"weights": {}})


def test_a_refinement_has_no_opponent(run: Path) -> None:
    config = refine_config(load_checkpoint(run / "checkpoint.pt").config, None, [], None)
    assert config.loss.adversarial.weight == config.loss.perceptual.weight == 0
