"""The truth that comes with a capture, as that of the scene made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.truth_resample import resample_truth
from sparse_s4r.structures import IGNORE_LABEL, GridSpec, SparseTSDF
from sparse_s4r.structures.truth import SceneTruth

HOME_TRUTH = Path("truth") / "voxels.npz"
WORLD_TRUTH = Path("truth.safetensors")


@dataclass(frozen=True)
class FoundTruth:
    """A truth on the scene's grid, and a line that says what it is."""

    truth: SceneTruth
    note: str


def import_truth(
    folder: Path | None, class_names: tuple[str, ...] | None, grid: GridSpec, source_to_world: Tensor
) -> FoundTruth | None:
    """Read the truth beside a capture's frames, if ``s4r synth`` or ``s4r synth-world`` wrote one.

    Args:
        folder: The capture; None for one that is no folder.
        class_names: Classes of the scene; the truth gets labels in them if it knows them.
        grid: Grid of the scene.
        source_to_world: (4, 4) from the capture's world to the scene's.

    Returns:
        The truth; None where there is none.

    Raises:
        DataError: A truth that cannot be read.
    """
    if folder is None:
        return None
    if (folder / HOME_TRUTH).is_file():
        truth, labelled = _home_truth(folder, class_names)
    elif (folder / WORLD_TRUTH).is_file():
        truth, labelled = _world_truth(folder / WORLD_TRUTH, class_names)
    else:
        return None
    result = resample_truth(truth, grid, source_to_world)
    labels = "with labels" if labelled else "without labels: it does not know the scene's classes"
    if class_names is None:
        labels = "without labels, as the scene has none"
    return FoundTruth(result, f"truth: {len(result):,} voxels, complete to {result.band:.3f} m, {labels}")


def _home_truth(folder: Path, class_names: tuple[str, ...] | None) -> tuple[SceneTruth, bool]:
    from sparse_s4r.data.homes.classes import map_to_names
    from sparse_s4r.data.homes.truth import BAND
    from sparse_s4r.data.homes.truth_file import load_truth

    found = load_truth(folder)
    labels: Tensor | None = found.labels if found.class_names == class_names else None
    if labels is None and class_names is not None and (labelling := map_to_names(class_names)) is not None:
        labels = load_truth(folder, labelling).labels
    return _truth(found.field, labels, BAND * found.field.grid.truncation)


def _world_truth(path: Path, class_names: tuple[str, ...] | None) -> tuple[SceneTruth, bool]:
    from sparse_s4r.data.gazebo.truth_file import load_truth

    found = load_truth(path)
    inside = found.reachable
    labels = found.labels[inside] if found.class_names == class_names else None
    # The voxels that a surface passes through hold all that are nearer than half a voxel, and few others.
    return _truth(found.field.select(inside), labels, 0.5 * found.field.grid.voxel_size)


def _truth(field: SparseTSDF, labels: Tensor | None, band: float) -> tuple[SceneTruth, bool]:
    if labels is None:
        return SceneTruth(field, torch.full((len(field),), IGNORE_LABEL), band), False
    return SceneTruth(field, labels.long(), band), True
