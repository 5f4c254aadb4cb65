"""What holds the labels."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sparse_s4r.config import load_config
from sparse_s4r.refine.labels import KeptLabels, choose_semantics
from sparse_s4r.structures import GridSpec, SampleMotion, ScenePrediction
from sparse_s4r.structures.errors import ConfigError

GRID = GridSpec(0.02, (0.0, 0.0, 0.0), 3.0)
NAMES = ("wall", "floor")


def make_scene(own: tuple[str, ...] | None = None, **sets: tuple[str, ...]) -> Any:
    """As much of a scene as is asked for its classes."""
    return SimpleNamespace(
        path="made", label_sets=lambda: tuple(sets), class_names_of=lambda name: own if name is None else sets[name]
    )


def choose(scene: Any, *settings: str) -> tuple[str, str | None]:
    return choose_semantics(load_config(None, ["model.class_names=[wall,floor]", *settings]), scene)


def test_labels_of_the_same_classes_come_first() -> None:
    assert choose(make_scene(NAMES)) == ("labels", None)
    assert choose(make_scene(("other",), a=("third",), b=NAMES)) == ("labels", "b")
    assert choose(make_scene(NAMES, b=NAMES), "data.labels=b") == ("labels", "b")


def test_then_a_segmenter_then_the_networks_own() -> None:
    assert choose(make_scene(("other",)), "segmenter.spec=shipped") == ("virtual", None)
    assert choose(make_scene(("other",))) == ("keep", None)
    assert choose(make_scene()) == ("keep", None)


def test_what_is_asked_for_is_done() -> None:
    assert choose(make_scene(NAMES), "refine.semantics=keep") == ("keep", None)
    assert choose(make_scene(NAMES), "refine.semantics=none") == ("none", None)
    assert choose(make_scene(NAMES), "refine.semantics=virtual", "segmenter.spec=shipped") == ("virtual", None)
    with pytest.raises(ConfigError, match=r"set refine\.semantics=keep"):
        choose(make_scene(), "refine.semantics=labels")
    with pytest.raises(ConfigError, match="virtual expects a segmenter"):
        choose(make_scene(NAMES), "refine.semantics=virtual")
    with pytest.raises(ConfigError, match="expected labels of made"):
        choose(make_scene(NAMES, b=("other",)), "data.labels=b")


def test_a_network_without_classes_has_none_to_hold() -> None:
    assert choose(make_scene(NAMES), "model.class_names=[]") == ("none", None)


def make_prediction(cells: list[list[int]], logits: list[list[float]]) -> ScenePrediction:
    values = torch.tensor(logits, requires_grad=True)
    return ScenePrediction(GRID, torch.tensor(cells), torch.zeros(len(cells)), semantic_logits=values)


def make_sample(motion: SampleMotion | None = None) -> Any:
    return SimpleNamespace(motion=motion)


def test_the_divergence_by_hand() -> None:
    kept = KeptLabels.of(make_prediction([[0, 0, 0], [1, 0, 0]], [[math.log(3), 0.0], [0.0, 0.0]]), 1.0)
    # Of two voxels one is shared: 3/4 and 1/4 against even odds.
    value, count = kept.divergence(make_prediction([[0, 0, 0], [5, 5, 5]], [[0.0, 0.0], [9.0, 0.0]]), make_sample())
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert (float(value.detach()), count) == (pytest.approx(expected), 1)


def test_it_pulls_towards_the_kept_labels_and_rests_there() -> None:
    kept = KeptLabels.of(make_prediction([[0, 0, 0]], [[2.0, 0.0]]), 1.0)
    away = make_prediction([[0, 0, 0]], [[0.0, 2.0]])
    kept.divergence(away, make_sample())[0].backward()
    gradient = away.semantic_logits.grad if away.semantic_logits is not None else None
    assert gradient is not None
    # Downhill raises the first class and lowers the second.
    assert float(gradient[0, 0]) < 0 < float(gradient[0, 1])
    same, _ = kept.divergence(make_prediction([[0, 0, 0]], [[2.0, 0.0]]), make_sample())
    assert float(same.detach()) == pytest.approx(0.0, abs=1e-7)


def test_moved_samples_are_looked_up_where_they_came_from() -> None:
    cells = [[0, 0, 0], [3, 1, 2]]
    kept = KeptLabels.of(make_prediction(cells, [[2.0, 0.0], [0.0, 2.0]]), 1.0)
    motion = SampleMotion(1, True, (5, 0, 3))
    moved = motion.coordinates(torch.tensor(cells)).tolist()
    value, count = kept.divergence(make_prediction(moved, [[2.0, 0.0], [0.0, 2.0]]), make_sample(motion))
    assert (float(value.detach()), count) == (pytest.approx(0.0, abs=1e-7), 2)


def test_nothing_shared_is_no_loss_with_a_gradient() -> None:
    kept = KeptLabels.of(make_prediction([[0, 0, 0]], [[2.0, 0.0]]), 1.0)
    value, count = kept.divergence(make_prediction([[9, 9, 9]], [[2.0, 0.0]]), make_sample())
    value.backward()
    assert (float(value.detach()), count) == (0.0, 0)
