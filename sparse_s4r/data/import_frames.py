"""The frames of a capture as frames of a scene: decoded, labelled and written, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparse_s4r.data.capture_check import expect_few_bad
from sparse_s4r.data.import_options import ImportOptions, Labelling
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.scene_document import FrameDocument, Split
from sparse_s4r.data.scene_writer import SceneWriter, depth_range
from sparse_s4r.data.stages import StageClock
from sparse_s4r.data.workers import Workers
from sparse_s4r.geometry.fusion import surface_box
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError


class Box:
    """Bounds of the surface that the scans see, metres."""

    def __init__(self) -> None:
        self.lower = torch.full((3,), torch.inf, dtype=torch.float64)
        self.upper = torch.full((3,), -torch.inf, dtype=torch.float64)

    def add(self, lower: Tensor, upper: Tensor) -> None:
        """Widen the box to hold another one."""
        self.lower = torch.minimum(self.lower, lower)
        self.upper = torch.maximum(self.upper, upper)

    @property
    def is_empty(self) -> bool:
        """True as long as there is nothing in it."""
        return not bool(torch.isfinite(self.lower).all())

    @property
    def extent(self) -> tuple[float, float, float]:
        """Size along x, y and z."""
        x, y, z = (self.upper - self.lower).tolist()
        return x, y, z


@dataclass(frozen=True)
class _Job:
    frame: RGBDFrame
    split: Split


@dataclass(frozen=True)
class _Written:
    document: FrameDocument
    lower: Tensor
    upper: Tensor


class FrameImport:
    """Writes the frames of a capture into a scene; ``lost`` gathers those that cannot be decoded.

    Args:
        capture: The frames to write.
        options: How.
        source_to_world: (4, 4) from the capture's world to the scene's.
        labelling: Labels for the frames; called by one thread, in capture order. None for none.
        skipped: Number of frames left out before; they count towards the share that may be lost.
    """

    def __init__(
        self,
        capture: Capture,
        options: ImportOptions,
        source_to_world: Tensor,
        labelling: Labelling | None,
        skipped: Sequence[str] = (),
    ) -> None:
        self.lost: list[str] = []
        self._capture = capture
        self._options = options
        self._source_to_world = source_to_world
        self._labelling = labelling
        self._skipped = skipped

    def write(self, writer: SceneWriter, splits: Sequence[Split], workers: Workers, clock: StageClock) -> Box:
        """Write all frames, in order, and return the box of what the scans will see.

        Raises:
            DataError: Frames that cannot be decoded, if none may be lost or too many are.
        """
        box = Box()

        def store(job: _Job) -> _Written:
            document = writer.write_images(job.frame, job.split)
            lower, upper = surface_box(job.frame.depth, job.frame.camera, self._options.depth_max)
            return _Written(document, lower, upper)

        with clock.stage("frames", len(splits)):
            # Two stages, both on the workers: what is decoded is labelled here and handed on.
            for written in workers.map(store, self._jobs(splits, workers, clock)):
                writer.append(written.document)
                if written.document.split != "held_out":
                    box.add(written.lower, written.upper)
        return box

    def _jobs(self, splits: Sequence[Split], workers: Workers, clock: StageClock) -> Iterator[_Job]:
        total = len(self._skipped) + len(splits)
        for split, frame in zip(splits, workers.map(self._convert, range(len(splits))), strict=True):
            if isinstance(frame, RGBDFrame):
                yield _Job(self._labelled(frame), split)
            else:
                self.lost.append(frame)
                bad = [*self._skipped, *self.lost]
                expect_few_bad(bad, total, not self._options.strict, self._options.max_skipped)
            clock.advance()

    def _convert(self, index: int) -> RGBDFrame | str:
        """Frame ``index`` in the scene's world, or why it cannot be used."""
        try:
            (source_width, _), _ = self._capture.sizes(index)
            frame = self._capture.read_frame(index, min(source_width, self._options.image_width))
        except DataError as error:
            return str(error)
        # Beyond the range of the stored 16 bits a room sensor measures nothing.
        depth = torch.where(frame.depth <= depth_range(), frame.depth, 0.0)
        return in_world(replace(frame, depth=depth), self._source_to_world)

    def _labelled(self, frame: RGBDFrame) -> RGBDFrame:
        if self._labelling is None:
            return replace(frame, labels=None)
        if self._labelling.label_frame is None:
            return frame
        return replace(frame, labels=self._labelling.label_frame(frame))


def in_world(frame: RGBDFrame, source_to_world: Tensor) -> RGBDFrame:
    """A frame of the capture's world in the scene's world."""
    camera = replace(frame.camera, camera_to_world=source_to_world @ frame.camera.camera_to_world)
    return replace(frame, camera=camera)
