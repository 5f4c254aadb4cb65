"""Every knob of an experiment, with its unit and its reason; files are YAML, unknown keys are errors."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from sparse_s4r.structures.errors import ConfigError


class Section(BaseModel):
    """A part of the configuration: frozen, no unknown keys, finite numbers, defaults checked like given values."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, protected_namespaces=(), allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python takes true for 1; ``steps: yes`` is a mistake all the same."""
        if isinstance(value, bool) and cls.model_fields[info.field_name or ""].annotation is not bool:
            raise ValueError("expected another type than a truth value")
        return value


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
    keep_observed: bool = True
    """Never drop a voxel that the scan has; off lets the network remove what it takes for noise."""
    residual: bool = True
    """Predict tsdf and colour as a change of the scan's where it has a voxel; the paper predicts them anew."""
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


class TermConfig(Section):
    """One term of the loss."""

    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor in the sum; 0 switches the term off."""
    start: Annotated[int, Field(ge=0)] = 0
    """First step at which the term counts."""


class LossConfig(Section):
    """The objective."""

    occupancy: TermConfig = TermConfig()
    """Binary cross-entropy of every level's occupancy."""
    tsdf: TermConfig = TermConfig()
    """L1 of the signed distance; of unseen voxels with unknown_weight."""
    depth: TermConfig = TermConfig(start=100)
    """L1 of rendered depth, metres; starts when there is a surface to render."""
    color: TermConfig = TermConfig(start=100)
    """L1 of rendered colour."""
    semantic: TermConfig = TermConfig(start=100)
    """Cross-entropy of rendered semantics against labels of real views."""
    missing_weight: Annotated[float, Field(ge=1)] = 5.0
    """Weight of target surface that the input lacks; SPSG's value."""
    unknown_weight: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Weight of space that no frame saw, as empty; at 0 nothing holds back what is generated behind walls."""
    gate_voxels: Annotated[float, Field(gt=0)] = 3.0
    """Depth difference up to which a pixel's colour and label count: beyond, the ray met another surface."""
    lab: bool = True
    """Compare colour in Lab, as SPSG; false: RGB."""
    log_tsdf: bool = True
    """Compare log-transformed distances, as SG-NN and SPSG."""


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
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    """Lightning Fabric's name of the arithmetic."""
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    """Steps between checkpoints."""
    log_every: Annotated[int, Field(ge=1)] = 10
    """Steps between scalars in TensorBoard."""
    image_every: Annotated[int, Field(ge=1)] = 200
    """Steps between pictures in TensorBoard."""


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
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Args:
        path: YAML file; None: all defaults.
        overrides: ``section.key=value`` in YAML notation, applied in order.

    Raises:
        ConfigError: Missing or malformed file, unknown key (the nearest one is named), or a value that does not fit.
    """
    values = {} if path is None else _read_yaml(path)
    override(values, overrides)
    return make_config(values, source=str(path) if path else "--set")


def override(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set ``section.key=value`` in nested ``values``, in place.

    Raises:
        ConfigError: No ``=``, a value that is no YAML, or a key below a plain value.
    """
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise ConfigError(f"--set {text}: expected key=value, e.g. train.steps=500")
        _assign(values, key.strip(), _parse(f"--set {text}", value))


def make_config(values: Mapping[str, Any], source: str) -> Config:
    """Check nested ``values``, as they come from YAML or JSON, and make a configuration of them.

    Raises:
        ConfigError: As in ``load_config``; messages start with ``source``.
    """
    _expect_known(Config, values, "", source)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            lines.append(f"{key}: {item['msg'].removeprefix('Value error, ')}, got {item['input']!r}")
        raise ConfigError(f"{source}: " + "; ".join(lines)) from error


def save_config(config: Config, path: Path) -> None:
    """Write the resolved configuration as YAML that ``load_config`` reads back."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"{path}: expected a configuration file, found none")
    values = _parse(str(path), path.read_bytes())
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections with keys, got {type(values).__name__}")
    return values


def _parse(source: str, text: str | bytes) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: a date that is none, bytes that are no text.
        raise ConfigError(f"{source}: not valid YAML: {error}") from error


def _assign(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {key}: {parent} is a value, not a section")
        values = inner
    values[last] = value


def _expect_known(section: type[BaseModel], values: Any, prefix: str, source: str) -> None:
    """Unknown keys are found here, and not by pydantic, to name the nearest known one."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source}: {prefix.rstrip('.') or 'the file'}: expected a section with keys, got {values!r}")
    for key, value in values.items():
        field = section.model_fields.get(str(key))
        if field is None:
            near = difflib.get_close_matches(str(key), section.model_fields, n=1, cutoff=0.0)
            raise ConfigError(f"{source}: unknown key {prefix}{key}; did you mean {prefix}{near[0]}?")
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if _is_section(kind)]
        if inner:
            _expect_known(inner[0], value, f"{prefix}{key}.", source)


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
