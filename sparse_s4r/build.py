"""From configuration to objects: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from sparse_s4r.config import Config, TermConfig
from sparse_s4r.data.scene_dataset import SamplingOptions, SceneDataset
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.losses.objective import SceneLoss, Term
from sparse_s4r.models.dense_net import DenseNet
from sparse_s4r.models.scene_net import SceneNet, SceneNetShape
from sparse_s4r.render import Raycaster, select_views
from sparse_s4r.sparse.factory import expect_engine, make_voxels
from sparse_s4r.structures.errors import ConfigError


def build_network(config: Config) -> SceneNet | DenseNet:
    """The network of ``config.model`` with weights drawn from ``config.seed``.

    Raises:
        ConfigError: The classes are not resolved yet, see ``with_classes``.
        UserError: The engine is not available.
    """
    expect_engine(config.engine)
    model = config.model
    if model.class_names is None:
        raise ConfigError("model.class_names: expected names, got null; they come from the scenes")
    torch.manual_seed(config.seed)
    shape = SceneNetShape(
        widths=model.widths,
        blocks=model.blocks,
        bottleneck_blocks=model.bottleneck_blocks,
        classes=len(model.class_names),
        color_encoder=model.color_encoder,
        color_decoder=model.color_decoder,
        reach=model.reach,
        voxel_budget=model.voxel_budget,
        training_budget=model.training_budget,
        keep_observed=model.keep_observed,
        residual=model.residual,
    )
    if model.network == "dense":
        return DenseNet(shape)
    return SceneNet(shape, partial(make_voxels, config.engine))


def with_classes(config: Config, class_names: Sequence[str] | None) -> Config:
    """``config`` with the scenes' classes where it names none; scenes without labels give no semantic decoder.

    Raises:
        ConfigError: It names others than the scenes have.
    """
    found = tuple(class_names or ())
    named = config.model.class_names
    if named is None:
        return config.model_copy(update={"model": config.model.model_copy(update={"class_names": found})})
    if named and named != found:
        raise ConfigError(f"model.class_names: expected those of the scenes, {list(found)}, got {list(named)}")
    return config


def build_raycaster(config: Config) -> Raycaster:
    """The raycaster of ``config.render``."""
    render = config.render
    return Raycaster(
        render.near, render.far, render.mode, render.min_corners, render.min_cosine, render.attributes_move_surface
    )


def build_loss(config: Config) -> SceneLoss:
    """The objective of ``config.loss``."""
    loss = config.loss
    return SceneLoss(
        occupancy=_term(loss.occupancy),
        tsdf=_term(loss.tsdf),
        depth=_term(loss.depth),
        color=_term(loss.color),
        semantic=_term(loss.semantic),
        missing_weight=loss.missing_weight,
        unknown_weight=loss.unknown_weight,
        gate_voxels=loss.gate_voxels,
        lab=loss.lab,
        log_tsdf=loss.log_tsdf,
    )


def build_dataset(config: Config, scenes: Sequence[Scene]) -> SceneDataset:
    """Training samples of ``scenes`` as ``config.data`` says."""
    data = config.data
    options = SamplingOptions(
        image_width=data.image_width,
        views=data.views,
        crop=data.crop,
        holes=data.holes,
        hole_size=data.hole_size,
        view_candidates=data.view_candidates,
        min_overlap=data.min_overlap,
        seed=config.seed,
    )
    return SceneDataset(scenes, options, select_views)


def build_optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay over all weights of ``network``."""
    return torch.optim.AdamW(
        network.parameters(), lr=config.train.learning_rate, weight_decay=config.train.weight_decay
    )


def _term(term: TermConfig) -> Term:
    return Term(term.weight, term.start)
