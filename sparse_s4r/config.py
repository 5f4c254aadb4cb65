"""Every knob of an experiment, with its unit and its reason; files are YAML, unknown keys are errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from sparse_s4r.config_files import Section, expect_known, merged, override, read_values
from sparse_s4r.config_loss import LossConfig
from sparse_s4r.structures.errors import ConfigError


class ModelConfig(Section):
    """The network."""

    network: Literal["sparse", "dense"] = "sparse"
    """sparse: SceneNet on near-surface voxels; dense: the paper's network, the baseline: chunks of data.crop to train,
    64x64x128 voxels to predict."""
    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=5, max_length=5)] = (
        16,
        32,
        64,
        96,
        128,
    )
    """Channels at strides 1, 2, 4, 8, 16; the paper prints only the last."""
    blocks: Annotated[int, Field(ge=1)] = 1
    """Residual blocks per level."""
    bottleneck_blocks: Annotated[int, Field(ge=0)] = 2
    """Residual blocks after the fusion at stride 16."""
    class_names: tuple[str, ...] | None = None
    """Classes of the semantic decoder, in the order of the labels; null: taken from the scenes; []: no semantics."""
    color_encoder: bool = True
    """Whether colour goes in."""
    color_decoder: bool = True
    """Whether colour comes out."""
    reach: Annotated[int, Field(ge=0)] = 2
    """Cells of 16 voxels around observed surface in which surface may appear."""
    voxel_budget: Annotated[int, Field(ge=4096)] = 8_000_000
    """Most candidate cells that a level of the decoder generates: bounds memory, highest logits first."""
    training_budget: Annotated[int, Field(ge=4096)] = 2_000_000
    """The same while training, when wrong guesses are many and activations are kept for the gradient."""
    keep_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Occupancy probability from which a cell is kept when predicting; lower finds more and guesses more. Training
    keeps one half."""
    keep_observed: bool = True
    """Never drop a voxel that the scan has; off lets the network remove what it takes for noise."""
    residual: bool = True
    """Predict tsdf and, with the colour encoder, colour as a change of the scan's where it has a voxel; the paper
    predicts them anew."""
    use_free_space: bool = True
    """Generate nothing where the input's frames saw free space."""


class RenderConfig(Section):
    """The raycaster in training; pictures and figures are rendered from 0.1 to 10 m in the exact mode."""

    near: Annotated[float, Field(gt=0)] = 0.1
    """Start of the search, metres of z-depth."""
    far: Annotated[float, Field(gt=0)] = 10.0
    """End of the search, metres of z-depth."""
    mode: Literal["exact", "spsg"] = "exact"
    """The true derivatives; or SPSG's nearest voxel and mean gradient, to compare with."""
    min_corners: Annotated[int, Field(ge=5, le=8)] = 6
    """Corners of a cell that must be present for it to hold surface; 8 is SPSG's rule."""
    min_cosine: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Smallest slope along a ray that the depth gradient divides by: grazing rays count at most 1 / min_cosine."""
    attributes_move_surface: bool = False
    """Let colour, semantics and normals move the surface too."""

    @model_validator(mode="after")
    def _ordered(self) -> RenderConfig:
        if self.near >= self.far:
            raise ValueError(f"expected near < far, got {self.near} and {self.far}")
        return self


class AugmentConfig(Section):
    """Changes of a sample that leave its scene as possible as before; all off, a scene is shown as it stands.

    On for weights that are to serve rooms never seen; off to fit one capture, which is predicted as it stands.
    """

    rotate: bool = False
    """Turn the scene by a random multiple of 90 degrees about up."""
    mirror: bool = False
    """Exchange left and right in half of the samples."""
    shift: bool = False
    """Move the scene by 0 to 15 voxels per axis, so that coarse cells hold other voxels."""
    color: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Strength of random gains per channel, brightness, contrast and gamma: 0.1 changes each by up to a tenth."""


