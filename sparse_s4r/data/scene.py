"""Handle of a scene folder: everything is read when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from sparse_s4r.data.images import load_color, load_depth_values, load_labels
from sparse_s4r.data.resize import resize_frame
from sparse_s4r.data.scene_document import FrameDocument, SceneDocument, Split, read_document
from sparse_s4r.data.scene_fields import load_observation_file, load_scan_file
from sparse_s4r.structures import Camera, GridSpec, ObservationGrid, RGBDFrame, SparseTSDF
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

    def load_frame(self, name: str, width: int | None = None, height: int | None = None) -> RGBDFrame:
        """Frame ``name``, resized if asked for.

        Args:
            name: One of ``frame_names()``.
            width: Width in pixels; from ``height`` by the aspect when None.
            height: Height in pixels; from ``width`` by the aspect when None. Both None: as stored.

        Raises:
            DataError: No such frame, or an image that is missing, unreadable or of another size than stated.
        """
        frame = self._frame(name)
        color = load_color(self._inside(frame.color))
        depth = load_depth_values(self._inside(frame.depth)).double() * self.document.depth_scale
        labels = None if frame.labels is None else load_labels(self._inside(frame.labels))
        try:
            loaded = RGBDFrame(name, self.camera(name), color, depth.float(), labels)
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

    def _frame(self, name: str) -> FrameDocument:
        if name not in self._frames:
            raise DataError(
                f"{self.path}: no frame {name!r}; it has {len(self._frames)}, e.g. {next(iter(self._frames), None)!r}"
            )
        return self._frames[name]

    def _inside(self, relative: str) -> Path:
        path = self.path / relative
        # scene.json may only name files in frames/; a link there must not lead out of the scene either.
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise DataError(f"{path}: expected a file inside the scene folder, got a link to {path.resolve()}")
        return path


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
