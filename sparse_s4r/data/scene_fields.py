"""Scans and observations as safetensors files."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparse_s4r.structures import BLOCK, GridSpec, ObservationGrid, SparseTSDF
from sparse_s4r.structures.errors import DataError

_SCAN = {"coordinates": torch.int32, "tsdf": torch.float32, "weight": torch.float32, "color": torch.uint8}
_OBSERVATION = {"block_coordinates": torch.int32, "block_state": torch.uint8, "voxel_state": torch.uint8}


def save_scan(path: Path, scan: SparseTSDF) -> None:
    """Write a scan: coordinates int32 (N, 3), tsdf and weight float32 (N,), color uint8 (N, 3) if it has any."""
    tensors = {
        "coordinates": scan.coordinates.to(torch.int32),
        "tsdf": scan.tsdf.float(),
        "weight": scan.weight.float(),
    }
    if scan.color is not None:
        tensors["color"] = (scan.color.clamp(0, 1) * 255).round().to(torch.uint8)
    _save(path, tensors)


def load_scan_file(path: Path, grid: GridSpec) -> SparseTSDF:
    """Read a scan on ``grid``.

    Raises:
        DataError: A missing or damaged file, or tensors of other names, types or shapes than ``save_scan`` writes.
    """
    tensors = _load(path, _SCAN, optional=("color",))
    color = tensors.get("color")
    count = len(tensors["coordinates"])
    _expect(path, "coordinates", tensors["coordinates"], (count, 3))
    _expect(path, "tsdf", tensors["tsdf"], (count,))
    _expect(path, "weight", tensors["weight"], (count,))
    if color is not None:
        _expect(path, "color", color, (count, 3))
        color = color.float() / 255
    return SparseTSDF(grid, tensors["coordinates"].long(), tensors["tsdf"], tensors["weight"], color)


def save_observation(path: Path, observation: ObservationGrid) -> None:
    """Write an observation: block_coordinates int32 (B, 3), block_state uint8 (B,), voxel_state uint8 (M, 512)."""
    _save(
        path,
        {
            "block_coordinates": observation.block_coordinates.to(torch.int32),
            "block_state": observation.block_state.to(torch.uint8),
            "voxel_state": observation.voxel_state.to(torch.uint8),
        },
    )


def load_observation_file(path: Path, grid: GridSpec) -> ObservationGrid:
    """Read an observation on ``grid``.

    Raises:
        DataError: A missing or damaged file, or tensors other than ``save_observation`` writes.
    """
    tensors = _load(path, _OBSERVATION)
    state = tensors["block_state"]
    _expect(path, "block_state", state, (state.numel(),))
    _expect(path, "block_coordinates", tensors["block_coordinates"], (len(state), 3))
    mixed = int((state == ObservationGrid.MIXED).sum())
    _expect(path, "voxel_state", tensors["voxel_state"], (mixed, BLOCK**3))
    return ObservationGrid(grid, tensors["block_coordinates"].long(), state, tensors["voxel_state"])


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, str(path))


def _load(path: Path, types: dict[str, torch.dtype], optional: tuple[str, ...] = ()) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"{path}: the file is missing from the scene; import the frames again")
    try:
        tensors: dict[str, Tensor] = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected a safetensors file, got a damaged one ({error})") from error
    missing = set(types) - set(tensors) - set(optional)
    if missing or set(tensors) - set(types):
        raise DataError(f"{path}: expected the tensors {', '.join(types)}, got {', '.join(sorted(tensors))}")
    for name, tensor in tensors.items():
        if tensor.dtype != types[name]:
            raise DataError(f"{path}: {name}: expected {types[name]}, got {tensor.dtype}")
    return tensors


def _expect(path: Path, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise DataError(f"{path}: {name}: expected shape {shape}, got {tuple(tensor.shape)}")