class VirtualConfig(Section):
    """Virtual views: cameras beside the real ones, whose rendered pictures the segmenter labels in training."""

    pool: Annotated[int, Field(ge=1)] = 16
    """Views drawn per scene, once."""
    views: Annotated[int, Field(ge=1)] = 1
    """Views per sample and step, of those in the pool that see the sample."""
    width: Annotated[int, Field(ge=16)] = 320
    """Width of the pictures, pixels."""
    height: Annotated[int, Field(ge=16)] = 256
    """Height of the pictures, pixels."""
    field_of_view: Annotated[float, Field(ge=30, le=150)] = 95.0
    """Horizontal, degrees; real cameras have about 60, and a segmenter lacks context in their close-ups."""
    min_overlap: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Least share of a view's surface that lies inside a crop; the rest of the picture is the target scan."""
    min_hits: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Least share of pixels that see the target scan."""


class SegmenterConfig(Section):
    """The 2D segmenter of virtual views."""

    spec: str | None = None
    """shipped, shipped:WEIGHTS, mseg:CHECKPOINT or hf:NAME_OR_FOLDER; null: none, and no virtual views."""
    taxonomy: str = "matterport11"
    """Classes that it is asked for, a shipped taxonomy or a file; those of the scenes' labels."""
    label_map: Path | None = None
    """From its own classes to the taxonomy; null: the shipped one."""


class DataConfig(Section):
    """What a training step sees."""

    crop: Annotated[float, Field(gt=0)] | None = None
    """Edge of a random crop in x and y, metres, full height; null: whole scenes."""
    image_width: Annotated[int, Field(ge=16)] = 320
    """Width of the views compared with, pixels; the paper has 320x256."""
    views: Annotated[int, Field(ge=1)] = 1
    """Views per step."""
    view_candidates: Annotated[int, Field(ge=1)] = 5
    """A crop's views are drawn from this many with most overlap (paper: 5)."""
    holes: Annotated[int, Field(ge=0)] = 2
    """Boxes cut out of each sample's input, besides the dropped frames: more to complete per step. 0: none."""
    hole_size: Annotated[float, Field(gt=0)] = 0.8
    """Largest edge of such a box, metres."""
    min_overlap: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Least share of a view's depth samples near the crop's surface (paper: 5 %); else the best one serves."""
    input_variants: Annotated[int, Field(ge=0)] = 0
    """Inputs per scene, each fused from a random part of the training frames; 0: the scene's own input scan."""
    keep: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=2, max_length=2)] = (0.2, 0.6)
    """Least and largest share of the training frames in such an input."""
    keep_mode: Literal["random", "block", "mixed"] = "mixed"
    """Frames left out: random single ones; runs of the capture, as when a region is missed; or either."""
    scene_repeat: Annotated[int, Field(ge=1)] = 4
    """Consecutive steps that take their samples from one scene (one per place in the batch): decoded once."""
    prefetch: Annotated[int, Field(ge=0)] = 1
    """Batches made ahead in the background; 0: each when it is needed. Changes no result."""
    cache: Annotated[float, Field(gt=0)] = 2.0
    """Memory for decoded scans and frames, GiB: those of the scenes used last stay."""
    labels: str | None = None
    """Label set of the scenes, made by s4r label, to learn from; null: the labels that they were imported with."""
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _keep_ordered(self) -> DataConfig:
        if self.keep[0] > self.keep[1]:
            raise ValueError(f"expected keep to rise, got {self.keep[0]} and {self.keep[1]}")
        return self


