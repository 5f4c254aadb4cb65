"""Checkpoints: configuration, weights, optimiser and step in one file that holds no code; or weights alone."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparse_s4r.build import build_network
from sparse_s4r.config import Config, make_config
from sparse_s4r.structures import Calibration
from sparse_s4r.structures.errors import CheckpointError, ConfigError
from sparse_s4r.weights_file import WEIGHTS_SUFFIX, load_weights_file

_FORMAT = "sparse_s4r checkpoint"
_VERSION = 1
_PARTS = {"version": int, "config": str, "weights": dict, "optimizer": dict, "step": int, "rng": Tensor}


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        config: Resolved configuration of the training.
        weights: State of the network.
        optimizer: State of the optimiser; empty for weights alone.
        step: Optimiser steps done.
        rng: State of torch's global generator on the CPU; empty for weights alone.
        digest: SHA-256 of the file, hexadecimal; empty before it is written.
        made_by: Where weights alone come from, see ``WeightsFile``; empty for a training's checkpoint.
        calibration: From scores to probabilities; none for a training's checkpoint.
        adversary: State of the training's discriminator; empty where there is none.
    """

    config: Config
    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    step: int
    rng: Tensor
    digest: str = ""
    made_by: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    adversary: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; ``path`` holds the old file or the whole new one at any moment."""
    content = {
        "format": _FORMAT,
        "version": _VERSION,
        "config": checkpoint.config.model_dump_json(),
        "weights": checkpoint.weights,
        "optimizer": checkpoint.optimizer,
        "step": checkpoint.step,
        "rng": checkpoint.rng,
    }
    if checkpoint.adversary:
        content["adversary"] = checkpoint.adversary
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a training's checkpoint, or a ``*.safetensors`` file of weights alone, without running any code in it.

    Raises:
        CheckpointError: No such file, not a checkpoint of this project, of a newer version, or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: expected a checkpoint file, found none")
    if path.suffix == WEIGHTS_SUFFIX:
        alone = load_weights_file(path)
        return Checkpoint(
            alone.config, alone.weights, {}, alone.step, torch.empty(0), alone.digest, alone.made_by, alone.calibration
        )
    content = _read(path)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: expected a checkpoint made by s4r train, got another kind of file")
    for name, kind in _PARTS.items():
        if not isinstance(content.get(name), kind):
            found = type(content[name]).__name__ if name in content else "nothing"
            raise CheckpointError(f"{path}: damaged checkpoint: expected {name} as {kind.__name__}, got {found}")
    if content["version"] > _VERSION:
        raise CheckpointError(
            f"{path}: expected version {_VERSION} or older, got {content['version']}; update sparse_s4r"
        )
    try:
        config = make_config(json.loads(content["config"]), source=f"{path}: config")
    except (ConfigError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{error}; the checkpoint is damaged or of another version of sparse_s4r") from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    adversary = content.get("adversary", {})
    if not isinstance(adversary, dict):
        raise CheckpointError(f"{path}: damaged checkpoint: expected adversary as dict, got {type(adversary).__name__}")
    return Checkpoint(
        config,
        content["weights"],
        content["optimizer"],
        content["step"],
        content["rng"],
        digest,
        adversary=adversary,
    )


def _read(path: Path) -> Any:
    """What ``path`` holds, tensors and numbers alone, whatever the file says; CheckpointError if it is damaged."""
    try:
        # torch does not look at the archive's checksums.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a readable checkpoint, it may be truncated: {error}") from error


def expect_training_state(checkpoint: Checkpoint) -> None:
    """Refuse to resume a training from weights alone.

    Raises:
        CheckpointError: The checkpoint holds neither optimiser nor generator.
    """
    if not checkpoint.optimizer or not len(checkpoint.rng):
        raise CheckpointError(
            "expected the checkpoint of a training to resume, got weights alone, without optimiser; start a new "
            "training from them with --init"
        )


def restore_network(
    checkpoint: Checkpoint, engine: str | None = None, keep_probability: float | None = None
) -> nn.Module:
    """The checkpoint's network in evaluation mode.

    Args:
        checkpoint: From ``load_checkpoint``.
        engine: Sparse engine to run on instead of the one it was trained on.
        keep_probability: Occupancy probability from which cells are kept, instead of the configuration's.

    Raises:
        CheckpointError: The weights do not fit the network of its configuration.
        ConfigError: No such engine, or a probability outside (0, 1).
    """
    values = checkpoint.config.model_dump(mode="json")
    if engine is not None:
        values["engine"] = engine
    if keep_probability is not None:
        values["model"]["keep_probability"] = keep_probability
    config = make_config(values, source=f"engine {engine}, keep_probability {keep_probability}")
    network = build_network(config)
    load_weights(network, checkpoint.weights)
    return network.eval()


def load_weights(network: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load ``weights`` strictly.

    Raises:
        CheckpointError: Names or shapes differ; nothing of the network is changed then.
    """
    expected = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    foreign = sorted(weights.keys() - expected.keys())
    reshaped = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & weights.keys())
        if weights[name].shape != expected[name].shape
    ]
    if missing or foreign or reshaped:
        raise CheckpointError(
            "checkpoint of another model: "
            f"{len(missing)} weights missing {missing[:3]}, {len(foreign)} unknown {foreign[:3]}, "
            f"{len(reshaped)} of another shape {reshaped[:3]}; use the configuration it was trained with"
        )
    network.load_state_dict(weights)
