"""Whether the raw frames of a scene can be imported with true labels; looks at files, and reads no image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sparse_s4r.data.readers import matterport, matterport_labels, scannet, scannet_labels
from sparse_s4r.structures.errors import DataError

# Where a house has its labels.
_REGIONS = "region_segmentations"


def raw_problems(folder: Path, layout: str, classes: str) -> tuple[str, ...]:
    """What is missing or damaged in the folder of a scene; empty if it can be imported.

    Args:
        folder: The scene, in the data set's own layout.
        layout: ``scannet`` or ``matterport``.
        classes: Class set of its labels.
    """
    return _CHECKS[layout](folder, classes)


def _scannet_problems(folder: Path, classes: str) -> tuple[str, ...]:
    if scannet.detect(folder) is None:
        return (f"{folder}: no {scannet.LOOKS_FOR}",)
    problems = []
    if not list(folder.glob("*.sens")):
        counts = {part: sum(1 for _ in (folder / part).iterdir()) for part in ("color", "depth", "pose")}
        if len(set(counts.values())) > 1 or not counts["color"]:
            problems.append(f"{folder}: frames without colour, depth or pose: {counts}")
    try:
        labels = scannet_labels.find_labels(folder, folder.name, classes)
    except DataError as error:
        labels = str(error)
    if labels is None:
        problems.append(f"{folder}: no labels: {folder.name}_2d-label-filt.zip, label-filt/ or label/")
    elif isinstance(labels, str):
        problems.append(f"{folder}: {labels}")
    return tuple(problems)


def _matterport_problems(folder: Path, classes: str) -> tuple[str, ...]:
    if matterport.detect(folder) is None:
        return (f"{folder}: no {matterport.LOOKS_FOR}",)
    try:
        frames = matterport.open_matterport(folder).frames
    except DataError as error:
        return (str(error),)
    problems = []
    missing = [frame.name for frame in frames if not (frame.color.path.is_file() and frame.depth.path.is_file())]
    if missing:
        problems.append(f"{folder}: {len(missing)} of {len(frames)} frames lack an image, e.g. {missing[0]}")
    meshes = sorted((folder / _REGIONS).glob("region*.ply"))
    if not meshes:
        problems.append(f"{folder}: no labels: {_REGIONS}/regionN.ply")
    parts = [mesh.with_suffix(suffix) for mesh in meshes for suffix in (".fsegs.json", ".semseg.json")]
    absent = [part.name for part in parts if not part.is_file()]
    if absent:
        problems.append(f"{folder}: {len(absent)} files of {_REGIONS} are missing, e.g. {absent[0]}")
    if matterport_labels.find_category_table(folder) is None:
        problems.append(
            f"{folder}: no {matterport_labels.CATEGORY_TABLE} there, up to three folders above or in metadata"
        )
    return tuple(problems)


_CHECKS: dict[str, Callable[[Path, str], tuple[str, ...]]] = {
    scannet.NAME: _scannet_problems,
    matterport.NAME: _matterport_problems,
}
