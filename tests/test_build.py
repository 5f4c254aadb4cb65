"""From configuration to objects."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import sparse_s4r.build
from sparse_s4r.build import (
    build_loss,
    build_network,
    build_optimizer,
    build_raycaster,
    build_segmenter,
    build_virtual_options,
    with_classes,
)
from sparse_s4r.config import Config, load_config
from sparse_s4r.losses.objective import Term
from sparse_s4r.models.dense_net import DenseNet
from sparse_s4r.models.scene_net import SceneNet
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures.errors import ConfigError, DataError, UserError

SMALL = "model.widths=[2, 3, 4, 5, 6]"


def config_of(*settings: str) -> Config:
    return load_config(None, [SMALL, *settings])


def test_classes_come_from_the_scenes_when_none_are_named() -> None:
    assert with_classes(config_of(), ("wall", "floor")).model.class_names == ("wall", "floor")
    assert with_classes(config_of(), None).model.class_names == ()


def test_an_empty_list_of_classes_leaves_semantics_out() -> None:
    config = with_classes(config_of("model.class_names=[]"), ("wall", "floor"))
    assert config.model.class_names == ()
    network = build_network(config)
    assert isinstance(network, SceneNet)
    assert network.semantic_decoder is None


def test_named_classes_must_be_those_of_the_scenes() -> None:
    config = config_of("model.class_names=[wall, floor]")
    assert with_classes(config, ("wall", "floor")) == config
    for other in (("floor", "wall"), ("wall",), None):
        with pytest.raises(
            ConfigError, match=r"model\.class_names: expected those of the scenes.*got \['wall', 'floor'\]"
        ):
            with_classes(config, other)


def test_networks_need_resolved_classes() -> None:
    with pytest.raises(ConfigError, match=r"model\.class_names: expected names, got null"):
        build_network(config_of())


def test_networks_follow_the_configuration() -> None:
    sparse = build_network(config_of("model.class_names=[a, b, c]", "model.color_encoder=false", "model.reach=3"))
    assert isinstance(sparse, SceneNet)
    assert sparse.color_encoder is None
    assert sparse.color_decoder is not None
    assert (sparse.shape.classes, sparse.shape.widths, sparse.shape.reach) == (3, (2, 3, 4, 5, 6), 3)
    dense = build_network(config_of("model.class_names=[a]", "model.network=dense"))
    assert isinstance(dense, DenseNet)


def test_weights_follow_from_the_seed() -> None:
    first, again, other = (
        build_network(config_of("model.class_names=[a]", f"seed={seed}")).state_dict() for seed in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_objective_follows_the_configuration() -> None:
    loss = build_loss(
        config_of("loss.tsdf={weight: 3, start: 4}", "loss.gate_voxels=2.5", "loss.lab=false", "loss.missing_weight=9")
    )
    assert loss.tsdf == Term(3.0, 4)
    assert loss.depth == Term(1.0, 100)
    assert (loss.gate_voxels, loss.lab, loss.log_tsdf, loss.missing_weight) == (2.5, False, True, 9.0)


def test_the_newer_terms_follow_the_configuration() -> None:
    settings = ("loss.virtual={weight: 2, start: 7}", "loss.semantic_3d.weight=3", "loss.supervision=truth")
    loss = build_loss(config_of(*settings, "loss.min_confidence=0.4"))
    assert (loss.virtual, loss.semantic_3d) == (Term(2.0, 7), Term(3.0))
    assert (loss.supervision, loss.min_confidence) == ("truth", 0.4)
    assert not build_loss(config_of()).needs_truth


def test_virtual_cameras_follow_the_configuration() -> None:
    options = build_virtual_options(
        config_of("virtual.width=40", "virtual.height=30", "virtual.field_of_view=80", "virtual.min_hits=0.3")
    )
    assert (options.width, options.height, options.field_of_view, options.min_hits) == (40, 30, 80.0, 0.3)
    assert options.check_width <= 40
    with pytest.raises(ConfigError, match=r"virtual: VirtualViewOptions\.min_median_depth"):
        build_virtual_options(config_of("render.far=0.5"))


CLASSES = load_taxonomy("structure").class_names
SEGMENTS = ("segmenter.spec=shipped", "segmenter.taxonomy=structure")


def test_the_segmenter_follows_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    monkeypatch.setattr(sparse_s4r.build, "make_image_segmenter", lambda *parts: given.append(parts) or "segmenter")
    config = with_classes(config_of(*SEGMENTS, "segmenter.label_map=map.yaml"), CLASSES)
    assert build_segmenter(config, "cpu") == "segmenter"
    assert given == [("shipped", "structure", Path("map.yaml"), "cpu")]
    for setting in ("segmenter.spec=null", "loss.virtual.weight=0"):
        assert build_segmenter(with_classes(config_of(*SEGMENTS, setting), CLASSES), "cpu") is None
    assert len(given) == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "model.color_decoder=false",
            "segmenter.spec: expected null for a network without a colour decoder, got 'shipped'",
        ),
        ("model.class_names=[]", "segmenter.spec: expected null for a network without classes"),
        (
            "segmenter.taxonomy=matterport11",
            r"segmenter\.taxonomy: expected the model's classes, \[.*got those of matt",
        ),
    ],
)
def test_a_segmenter_that_does_not_fit_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_segmenter(with_classes(config_of(*SEGMENTS, setting), CLASSES), "cpu")


def test_an_unknown_taxonomy_is_named() -> None:
    config = with_classes(config_of(*SEGMENTS, "segmenter.taxonomy=mine"), CLASSES)
    with pytest.raises(DataError, match="taxonomy mine: expected one of"):
        build_segmenter(config, "cpu")


def test_the_raycaster_follows_the_configuration() -> None:
    raycaster = build_raycaster(
        config_of("render.near=0.5", "render.far=7", "render.mode=spsg", "render.min_corners=8")
    )
    assert (raycaster.near, raycaster.far, raycaster.mode, raycaster.min_corners) == (0.5, 7.0, "spsg", 8)


def test_the_optimiser_has_all_weights() -> None:
    config = config_of("model.class_names=[a]", "train.learning_rate=0.02", "train.weight_decay=0.1")
    network = build_network(config)
    (group,) = build_optimizer(config, network).param_groups
    assert (group["lr"], group["weight_decay"]) == (0.02, 0.1)
    assert len(group["params"]) == len(list(network.parameters()))


def test_an_engine_that_is_not_there_is_refused_before_anything_is_made(without_minkowski: None) -> None:
    config = with_classes(load_config(None, ["engine=minkowski"]), ())
    with pytest.raises(UserError, match=r"minkowski.*not installed.*make minkowski"):
        build_network(config)
