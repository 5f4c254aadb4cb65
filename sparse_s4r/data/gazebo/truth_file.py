"""The truth about a world, read back from its file; docs/gazebo-worlds.md has its layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sparse_s4r.structures import GridSpec, SparseTSDF
from sparse_s4r.structures.errors import DataError

_TENSORS = ("coordinates", "label", "color", "distance", "reachable")


@dataclass(frozen=True)
class WorldTruth:
    """The voxels that the surfaces of a world pass through.

    Attributes:
        field: Their signed distances; the file does not say a truncation, so the usual one is stated. No voxel beside
            the surface is there, so it cannot tell free space.
        labels: (N,) int64 class, ``IGNORE_LABEL`` for none.
        reachable: (N,) bool, whether the voxel borders on the rooms.
        class_names: Names of the label values.
    """

    field: SparseTSDF
    labels: Tensor
    reachable: Tensor
    class_names: tuple[str, ...]


def load_truth(path: Path) -> WorldTruth:
    """Read what ``s4r synth-world`` wrote.

    Raises:
        DataError: No such file, a damaged one, or one of another layout.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected the truth about a world, got no file; make one with s4r synth-world")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
        x, y, z = (float(value) for value in metadata["origin"].split())
        grid = GridSpec(float(metadata["voxel_size"]), (x, y, z))
        coordinates, color = tensors["coordinates"].long(), tensors["color"].float() / 255
        field = SparseTSDF(grid, coordinates, tensors["distance"], torch.ones(len(coordinates)), color)
        labels, reachable = tensors["label"].long(), tensors["reachable"].bool()
        if not len(field) == labels.numel() == reachable.numel():
            raise ValueError(f"{len(field)} voxels, {labels.numel()} labels, {reachable.numel()} marks of reach")
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path}: expected the truth about a world, got another file ({error}); make it again"
        ) from error
    return WorldTruth(field, labels, reachable, tuple(metadata.get("class_names", "").split("\n")))
