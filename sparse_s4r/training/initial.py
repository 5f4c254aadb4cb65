"""A new training that starts from trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from sparse_s4r.build import build_network, with_classes
from sparse_s4r.checkpoint import Checkpoint
from sparse_s4r.config import Config, load_config, merge_config
from sparse_s4r.data.scene_dataset import common_classes
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.structures.errors import ConfigError

# Weights that depend on the classes; the decoder before the head does not, but is there only with classes.
_HEAD = "heads.semantic."
_DECODER = "semantic_decoder."


def start_from(
    checkpoint: Checkpoint,
    config_path: Path | None,
    overrides: Sequence[str],
    scenes: Sequence[Scene],
    new_classes: bool,
) -> tuple[Config, dict[str, Tensor]]:
    """Configuration and first weights of a training that starts from ``checkpoint``.

    The section ``model`` is the checkpoint's, changed by the file and the overrides; all other sections are the
    defaults, changed alike.

    Args:
        checkpoint: Trained weights.
        config_path: YAML file; None: none.
        overrides: ``section.key=value``.
        scenes: What is trained on.
        new_classes: Draw the semantic head anew, and the semantic decoder if the checkpoint has none.

    Raises:
        ConfigError: Scenes with other classes without ``new_classes``, or a configuration that does not fit.
    """
    model = checkpoint.config.model
    if new_classes and model.network == "dense":
        raise ConfigError("--new-classes: expected a sparse network, got the dense one, whose classes are part of it")
    if new_classes:
        model = model.model_copy(update={"class_names": None})
    base = load_config().model_copy(update={"model": model})
    config = merge_config(base, config_path, overrides)
    trained, class_names = model.class_names, common_classes(scenes, config.data.labels) or ()
    if trained is not None and config.model.class_names == trained and trained != class_names:
        raise ConfigError(
            f"--init: the weights have the classes {list(trained)}, the scenes {list(class_names)}; label the scenes "
            "with those, or add --new-classes to learn the scenes' own from nothing"
        )
    config = with_classes(config, class_names)
    return config, _with_new_head(config, checkpoint.weights) if new_classes else checkpoint.weights


def _with_new_head(config: Config, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """``weights`` with the semantic head of a fresh network of ``config``, and its decoder where they have none."""
    fresh = build_network(config).state_dict()
    kept = {name: value for name, value in weights.items() if not name.startswith(_HEAD)}
    if not config.model.class_names:
        return {name: value for name, value in kept.items() if not name.startswith(_DECODER)}
    drawn = {name: value for name, value in fresh.items() if name.startswith((_HEAD, _DECODER))}
    return {**drawn, **kept}
