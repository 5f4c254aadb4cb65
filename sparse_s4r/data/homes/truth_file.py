"""The truth about a home as a file, and how it is read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparse_s4r.data.homes.classes import FINE_NAMES, LabelMap
from sparse_s4r.data.homes.surface import Surface
from sparse_s4r.data.homes.truth import HomeTruth, VoxelTruth
from sparse_s4r.structures import GridSpec, SparseTSDF
from sparse_s4r.structures.errors import DataError

VERSION = 1
_STEPS = 32767
_ARRAYS = ("header", "low", "shape", "occupied", "distance", "color", "fine", "instance", "labels")


def save_truth(path: Path, truth: VoxelTruth, surface: Surface, labels: LabelMap) -> None:
    """Write the truth; about 4 bytes a voxel.

    Voxels are a box of bits; distances are 1/32767 of the truncation (2 um at 2 cm), colours bytes.
    """
    field, owners = truth.field, surface.owners
    cells = field.coordinates.numpy()
    low = cells.min(axis=0)
    shape = cells.max(axis=0) - low + 1
    occupied = np.zeros(shape, dtype=bool)
    occupied[tuple((cells - low).T)] = True
    header = {
        "version": VERSION,
        "voxel_size": field.grid.voxel_size,
        "origin": field.grid.origin,
        "truncation_voxels": field.grid.truncation_voxels,
        "fine_names": FINE_NAMES,
        "taxonomy": labels.taxonomy,
        "class_names": labels.class_names,
    }
    assert field.color is not None
    np.savez_compressed(
        path,
        header=np.array(json.dumps(header)),
        low=low,
        shape=shape,
        occupied=np.packbits(occupied),
        distance=np.rint(field.tsdf.numpy() * (_STEPS / field.grid.truncation)).astype(np.int16),
        color=np.rint(field.color.numpy() * 255).astype(np.uint8),
        fine=owners.label[truth.owner].astype(np.uint8),
        instance=owners.instance[truth.owner].astype(np.int16),
        labels=labels.labels,
    )


def load_truth(path: Path, labels: LabelMap | None = None) -> HomeTruth:
    """Read the truth about a home.

    Args:
        path: ``voxels.npz``, or a folder that ``s4r synth`` made.
        labels: Taxonomy to label in; None: that of the file.

    Raises:
        DataError: No such file, or one that is damaged or of another version.
    """
    file = path / "truth" / "voxels.npz" if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: expected the truth about a home, got no file; make one with s4r synth")
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _ARRAYS}
        header = json.loads(str(arrays["header"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{file}: expected the truth about a home, got a damaged file ({error}); make it again"
        ) from error
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise DataError(f"{file}: expected version {VERSION} of the truth about a home, got another; make it again")
    return _decode(file, header, arrays, labels)


def _decode(
    file: Path, header: dict[str, object], arrays: dict[str, NDArray[np.generic]], labels: LabelMap | None
) -> HomeTruth:
    try:
        origin = [float(value) for value in header["origin"]]  # type: ignore[attr-defined]
        size, voxels = float(str(header["voxel_size"])), float(str(header["truncation_voxels"]))
        grid = GridSpec(size, (origin[0], origin[1], origin[2]), voxels)
        names = [tuple(str(name) for name in header[key]) for key in ("fine_names", "class_names")]  # type: ignore[attr-defined]
        shape = tuple(int(extent) for extent in arrays["shape"])
        bits = np.unpackbits(arrays["occupied"].astype(np.uint8), count=int(np.prod(shape))).reshape(shape)
        cells = np.argwhere(bits) + arrays["low"].astype(np.int64)
        fine = arrays["fine"].astype(np.uint8)
        distance = arrays["distance"].astype(np.float32) * np.float32(grid.truncation / _STEPS)
        color = torch.from_numpy(arrays["color"].astype(np.float32) / 255)
        field = SparseTSDF(grid, torch.from_numpy(cells), torch.from_numpy(distance), torch.ones(len(cells)), color)
        table = arrays["labels"] if labels is None else labels.labels
        label = torch.from_numpy(table.astype(np.uint8)[fine])
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(f"{file}: expected arrays that fit together, got others ({error}); make it again") from error
    if names[0] != FINE_NAMES and labels is not None:
        raise DataError(f"{file}: expected the fine classes of this version, got others; make it again")
    taxonomy, class_names = (
        (str(header["taxonomy"]), names[1]) if labels is None else (labels.taxonomy, labels.class_names)
    )
    instance = torch.from_numpy(arrays["instance"].astype(np.int16))
    return HomeTruth(field, label, class_names, taxonomy, torch.from_numpy(fine), instance)
