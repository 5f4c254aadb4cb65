"""From the weights' configuration to that of a refinement."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_s4r.config import load_config
from sparse_s4r.refine.settings import refine_config, training_config
from sparse_s4r.structures.errors import ConfigError

TRAINED = load_config(
    None,
    [
        "model.widths=[2,3,4,5,6]",
        "model.class_names=[wall]",
        "data.crop=2.0",
        "data.augment.rotate=true",
        "data.labels=some",
        "loss.color={weight: 4.0, start: 900}",
        "loss.supervision=truth",
        "loss.semantic_3d.weight=1.0",
        "loss.lifted={weight: 2.0, start: 5}",
        "segmenter.spec=shipped",
        "train.batch=4",
        "train.steps=9000",
        "train.clip_norm=2.0",
        "train.checkpoint_activations=true",
        "data.input_variants=9",
        "refine.steps=3",
    ],
)


def test_what_belongs_to_many_scenes_is_set_back() -> None:
    config = refine_config(TRAINED, None, [], None)
    assert config.model == TRAINED.model
    assert (config.data.crop, config.data.augment.rotate, config.data.labels) == (2.0, False, None)
    assert (config.loss.color.weight, config.loss.color.start) == (4.0, 0)
    assert (config.loss.supervision, config.loss.semantic_3d.weight) == ("scan", 0.0)
    assert (config.loss.lifted.weight, config.loss.lifted.start) == (2.0, 0)
    assert config.segmenter.spec is None
    assert (config.train.batch, config.train.clip_norm, config.train.checkpoint_activations) == (1, 2.0, True)
    assert config.data.input_variants == 4
    assert config.refine == load_config().refine


def test_file_then_settings_then_steps(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("refine: {steps: 7, every: 2}\ndata: {crop: 1.0}\n")
    config = refine_config(TRAINED, tmp_path / "c.yaml", ["refine.every=5"], None)
    assert (config.refine.steps, config.refine.every, config.data.crop) == (7, 5, 1.0)
    assert refine_config(TRAINED, tmp_path / "c.yaml", [], 11).refine.steps == 11
    with pytest.raises(ConfigError, match=r"unknown key refine\.stepz; did you mean refine\.steps\?"):
        refine_config(TRAINED, None, ["refine.stepz=1"], None)
    with pytest.raises(ConfigError, match=r"refine\.steps"):
        refine_config(TRAINED, None, [], 0)


def test_the_trainers_part() -> None:
    settings = ["refine.steps=40", "refine.learning_rate=0.002", "loss.semantic.weight=3", "loss.virtual.weight=2"]
    config = refine_config(TRAINED, None, settings, None)
    kept = training_config(config, "keep", None)
    assert (kept.train.steps, kept.train.learning_rate, kept.train.schedule) == (40, 0.002, "constant")
    assert (kept.train.guide_steps, kept.loss.semantic.weight, kept.loss.virtual.weight) == (0, 0.0, 0.0)
    labelled = training_config(config, "labels", "b")
    assert (labelled.data.labels, labelled.loss.semantic.weight, labelled.loss.virtual.weight) == ("b", 3.0, 0.0)
    assert [part.loss.lifted.weight for part in (kept, labelled)] == [0.0, 2.0]
    virtual = training_config(config, "virtual", None)
    assert (virtual.loss.semantic.weight, virtual.loss.virtual.weight) == (0.0, 2.0)
