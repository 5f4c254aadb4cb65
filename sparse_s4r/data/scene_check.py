"""Does a scene folder hold what its format states? Every property is looked at, every breach named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from sparse_s4r.data.label_set_files import label_set_problems
from sparse_s4r.data.scene import ScanName, Scene, open_scene
from sparse_s4r.data.truth_file import TRUTH_NAME
from sparse_s4r.geometry.keys import pack_keys
from sparse_s4r.structures import BLOCK, IGNORE_LABEL, ObservationGrid, SceneTruth, SparseTSDF, VoxelState
from sparse_s4r.structures.camera import expect_rigid
from sparse_s4r.structures.errors import DataError

_Read = TypeVar("_Read")
# Distances are stored as float32.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class SceneCheck:
    """The outcome of a check.

    Attributes:
        name: The scene's name; the folder's if the scene cannot be opened.
        facts: What was found, one line each.
        problems: What breaks the format, one line each, naming the file; empty for a sound scene.
    """

    name: str
    facts: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """True if nothing breaks the format."""
        return not self.problems


def check_scene(path: Path | str, step: Callable[[], None] | None = None) -> SceneCheck:
    """Verify a scene folder against docs/scene-format.md: schema, frames, scans, observations and label sets.

    Args:
        path: The scene folder.
        step: Called after each frame.
    """
    folder = Path(path)
    try:
        scene = open_scene(folder)
    except DataError as error:
        return SceneCheck(folder.name, (), (str(error),))
    problems = [*_document_problems(scene), *_frame_problems(scene, step or (lambda: None))]
    facts = [f"{len(scene.frame_names())} frames"]
    names: tuple[ScanName, ...] = ("input", "target")
    for which in names:
        scan = _read(problems, partial(scene.load_scan, which))
        observation = _read(problems, partial(scene.load_observation, which))
        if scan is not None:
            facts.append(f"{which} scan: {len(scan)} voxels")
            problems.extend(f"{folder}/{which}.safetensors: {line}" for line in scan_problems(scan))
        if observation is not None:
            lines = observation_problems(observation, scan)
            problems.extend(f"{folder}/{which}_observation.safetensors: {line}" for line in lines)
    truth = _read(problems, scene.load_truth)
    if truth is not None:
        facts.append(f"true surface: {len(truth)} voxels, complete to {truth.band:.3g} m")
        lines = truth_problems(truth, len(scene.class_names or ()))
        problems.extend(f"{folder}/{TRUTH_NAME}: {line}" for line in lines)
    set_facts, set_problems = label_set_problems(scene)
    return SceneCheck(scene.name, (*facts, *set_facts), (*problems, *set_problems))


def truth_problems(truth: SceneTruth, classes: int) -> Iterator[str]:
    """What is wrong with the numbers of a truth, if anything; its labels must be below ``classes``."""
    yield from scan_problems(truth.field)
    if not bool(((truth.labels < classes) | (truth.labels == IGNORE_LABEL)).all()):
        yield f"label: expected classes below {classes} or {IGNORE_LABEL}, got others"


def scan_problems(scan: SparseTSDF) -> Iterator[str]:
    """What is wrong with the numbers of a scan, if anything."""
    if len(scan) == 0:
        yield "expected voxels, got none"
        return
    yield from _order_problems("coordinates", scan.coordinates)
    if not bool(torch.isfinite(scan.tsdf).all()):
        yield "tsdf: expected finite numbers, got NaN or infinity"
    largest = float(scan.tsdf.abs().nan_to_num().max())
    if largest > scan.grid.truncation + _ROUNDING:
        yield f"tsdf: expected values within the truncation of {scan.grid.truncation:g} m, got {largest:g} m"
    if not bool((torch.isfinite(scan.weight) & (scan.weight > 0)).all()):
        yield f"weight: expected finite numbers > 0, got {float(scan.weight.min()):g} at the least, or none finite"


def observation_problems(observation: ObservationGrid, scan: SparseTSDF | None) -> Iterator[str]:
    """What is wrong with an observation: order, states, and SURFACE voxels other than the band of ``scan``."""
    order = list(_order_problems("block_coordinates", observation.block_coordinates))
    yield from order
    known = torch.tensor([*VoxelState, ObservationGrid.MIXED], dtype=torch.uint8)
    for name, states, allowed in (
        ("block_state", observation.block_state, known),
        ("voxel_state", observation.voxel_state, known[:-1]),
    ):
        if not bool(torch.isin(states, allowed).all()):
            yield f"{name}: expected states of {allowed.tolist()}, got {int(states[~torch.isin(states, allowed)][0])}"
    if scan is None or order:
        return
    surface, band = pack_keys(surface_voxels(observation)), pack_keys(scan.coordinates)
    extra, lost = int((~torch.isin(surface, band)).sum()), int((~torch.isin(band, surface)).sum())
    if extra or lost:
        yield (f"expected SURFACE at the {len(band)} voxels of the scan alone, got {extra} more and {lost} missing")


def surface_voxels(observation: ObservationGrid) -> Tensor:
    """Voxels (N, 3) int64 whose state is SURFACE, in no order."""
    axis = torch.arange(BLOCK)
    inside = torch.cartesian_prod(axis, axis, axis)
    mixed = observation.block_coordinates[observation.block_state == ObservationGrid.MIXED]
    whole = observation.block_coordinates[observation.block_state == VoxelState.SURFACE]
    block, voxel = torch.nonzero(observation.voxel_state == VoxelState.SURFACE, as_tuple=True)
    single = mixed[block] * BLOCK + inside[voxel]
    return torch.cat([single, (whole[:, None] * BLOCK + inside).reshape(-1, 3)])


def _document_problems(scene: Scene) -> Iterator[str]:
    place = scene.path / "scene.json"
    if scene.document.up != (0.0, 0.0, 1.0):
        yield f"{place}: up: expected [0, 0, 1], got {list(scene.document.up)}"
    try:
        expect_rigid("source_to_world", torch.tensor(scene.document.source_to_world, dtype=torch.float64))
    except ValueError as error:
        yield f"{place}: {error}"
    if not scene.frame_names("input"):
        yield f"{place}: frames: expected at least one with split 'input', got none"
    labelled = any(frame.labels is not None for frame in scene.document.frames)
    if labelled != (scene.class_names is not None):
        yield f"{place}: expected class_names exactly when frames have labels"


def _frame_problems(scene: Scene, step: Callable[[], None]) -> Iterator[str]:
    count = len(scene.class_names or ())
    for name in scene.frame_names():
        try:
            frame = scene.load_frame(name)
        except DataError as error:
            yield str(error)
        else:
            if not bool(frame.depth.any()):
                yield f"{scene.path}: frame {name}: expected a depth image with measurements, got an empty one"
            if frame.labels is not None and not bool(((frame.labels < count) | (frame.labels == IGNORE_LABEL)).all()):
                yield f"{scene.path}: frame {name}: expected labels below {count} or {IGNORE_LABEL}, got others"
        step()


def _order_problems(name: str, coordinates: Tensor) -> Iterator[str]:
    try:
        keys = pack_keys(coordinates)
    except ValueError as error:
        yield f"{name}: {error}"
        return
    steps = keys[1:] - keys[:-1]
    if bool((steps == 0).any()):
        yield f"{name}: expected each row once, got {int((steps == 0).sum())} repeated"
    if bool((steps < 0).any()):
        yield f"{name}: expected rows sorted by (x, y, z), got {int((steps < 0).sum())} out of order"


def _read(problems: list[str], load: Callable[[], _Read]) -> _Read | None:
    try:
        return load()
    except DataError as error:
        problems.append(str(error))
        return None