class TrainConfig(Section):
    """The training loop."""

    steps: Annotated[int, Field(ge=1)] = 2000
    """Optimiser steps."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak rate of Adam."""
    warmup: Annotated[int, Field(ge=0)] = 20
    """Steps over which the rate rises from 0."""
    schedule: Annotated[str, Field(pattern="^(constant|cosine)$")] = "cosine"
    """After the warm-up: constant, or falling to 2 % along a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay."""
    clip_norm: Annotated[float, Field(gt=0)] = 5.0
    """Gradients of a larger norm are scaled down to it."""
    guide_steps: Annotated[int, Field(ge=0)] = 500
    """Steps during which the target's cells are kept at every level besides the predicted ones."""
    batch: Annotated[int, Field(ge=1)] = 1
    """Samples that the network is given together; batch normalisation sees all of them."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are averaged for one optimiser step: a larger batch in the memory of a smaller one."""
    checkpoint_activations: bool = False
    """Keep only what goes in and out of each level, and compute the rest again for the gradient: less memory, a
    longer step, the same result. Sparse network only."""
    coarse_steps: Annotated[int, Field(ge=0)] = 0
    """First steps in which the decoder ends at coarse_stride: several times quicker, and where surface may be at all is
    decided there. Sparse network only; terms of voxels and views do not count in them."""
    coarse_stride: Literal[2, 4, 8] = 4
    """Voxels per cell of the finest level in the coarse steps."""
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    """Lightning Fabric's name of the arithmetic."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints."""
    log_every: Annotated[int, Field(ge=1)] = 10
    """Steps between scalars in TensorBoard."""
    image_every: Annotated[int, Field(ge=1)] = 200
    """Steps between pictures in TensorBoard."""


class RefineConfig(Section):
    """Going on with trained weights on one scan, s4r refine; the rest is as in the weights' own configuration."""

    steps: Annotated[int, Field(ge=1)] = 300
    """Most optimiser steps, instead of train.steps."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Constant rate after ten steps of warm-up, instead of train.learning_rate."""
    every: Annotated[int, Field(ge=1)] = 25
    """Steps between scores on the frames that choose."""
    patience: Annotated[int, Field(ge=1)] = 4
    """Scores in a row without a better one, after which it ends."""
    choosing: Annotated[int, Field(ge=1)] = 8
    """Most frames that choose; evenly spaced."""
    semantics: Literal["auto", "labels", "virtual", "keep", "none"] = "auto"
    """What holds the labels: the scene's labels (data.labels), the segmenter on virtual views, the starting network's
    own predictions, nothing; auto: the first of these that there is."""
    keep_weight: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the divergence from the starting network's labels, when these hold them."""
    freeze_norm: bool = True
    """Normalise with the statistics of the first training; off: with those of each sample, which also become the
    prediction's."""


class Config(Section):
    """Everything that, with the scenes, determines a training."""

    engine: Literal["builtin", "dense-masked", "minkowski"] = "builtin"
    """Sparse engine; weights trained on one serve the others. dense-masked: the slow reference, small scenes only;
    minkowski: the real MinkowskiEngine, after `make minkowski`."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of weights and of every choice made in training."""
    model: ModelConfig = ModelConfig()
    render: RenderConfig = RenderConfig()
    loss: LossConfig = LossConfig()
    virtual: VirtualConfig = VirtualConfig()
    segmenter: SegmenterConfig = SegmenterConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    refine: RefineConfig = RefineConfig()


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Args:
        path: YAML file, whose key ``base`` may name another file to build on; None: all defaults.
        overrides: ``section.key=value`` in YAML notation, applied in order.

    Raises:
        ConfigError: Missing or malformed file, unknown key (the nearest one is named), or a value that does not fit.
    """
    values = {} if path is None else read_values(path, Config)
    override(values, overrides)
    return make_config(values, source=str(path) if path else "--set")


def merge_config(base: Config, path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """``base`` with what a file and then ``overrides`` say differently.

    Args:
        base: Configuration that some weights were trained with.
        path: YAML file with the keys to change; None: none.
        overrides: ``section.key=value``.

    Raises:
        ConfigError: As in ``load_config``.
    """
    values = base.model_dump(mode="json")
    if path is not None:
        values = merged(values, read_values(path, Config))
    override(values, overrides)
    return make_config(values, source=str(path) if path else "--set")


def make_config(values: Mapping[str, Any], source: str) -> Config:
    """Check nested ``values``, as they come from YAML or JSON, and make a configuration of them.

    Raises:
        ConfigError: As in ``load_config``; messages start with ``source``.
    """
    expect_known(Config, values, "", source)
    # On top of all defaults: a term of the loss of which only the weight is given keeps its own start.
    complete = merged(Config().model_dump(mode="json"), values)
    try:
        return Config.model_validate(complete)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            lines.append(f"{key}: {item['msg'].removeprefix('Value error, ')}, got {item['input']!r}")
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as YAML that ``load_config`` reads back."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
