"""Which weights to predict with when none are named, and whether they suit a scene."""

from __future__ import annotations

from pathlib import Path

from sparse_s4r.checkpoint import Checkpoint
from sparse_s4r.data.scene_format import Scene
from sparse_s4r.structures import SparseTSDF
from sparse_s4r.structures.errors import CheckpointError, DataError
from sparse_s4r.weights import shipped_weights

ROOMS_WEIGHTS = "rooms.safetensors"
ROOMS_CARD = "docs/model-cards/rooms.md"
# Voxel sizes that differ by less are taken for equal.
_SAME_SIZE = 0.01


def default_weights() -> Path:
    """The shipped weights for rooms.

    Raises:
        CheckpointError: This installation has none.
    """
    try:
        return shipped_weights(ROOMS_WEIGHTS)
    except DataError as error:
        raise CheckpointError(
            f"{ROOMS_WEIGHTS}: this installation comes without these weights; name others with --checkpoint, or train "
            "some on the scene itself: s4r train --config configs/capture.yaml --scenes SCENE --out RUN"
        ) from error


def has_default_weights() -> bool:
    """Whether this installation comes with the weights for rooms."""
    try:
        default_weights()
    except CheckpointError:
        return False
    return True


def describe_weights(checkpoint: Checkpoint, path: Path, shipped: bool) -> str:
    """Which weights these are, in a line for the user."""
    digest = f"sha256 {checkpoint.digest[:12]}"
    if not shipped:
        return f"{path} ({digest})"
    card = str(checkpoint.made_by.get("model_card", ROOMS_CARD))
    return f"shipped {path.name} ({digest}, model card {card})"


def trained_voxel_size(checkpoint: Checkpoint) -> float | None:
    """Voxel size of the scenes that weights were trained on, metres; None where they do not say it."""
    value = checkpoint.made_by.get("voxel_size")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def suitability_warnings(checkpoint: Checkpoint, scene: Scene) -> tuple[str, ...]:
    """What speaks against predicting ``scene`` with these weights, in sentences."""
    trained, size = trained_voxel_size(checkpoint), scene.grid.voxel_size
    if trained is None or abs(size / trained - 1) < _SAME_SIZE:
        return ()
    return (
        f"the weights were trained at {trained * 100:g} cm voxels and the scene has {size * 100:g} cm: things look "
        f"{trained / size:.2g} times their size to the network, expect worse results; import the scene with "
        f"--voxel-size {trained:g}, or adapt the weights to it with s4r refine",
    )


def expect_color(checkpoint: Checkpoint, scene: Scene, scan: SparseTSDF) -> None:
    """Refuse a scan without the colour that the network takes in.

    Raises:
        DataError: It has none.
    """
    if checkpoint.config.model.color_encoder and scan.color is None:
        raise DataError(
            f"{scene.path}: the network of these weights takes colour in, but the scene has none; name weights of a "
            "colour-blind one with --checkpoint (s4r train --set model.color_encoder=false model.color_decoder=false)"
        )
