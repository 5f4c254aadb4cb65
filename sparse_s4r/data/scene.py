"""Handle of a scene folder: everything is read when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from sparse_s4r.data.images import load_color, load_depth_values, load_labels
from sparse_s4r.data.label_sets import LabelSet, label_set_names, open_label_set
from sparse_s4r.data.resize import resize_frame
from sparse_s4r.data.scene_document import FrameDocument, SceneDocument, Split, inside, read_document
from sparse_s4r.data.scene_fields import load_observation_file, load_scan_file
from sparse_s4r.data.truth_file import TRUTH_NAME, load_scene_truth
from sparse_s4r.structures import Camera, GridSpec, ObservationGrid, RGBDFrame, SceneTruth, SparseTSDF
from sparse_s4r.structures.errors import DataError

SPLITS: tuple[Split, ...] = ("input", "target", "held_out")
ScanName = Literal["input", "target"]


class Scene:
    """Light handle of a scene folder: frames, scans and observations are read when asked for.

    Args:
        path: The scene folder.
        document: Its validated scene.json.
    """

    def __init__(self, path: Path, document: SceneDocument) -> None:
        self.path = path
        self.document = document
        self.name = document.name
        self.class_names = document.class_names
        self.grid = GridSpec(document.voxel_size, document.origin, document.truncation_voxels)
        self.up = torch.tensor(document.up)
        self._frames = {frame.name: frame for frame in document.frames}
        self._label_sets: dict[str, LabelSet] = {}

    def frame_names(self, *splits: Split) -> tuple[str, ...]:
        """Names of the frames of ``splits`` ("input", "target", "held_out"; none given: all), in capture order."""
        unknown = set(splits) - set(SPLITS)
        if unknown:
            raise ValueError(f"splits: expected any of {SPLITS}, got {sorted(unknown)}")
        return tuple(frame.name for frame in self.document.frames if not splits or frame.split in splits)

    def split_of(self, name: str) -> Split:
        """The split that frame ``name`` belongs to."""
        return self._frame(name).split

    def camera(self, name: str) -> Camera:
        """Camera of frame ``name`` at its stored size, float64."""
        frame = self._frame(name)
        try:
            return Camera(
                torch.tensor(frame.intrinsics, dtype=torch.float64),
                torch.tensor(frame.camera_to_world, dtype=torch.float64),
                frame.width,
                frame.height,
            )
        except ValueError as error:
            raise DataError(f"{self.path}: frame {name}: {error}") from error

    def label_sets(self) -> tuple[str, ...]:
        """Names of the label sets that were made for this scene, sorted."""
        return label_set_names(self.path)

    def label_set(self, name: str) -> LabelSet:
        """Label set ``name``; its labels.json is read once.

        Raises:
            DataError: No such set, or a labels.json that breaks the format.
        """
        if name not in self._label_sets:
            self._label_sets[name] = open_label_set(self.path, name)
        return self._label_sets[name]

    def class_names_of(self, labels: str | None) -> tuple[str, ...] | None:
        """Names of the classes of a label set, of the scene's own labels for None; None if it has none."""
        return self.class_names if labels is None else self.label_set(labels).class_names

    def load_frame(
        self, name: str, width: int | None = None, height: int | None = None, labels: str | None = None
    ) -> RGBDFrame:
        """Frame ``name``, resized if asked for.

        Args:
            name: One of ``frame_names()``.
            width: Width in pixels; from ``height`` by the aspect when None.
            height: Height in pixels; from ``width`` by the aspect when None. Both None: as stored.
            labels: Label set that gives labels and confidence; None for the scene's own labels, which have none.

        Raises:
            DataError: No such frame or label set, a frame that the set lacks, or an image that is missing, unreadable
                or of another size than stated.
        """
        frame = self._frame(name)
        color = load_color(self._inside(frame.color))
        depth = load_depth_values(self._inside(frame.depth)).double() * self.document.depth_scale
        values, confidence = self._load_labels(frame, labels)
        try:
            loaded = RGBDFrame(name, self.camera(name), color, depth.float(), values, confidence)
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"{self.path}: {error}, as {frame.width}x{frame.height} is stated in scene.json") from error
        return resize_frame(loaded, width, height)

    def load_scan(self, which: ScanName) -> SparseTSDF:
        """The scan of the "input" frames, or the fuller "target" one."""
        return load_scan_file(self.path / f"{_scan_name(which)}.safetensors", self.grid)

    def load_observation(self, which: ScanName) -> ObservationGrid:
        """Voxel states according to the "input" frames, or to the "target" scan's."""
        return load_observation_file(self.path / f"{_scan_name(which)}_observation.safetensors", self.grid)

    def _load_labels(self, frame: FrameDocument, labels: str | None) -> tuple[Tensor | None, Tensor | None]:
        if labels is not None:
            return self.label_set(labels).load(frame.name, (frame.width, frame.height))
        return None if frame.labels is None else load_labels(self._inside(frame.labels)), None

    def load_truth(self) -> SceneTruth | None:
        """The true surface on the scene's grid, labels in the scene's classes; None where it is not known."""
        path = self._inside(TRUTH_NAME)
        return load_scene_truth(path, self.grid) if path.exists() else None

    def _frame(self, name: str) -> FrameDocument:
        if name not in self._frames:
            raise DataError(
                f"{self.path}: no frame {name!r}; it has {len(self._frames)}, e.g. {next(iter(self._frames), None)!r}"
            )
        return self._frames[name]

    def _inside(self, relative: str) -> Path:
        # scene.json may only name files in frames/; a link there must not lead out of the scene either.
        return inside(self.path, relative)


def open_scene(path: Path | str) -> Scene:
    """Open a scene folder; reads scene.json only, and runs no code from the folder.

    Raises:
        DataError: No scene there, or a scene.json that breaks the format.
    """
    folder = Path(path)
    document = read_document(folder)
    try:
        return Scene(folder, document)
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{folder}/scene.json: {error}") from error


def _scan_name(which: str) -> str:
    if which not in ("input", "target"):
        raise ValueError(f"which: expected 'input' or 'target', got {which!r}")
    return which
