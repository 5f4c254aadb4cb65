"""Weights on disk without the state of their training: a safetensors file that says what it is, and holds no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_s4r.config import Config, make_config
from sparse_s4r.structures import Calibration
from sparse_s4r.structures.errors import CheckpointError, ConfigError

WEIGHTS_SUFFIX = ".safetensors"
_FORMAT = "sparse_s4r weights"
_VERSION = 1
_REMEDY = "take the file from its source again"


@dataclass(frozen=True)
class WeightsFile:
    """What a weights file holds; docs/weights.md.

    Attributes:
        config: Resolved configuration of the training.
        weights: State of the network, float32 after reading.
        step: Optimiser steps done.
        made_by: Where the weights come from, JSON values: ``voxel_size`` (metres) of the scenes trained on, and
            whatever the maker wants to say.
        calibration: From scores to probabilities.
        digest: SHA-256 of the file, hexadecimal; empty before it is written.
        half: Matrices are stored as float16; statistics and biases always as float32. A file that is read and written
            again keeps its size.
    """

    config: Config
    weights: dict[str, Tensor]
    step: int
    made_by: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    digest: str = ""
    half: bool = False


def save_weights_file(content: WeightsFile, path: Path) -> None:
    """Write a weights file; ``path`` holds the old file or the whole new one at any moment.

    Args:
        content: What to write.
        path: Its name ends in ``.safetensors``.

    Raises:
        CheckpointError: Another ending, ``made_by`` that is no JSON, or weights that are not finite as stored.
    """
    if path.suffix != WEIGHTS_SUFFIX:
        raise CheckpointError(f"{path}: expected a name that ends in {WEIGHTS_SUFFIX}, by which it is recognised")
    tensors = {name: _stored(value, content.half) for name, value in content.weights.items()}
    _expect_finite(path, tensors)
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file(tensors, partial, _metadata(path, content, tensors))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_weights_file(path: Path) -> WeightsFile:
    """Read a weights file to the CPU.

    Raises:
        CheckpointError: No such file, not one of this project, of a newer version, truncated or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a weights file, found none")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable weights file, it may be truncated: {error}; {_REMEDY}"
        ) from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path}: expected weights made by tools/export_weights.py or s4r refine, got another kind of file"
        )
    return _assemble(path, metadata, tensors)


def _assemble(path: Path, metadata: dict[str, str], tensors: dict[str, Tensor]) -> WeightsFile:
    try:
        version, step = int(metadata["version"]), int(metadata["step"])
        if version > _VERSION:
            raise CheckpointError(f"{path}: expected version {_VERSION} or older, got {version}; update sparse_s4r")
        if metadata["tensors_sha256"] != _tensors_digest(tensors):
            raise CheckpointError(f"{path}: damaged weights file: wrong checksum of the tensors; {_REMEDY}")
        made_by = json.loads(metadata["made_by"])
        if not isinstance(made_by, dict):
            raise TypeError(f"made_by: expected an object, got {made_by!r:.40}")
        calibration = Calibration(**json.loads(metadata["calibration"]))
        config = make_config(json.loads(metadata["config"]), source=f"{path}: config")
    except ConfigError as error:
        raise CheckpointError(f"{error}; the file is damaged or of another version of sparse_s4r") from error
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged weights file: {type(error).__name__}: {error} in its metadata; {_REMEDY}"
        ) from error
    _expect_finite(path, tensors)
    weights = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    half = any(value.dtype == torch.float16 for value in tensors.values())
    return WeightsFile(config, weights, step, made_by, calibration, digest, half)


def _metadata(path: Path, content: WeightsFile, tensors: dict[str, Tensor]) -> dict[str, str]:
    try:
        made_by = json.dumps(dict(content.made_by), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: made_by: expected JSON values: {error}") from error
    return {
        "format": _FORMAT,
        "version": str(_VERSION),
        "config": content.config.model_dump_json(),
        "class_names": json.dumps(content.config.model.class_names or ()),
        "step": str(content.step),
        "calibration": json.dumps(asdict(content.calibration)),
        "made_by": made_by,
        "tensors_sha256": _tensors_digest(tensors),
    }


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    # Of vectors there are few numbers, and running variances exceed what float16 holds.
    return value.half() if half and value.is_floating_point() and value.dim() > 1 else value


def _expect_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise CheckpointError(
            f"{path}: expected finite weights, got others in {broken[:3]}; export an earlier checkpoint, or in float32"
        )


def _tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names; safetensors has no checksums."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(value.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
