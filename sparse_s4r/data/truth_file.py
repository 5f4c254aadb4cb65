"""The true surface of a scene as a file; docs/scene-format.md has its layout."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from sparse_s4r.structures import GridSpec, SparseTSDF
from sparse_s4r.structures.errors import DataError
from sparse_s4r.structures.truth import SceneTruth

TRUTH_NAME = "truth.safetensors"
FORMAT = "sparse_s4r truth 1"
_TYPES = {"coordinates": torch.int32, "tsdf": torch.float32, "color": torch.uint8, "label": torch.uint8}


def save_scene_truth(path: Path, truth: SceneTruth) -> None:
    """Write a truth: coordinates int32 (N, 3), tsdf float32 (N,), color uint8 (N, 3), label uint8 (N,).

    Raises:
        ValueError: A truth without colour.
    """
    field = truth.field
    if field.color is None:
        raise ValueError("truth.field.color: expected the colour of the surface, got None")
    tensors = {
        "coordinates": field.coordinates.to(torch.int32),
        "tsdf": field.tsdf.float(),
        "color": (field.color.clamp(0, 1) * 255).round().to(torch.uint8),
        "label": truth.labels.to(torch.uint8),
    }
    metadata = {"format": FORMAT, "band": repr(truth.band)}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, str(path), metadata)


def load_scene_truth(path: Path, grid: GridSpec) -> SceneTruth:
    """Read a truth on ``grid``.

    Raises:
        DataError: No such file, a damaged one, or one that ``save_scene_truth`` did not write.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected the truth about a scene, got no file")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: expected a safetensors file, got a damaged one ({error})") from error
    if metadata.get("format") != FORMAT:
        found = metadata.get("format")
        raise DataError(f"{path}: expected the format {FORMAT!r}, got {found!r}; import the scene again")
    if set(tensors) != set(_TYPES):
        raise DataError(f"{path}: expected the tensors {', '.join(_TYPES)}, got {', '.join(sorted(tensors))}")
    count = len(tensors["coordinates"]) if tensors["coordinates"].dim() else 0
    shapes = {"coordinates": (count, 3), "tsdf": (count,), "color": (count, 3), "label": (count,)}
    for name, tensor in tensors.items():
        if tensor.dtype != _TYPES[name] or tuple(tensor.shape) != shapes[name]:
            raise DataError(
                f"{path}: {name}: expected {_TYPES[name]} of shape {shapes[name]}, got {tensor.dtype} of shape "
                f"{tuple(tensor.shape)}"
            )
    field = SparseTSDF(
        grid, tensors["coordinates"].long(), tensors["tsdf"], torch.ones(count), tensors["color"].float() / 255
    )
    return SceneTruth(field, tensors["label"].long(), _band(path, metadata.get("band", "")))


def _band(path: Path, text: str) -> float:
    try:
        band = float(text)
    except ValueError:
        band = math.nan
    if not (math.isfinite(band) and band > 0):
        raise DataError(f"{path}: band: expected metres > 0, got {text!r}")
    return band
