"""Writes scene folders, frame by frame, so that a capture need not fit in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor

from sparse_s4r.data.images import DEPTH_LIMIT, save_color, save_depth, save_labels
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.scene import Scene
from sparse_s4r.data.scene_document import FrameDocument, SceneDocument, Split, matrix3, matrix4, write_document
from sparse_s4r.data.scene_fields import save_observation, save_scan
from sparse_s4r.data.truth_file import TRUTH_NAME, save_scene_truth
from sparse_s4r.structures import GridSpec, ObservationGrid, RGBDFrame, SceneTruth, SparseTSDF

# A quarter of a millimetre: exact for sources in millimetres, and 16 bits still reach 16.4 m.
DEPTH_SCALE = 0.00025


@dataclass(frozen=True)
class SceneScans:
    """The fields of a scene, all on one grid.

    Attributes:
        input: Scan of the "input" frames.
        target: Scan of the "input" and the "target" frames.
        input_observation: Voxel states according to the "input" frames.
        target_observation: Voxel states according to the "input" and the "target" frames.
    """

    input: SparseTSDF
    target: SparseTSDF
    input_observation: ObservationGrid
    target_observation: ObservationGrid


@dataclass(frozen=True)
class SceneInfo:
    """What a scene says of itself beside its geometry.

    Attributes:
        name: Shown in logs and errors.
        class_names: Name of each label value from 0; None when the frames carry no labels.
        source_to_world: (4, 4) rigid motion from the capture's world to the scene's, in which +z is up.
        depth_scale: Metres per unit of the stored depth images.
        made_by: How the scene was made: options, counts; JSON values, for the reader's eye.
    """

    name: str
    class_names: tuple[str, ...] | None = None
    source_to_world: Tensor = field(default_factory=lambda: torch.eye(4, dtype=torch.float64))
    depth_scale: float = DEPTH_SCALE
    made_by: dict[str, JsonValue] = field(default_factory=dict)


class SceneWriter:
    """Writes a scene piece by piece, so that no more than one frame is in memory.

    Args:
        folder: An empty folder, usually from ``new_folder``.
        info: What the scene says of itself.
    """

    def __init__(self, folder: Path, info: SceneInfo) -> None:
        self.folder = folder
        self.info = info
        self._frames: list[FrameDocument] = []
        (folder / "frames").mkdir()

    def add_frame(self, frame: RGBDFrame, split: Split) -> None:
        """Write the images of ``frame``; depth beyond the range of 16 bits is an error."""
        self.append(self.write_images(frame, split))

    def append(self, document: FrameDocument) -> None:
        """List a frame whose images are written; frames are listed in capture order."""
        self._frames.append(document)

    def assign(self, kept: Collection[str]) -> None:
        """Make the frames named ``kept`` "input" and all others but the held-out ones "target"."""
        self._frames = [
            frame
            if frame.split == "held_out"
            else frame.model_copy(update={"split": "input" if frame.name in kept else "target"})
            for frame in self._frames
        ]

    def write_images(self, frame: RGBDFrame, split: Split) -> FrameDocument:
        """Write the images of ``frame`` and say what to list; may be called from several threads."""
        files = {kind: f"frames/{frame.name}.{kind}.png" for kind in ("color", "depth", "labels")}
        save_color(self.folder / files["color"], frame.color)
        save_depth(self.folder / files["depth"], frame.depth, self.info.depth_scale)
        if frame.labels is not None:
            save_labels(self.folder / files["labels"], frame.labels)
        return FrameDocument(
            name=frame.name,
            split=split,
            color=files["color"],
            depth=files["depth"],
            labels=None if frame.labels is None else files["labels"],
            intrinsics=matrix3(frame.camera.intrinsics),
            camera_to_world=matrix4(frame.camera.camera_to_world),
            width=frame.camera.width,
            height=frame.camera.height,
        )

    def write_truth(self, truth: SceneTruth) -> None:
        """Write the true surface, on the grid of the scans, where it is known."""
        save_scene_truth(self.folder / TRUTH_NAME, truth)

    @property
    def frames(self) -> tuple[FrameDocument, ...]:
        """The frames written so far."""
        return tuple(self._frames)

    def finish(self, scans: SceneScans, made_by: dict[str, JsonValue] | None = None) -> None:
        """Write the fields and, last, scene.json.

        Args:
            scans: Scans and observations, all on one grid.
            made_by: Replaces ``info.made_by`` where what is to be told is known only now.
        """
        if made_by is not None:
            self.info = replace(self.info, made_by=made_by)
        save_scan(self.folder / "input.safetensors", scans.input)
        save_scan(self.folder / "target.safetensors", scans.target)
        save_observation(self.folder / "input_observation.safetensors", scans.input_observation)
        save_observation(self.folder / "target_observation.safetensors", scans.target_observation)
        write_document(self.folder, self._document(scans.target.grid))

    def preview(self, grid: GridSpec) -> Scene:
        """The scene as written so far, to read its frames back before the fields exist."""
        return Scene(self.folder, self._document(grid))

    def _document(self, grid: GridSpec) -> SceneDocument:
        return SceneDocument(
            name=self.info.name,
            voxel_size=grid.voxel_size,
            origin=grid.origin,
            truncation_voxels=grid.truncation_voxels,
            source_to_world=matrix4(self.info.source_to_world),
            class_names=self.info.class_names,
            depth_scale=self.info.depth_scale,
            frames=tuple(self._frames),
            made_by=self.info.made_by,
        )


def write_scene(
    path: Path | str, info: SceneInfo, frames: Iterable[tuple[Split, RGBDFrame]], scans: SceneScans
) -> None:
    """Write a scene folder; it appears whole or not at all.

    Args:
        path: The folder to make; must not exist.
        info: Name, classes and provenance.
        frames: (split, frame) pairs in capture order; may be a generator.
        scans: Scans and observations, all on one grid.

    Raises:
        DataError: ``path`` exists, or a depth does not fit ``info.depth_scale``.
    """
    with new_folder(Path(path)) as folder:
        writer = SceneWriter(folder, info)
        for split, frame in frames:
            writer.add_frame(frame, split)
        writer.finish(scans)


def depth_range(depth_scale: float = DEPTH_SCALE) -> float:
    """Largest depth in metres that a scene with ``depth_scale`` can store."""
    return DEPTH_LIMIT * depth_scale
