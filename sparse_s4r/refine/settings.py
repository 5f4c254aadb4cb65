"""The configuration of a refinement: that of the weights, turned to one scan and to learning without labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sparse_s4r.config import (
    AugmentConfig,
    Config,
    RefineConfig,
    SegmenterConfig,
    TrainConfig,
    merge_config,
)
from sparse_s4r.config_loss import AdversarialConfig, LossConfig, PerceptualConfig, TermConfig
from sparse_s4r.refine.labels import Semantics

_WARMUP = 10
# Each is fused from the frames before it is first used: more would cost a short training more than they give.
_VARIANTS = 4


def refine_config(trained: Config, path: Path | None, overrides: Sequence[str], steps: int | None) -> Config:
    """What the user sees and may change: the weights' own configuration as far as it says how the network sees a scan.

    Anything that belongs to a training on many scenes is set back: augmentation, label sets, segmenter, truth, the
    steps at which terms begin, batches, the discriminator, which weights come without, and the perceptual term.

    Args:
        trained: Configuration that the weights were trained with.
        path: YAML file with keys to change.
        overrides: ``section.key=value``.
        steps: Most steps; None: ``refine.steps``.

    Raises:
        ConfigError: Unknown keys or values that do not fit.
    """
    loss = trained.loss.model_copy(
        update={
            "supervision": "scan",
            "semantic_3d": TermConfig(weight=0.0),
            "adversarial": AdversarialConfig(),
            "perceptual": PerceptualConfig(),
        }
    )
    variants = min(trained.data.input_variants, _VARIANTS)
    data = trained.data.model_copy(update={"augment": AugmentConfig(), "labels": None, "input_variants": variants})
    train = TrainConfig(clip_norm=trained.train.clip_norm, checkpoint_activations=trained.train.checkpoint_activations)
    base = trained.model_copy(
        update={
            "loss": _from_the_start(loss),
            "data": data,
            "train": train,
            "segmenter": SegmenterConfig(),
            "refine": RefineConfig(),
        }
    )
    config = merge_config(base, path, overrides)
    return config if steps is None else merge_config(config, None, [f"refine.steps={steps}"])


def training_config(config: Config, semantics: Semantics, labels: str | None) -> Config:
    """The configuration that the trainer is given: steps and rate of ``refine``, and the terms that hold the labels."""
    refine, loss = config.refine, config.loss
    train = config.train.model_copy(
        update={
            "steps": refine.steps,
            "learning_rate": refine.learning_rate,
            "schedule": "constant",
            "warmup": _WARMUP,
            "guide_steps": 0,
            # What is kept is the best of the scores, not the last.
            "checkpoint_every": refine.steps,
        }
    )
    off = TermConfig(weight=0.0)
    loss = loss.model_copy(
        update={
            "semantic": loss.semantic if semantics == "labels" else off,
            "lifted": loss.lifted if semantics == "labels" else off,
            "virtual": loss.virtual if semantics == "virtual" else off,
        }
    )
    data = config.data.model_copy(update={"labels": labels})
    return config.model_copy(update={"train": train, "loss": loss, "data": data})


def _from_the_start(loss: LossConfig) -> LossConfig:
    """The weights know what a surface is: no term has to wait."""
    names = ("occupancy", "tsdf", "depth", "color", "semantic", "lifted", "virtual")
    return loss.model_copy(update={name: TermConfig(weight=getattr(loss, name).weight) for name in names})
