"""Which weights, and whether they suit a scene."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sparse_s4r.checkpoint import Checkpoint
from sparse_s4r.config import load_config
from sparse_s4r.inference.weights import (
    default_weights,
    describe_weights,
    has_default_weights,
    suitability_warnings,
    trained_voxel_size,
)
from sparse_s4r.structures.errors import CheckpointError, DataError


def make_checkpoint(**made_by: object) -> Checkpoint:
    return Checkpoint(load_config(), {}, {}, 1, torch.empty(0), "ab" * 32, made_by)


def make_scene(voxel_size: float) -> Any:
    return SimpleNamespace(grid=SimpleNamespace(voxel_size=voxel_size))


def test_equal_sizes_are_fine() -> None:
    assert suitability_warnings(make_checkpoint(voxel_size=0.02), make_scene(0.02)) == ()
    assert suitability_warnings(make_checkpoint(voxel_size=0.02), make_scene(0.02 + 1e-9)) == ()
    assert suitability_warnings(make_checkpoint(), make_scene(0.02)) == ()


def test_other_sizes_are_not() -> None:
    (warning,) = suitability_warnings(make_checkpoint(voxel_size=0.02), make_scene(0.04))
    assert "trained at 2 cm voxels and the scene has 4 cm" in warning
    assert "0.5 times their size" in warning


@pytest.mark.parametrize("value", [None, "0.02", True, [0.02]])
def test_what_is_said_of_the_making_is_free(value: object) -> None:
    assert trained_voxel_size(make_checkpoint(voxel_size=value)) is None


def test_weights_are_named_with_their_digest() -> None:
    assert describe_weights(make_checkpoint(), Path("run/c.pt"), shipped=False) == "run/c.pt (sha256 abababababab)"
    shipped = describe_weights(make_checkpoint(), Path("x/rooms.safetensors"), shipped=True)
    assert shipped == "shipped rooms.safetensors (sha256 abababababab, model card docs/model-cards/rooms.md)"


def test_an_installation_without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> Path:
        raise DataError(f"{name}: none")

    monkeypatch.setattr("sparse_s4r.inference.weights.shipped_weights", none)
    assert not has_default_weights()
    with pytest.raises(CheckpointError, match="name others with --checkpoint, or train"):
        default_weights()
    monkeypatch.setattr("sparse_s4r.inference.weights.shipped_weights", lambda name: Path("w") / name)
    assert has_default_weights()
    assert default_weights() == Path("w/rooms.safetensors")
