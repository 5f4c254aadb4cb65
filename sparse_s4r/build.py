"""From configuration to objects: the only place that knows both."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from sparse_s4r.config import Config
from sparse_s4r.config_loss import TermConfig
from sparse_s4r.data.input_variants import VariantOptions
from sparse_s4r.data.scene_dataset import Augmentation, SamplingOptions, SceneDataset
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.losses.objective import SceneLoss, Term
from sparse_s4r.losses.perceptual import Features
from sparse_s4r.losses.vgg import load_vgg_features
from sparse_s4r.models.dense_net import DenseNet
from sparse_s4r.models.discriminator import PatchDiscriminator
from sparse_s4r.models.scene_net import SceneNet, SceneNetShape
from sparse_s4r.render import Raycaster, VirtualViewOptions, select_views
from sparse_s4r.segmentation.catalog import make_image_segmenter
from sparse_s4r.segmentation.interface import ImageSegmenter
from sparse_s4r.segmentation.room_features import shipped_room_features
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.sparse.factory import expect_engine, make_voxels
from sparse_s4r.structures.errors import ConfigError

# Colours and normals of the input scan, and the colours that are judged.
_JUDGED_CHANNELS = 9


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
        keep_probability=model.keep_probability,
    )
    if model.network == "dense":
        if config.train.checkpoint_activations:
            raise ConfigError("train.checkpoint_activations: expected false with model.network: dense, got true")
        return DenseNet(shape)
    return SceneNet(shape, partial(make_voxels, config.engine), config.train.checkpoint_activations)


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
    """The objective of ``config.loss``, without the network of the perceptual term, see ``build_features``."""
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
        virtual=_term(loss.virtual),
        semantic_3d=_term(loss.semantic_3d),
        lifted=_term(loss.lifted),
        adversarial=_term(loss.adversarial),
        perceptual=_term(loss.perceptual),
        min_confidence=loss.min_confidence,
        supervision=loss.supervision,
    )


def build_discriminator(config: Config) -> PatchDiscriminator | None:
    """The discriminator of rendered colour, weights drawn from ``config.seed``; None where that term is off.

    The global generator is left as it was.

    Raises:
        ConfigError: The network has no colour decoder.
    """
    if config.loss.adversarial.weight == 0:
        return None
    _expect_pictures(config, "adversarial")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return PatchDiscriminator(_JUDGED_CHANNELS)


def build_features(config: Config, device: torch.device | str) -> Features | None:
    """The network of the perceptual term, which learns nothing; None where that term is off.

    Raises:
        ConfigError: No weights are named, or the network has no colour decoder.
        DataError: The file named is not of VGG19's weights.
    """
    term = config.loss.perceptual
    if term.weight == 0:
        return None
    _expect_pictures(config, "perceptual")
    if term.weights is None:
        raise ConfigError(
            "loss.perceptual.weights: expected shipped, or a file with the state dict of torchvision's vgg19, got null"
        )
    if term.weights == "shipped":
        return shipped_room_features(device)
    return load_vgg_features(Path(term.weights)).to(device)


def _expect_pictures(config: Config, term: str) -> None:
    if not config.model.color_decoder:
        raise ConfigError(
            f"loss.{term}.weight: expected 0 for a network without a colour decoder, whose pictures have no colour"
        )


def build_virtual_options(config: Config) -> VirtualViewOptions:
    """The virtual cameras of ``config.virtual``, as far as the raycaster sees.

    Raises:
        ConfigError: Numbers that make no camera.
    """
    virtual = config.virtual
    try:
        return VirtualViewOptions(
            width=virtual.width,
            height=virtual.height,
            field_of_view=virtual.field_of_view,
            min_hits=virtual.min_hits,
            far=config.render.far,
            check_width=min(virtual.width, VirtualViewOptions.check_width),
        )
    except ValueError as error:
        raise ConfigError(f"virtual: {error}") from error


def build_segmenter(config: Config, device: torch.device | str) -> ImageSegmenter | None:
    """The segmenter that labels virtual views; None where that term is off or no segmenter is named.

    Raises:
        ConfigError: The network makes no pictures or no classes to compare, or has others than the segmenter.
        DataError: No such taxonomy, segmenter or label map.
    """
    spec, model = config.segmenter.spec, config.model
    if spec is None or config.loss.virtual.weight == 0:
        return None
    if not model.color_decoder or not model.class_names:
        lacks = "classes" if model.color_decoder else "a colour decoder"
        raise ConfigError(
            f"segmenter.spec: expected null for a network without {lacks}, got {spec!r}: it labels the rendered "
            "colour of virtual views for the semantic decoder; set segmenter.spec=null"
        )
    names = load_taxonomy(config.segmenter.taxonomy).class_names
    if names != model.class_names:
        raise ConfigError(
            f"segmenter.taxonomy: expected the model's classes, {list(model.class_names)}, got those of "
            f"{config.segmenter.taxonomy}, {list(names)}; name the taxonomy of the scenes' labels, or set "
            "segmenter.spec=null"
        )
    return make_image_segmenter(spec, config.segmenter.taxonomy, config.segmenter.label_map, device)


def build_dataset(config: Config, scenes: Sequence[Scene]) -> SceneDataset:
    """Training samples of ``scenes`` as ``config.data`` says."""
    data = config.data
    low, high = data.keep
    options = SamplingOptions(
        image_width=data.image_width,
        views=data.views,
        crop=data.crop,
        holes=data.holes,
        hole_size=data.hole_size,
        view_candidates=data.view_candidates,
        min_overlap=data.min_overlap,
        seed=config.seed,
        scene_repeat=data.scene_repeat,
        variants=VariantOptions(data.input_variants, (low, high), data.keep_mode),
        augmentation=Augmentation(data.augment.rotate, data.augment.mirror, data.augment.shift, data.augment.color),
        labels=data.labels,
        memory=data.cache * 2**30,
        truth=build_loss(config).needs_truth,
        lifted=config.loss.lifted.weight > 0,
    )
    return SceneDataset(scenes, options, select_views)


def build_optimizer(config: Config, network: nn.Module) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay over all weights of ``network``."""
    return torch.optim.AdamW(
        network.parameters(), lr=config.train.learning_rate, weight_decay=config.train.weight_decay
    )


def _term(term: TermConfig) -> Term:
    return Term(term.weight, term.start)
