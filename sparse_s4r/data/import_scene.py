"""From a capture to a scene folder: check, choose, write frames, fuse, observe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import JsonValue
from torch import Tensor

from sparse_s4r import __version__
from sparse_s4r.data.capture_check import expect_few_bad, usable_frames
from sparse_s4r.data.import_options import ImportObserver, ImportOptions, ImportSummary, Labelling, Silent
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.readers.generic import AXES
from sparse_s4r.data.sampling import sample_pairs
from sparse_s4r.data.scale_check import scale_warnings
from sparse_s4r.data.scene import Scene
from sparse_s4r.data.scene_document import Split
from sparse_s4r.data.scene_writer import SceneInfo, SceneScans, SceneWriter, depth_range
from sparse_s4r.data.splits import choose_splits
from sparse_s4r.data.up_axis import estimate_up, rotation_to_z
from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.geometry.observation import observe
from sparse_s4r.structures import GridSpec, RGBDFrame
from sparse_s4r.structures.errors import DataError


def import_scene(
    capture: Capture,
    out: Path,
    options: ImportOptions,
    labelling: Labelling | None = None,
    observer: ImportObserver | None = None,
) -> ImportSummary:
    """Make a scene folder of a capture; it appears whole or not at all.

    One frame is in memory at a time, and the scans are fused from the frames as written.

    Args:
        capture: From ``open_capture``.
        out: The folder to make; must not exist.
        options: How.
        labelling: Labels for the frames; None for none.
        observer: Told of the progress.

    Raises:
        DataError: ``out`` exists, or the capture cannot be used; the message names the file.
    """
    started = time.perf_counter()
    observer = observer or Silent()
    if out.exists():
        raise DataError(f"{out}: expected a folder that does not exist yet, got one that does; name another or move it")
    findings = _inspect(capture, options)
    capture = findings.capture
    splits = choose_splits(len(capture), options.keep, options.held_out, options.seed, options.keep_mode)
    info = SceneInfo(capture.name, labelling.class_names if labelling else None, rotation_to_z(findings.up))
    with new_folder(out) as folder:
        writer = SceneWriter(folder, info)
        converter = _Converter(capture, options, info.source_to_world, _prepared(labelling, findings, info))
        box = _write_frames(writer, converter, splits, options.depth_max, observer)
        expect_few_bad(
            [*findings.skipped, *converter.lost], len(capture) + len(findings.skipped), options.skip_bad_frames
        )
        scans = _make_scans(writer, box, options, observer)
        skipped = (*findings.skipped, *converter.lost)
        writer.finish(scans, _made_by(capture, options, findings, skipped))
    written = [frame.split for frame in writer.frames]
    return ImportSummary(
        frames=len(written),
        splits={split: written.count(split) for split in dict.fromkeys(splits)},
        skipped=skipped,
        notes=findings.notes,
        warnings=findings.warnings,
        voxels_input=len(scans.input),
        voxels_target=len(scans.target),
        extent=box.extent,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Findings:
    """What a look at a capture says before anything is written."""

    capture: Capture
    skipped: tuple[str, ...]
    up: Tensor
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    sample: tuple[RGBDFrame, ...]


def _inspect(capture: Capture, options: ImportOptions) -> _Findings:
    usable, skipped = usable_frames(capture.every(options.every), options.skip_bad_frames)
    pairs = sample_pairs(usable, options.skip_bad_frames)
    sample = tuple(frame for pair in pairs for frame in pair)
    up, note = _up(usable, options.up, sample)
    return _Findings(usable, skipped, up, (*usable.notes, note), scale_warnings(pairs), sample)


def _up(capture: Capture, choice: str, sample: tuple[RGBDFrame, ...]) -> tuple[Tensor, str]:
    if choice != "auto":
        return torch.tensor(AXES[choice], dtype=torch.float64), f"up: {choice}, as asked for"
    if capture.up is not None:
        return capture.up, f"up: {capture.up.tolist()}, declared by the capture"
    if not sample:
        raise DataError(f"{capture.name}: expected frames to estimate the up direction from, got none; give --up")
    return estimate_up(sample)


def _prepared(labelling: Labelling | None, findings: _Findings, info: SceneInfo) -> Labelling | None:
    if labelling is None or labelling.prepare is None:
        return labelling
    sample = [_in_world(frame, info.source_to_world) for frame in findings.sample]
    return replace(labelling, label_frame=labelling.prepare(sample), prepare=None)


def _in_world(frame: RGBDFrame, source_to_world: Tensor) -> RGBDFrame:
    camera = replace(frame.camera, camera_to_world=source_to_world @ frame.camera.camera_to_world)
    return replace(frame, camera=camera)


class _Box:
    """Bounds of the surface that the scans see."""

    def __init__(self) -> None:
        self.lower = torch.full((3,), torch.inf, dtype=torch.float64)
        self.upper = torch.full((3,), -torch.inf, dtype=torch.float64)

    def add(self, frame: RGBDFrame, depth_max: float) -> None:
        points = frame.camera.unproject(frame.depth)[(frame.depth > 0) & (frame.depth <= depth_max)].double()
        if len(points):
            self.lower = torch.minimum(self.lower, points.amin(dim=0))
            self.upper = torch.maximum(self.upper, points.amax(dim=0))

    @property
    def extent(self) -> tuple[float, float, float]:
        x, y, z = (self.upper - self.lower).tolist()
        return x, y, z


class _Converter:
    """Turns frames of a capture into frames of a scene; ``lost`` gathers those that cannot be decoded."""

    def __init__(
        self, capture: Capture, options: ImportOptions, source_to_world: Tensor, labelling: Labelling | None
    ) -> None:
        self.capture = capture
        self.lost: list[str] = []
        self._options = options
        self._source_to_world = source_to_world
        self._labelling = labelling

    def convert(self, index: int) -> RGBDFrame | None:
        """Frame ``index`` in the scene's world, or None if it cannot be used and may be skipped."""
        try:
            (source_width, _), _ = self.capture.sizes(index)
            frame = self.capture.read_frame(index, min(source_width, self._options.image_width))
        except DataError as error:
            if not self._options.skip_bad_frames:
                raise
            self.lost.append(str(error))
            return None
        # Beyond the range of the stored 16 bits a room sensor measures nothing.
        depth = torch.where(frame.depth <= depth_range(), frame.depth, 0.0)
        return self._labelled(_in_world(replace(frame, depth=depth), self._source_to_world))

    def _labelled(self, frame: RGBDFrame) -> RGBDFrame:
        if self._labelling is None:
            return replace(frame, labels=None)
        if self._labelling.label_frame is None:
            return frame
        return replace(frame, labels=self._labelling.label_frame(frame))


def _write_frames(
    writer: SceneWriter, converter: _Converter, splits: list[Split], depth_max: float, observer: ImportObserver
) -> _Box:
    box = _Box()
    observer.stage("frames", len(splits))
    for index, split in enumerate(splits):
        frame = converter.convert(index)
        if frame is not None:
            writer.add_frame(frame, split)
            if split != "held_out":
                box.add(frame, depth_max)
        observer.advance()
    return box


def _make_scans(writer: SceneWriter, box: _Box, options: ImportOptions, observer: ImportObserver) -> SceneScans:
    """Fuse and observe twice on one grid: the kept frames, and all but the held-out ones."""
    if not bool(torch.isfinite(box.lower).all()):
        raise DataError(
            f"{writer.info.name}: expected depth within {options.depth_max:g} m, got none; check the depth scale "
            "and --depth-max"
        )
    # The band ends within the truncation; two voxels more cover the rounding to voxel centres.
    margin = (options.truncation_voxels + 2) * options.voxel_size
    lower, upper = box.lower - margin, box.upper + margin
    grid = GridSpec.around(lower, options.voxel_size, options.truncation_voxels)
    scene = writer.preview(grid)
    kept, known = scene.frame_names("input"), scene.frame_names("input", "target")
    if not kept:
        raise DataError(
            f"{writer.info.name}: expected at least one frame for the incomplete scan, got none; raise keep"
        )

    def frames(title: str, names: tuple[str, ...]) -> Iterator[RGBDFrame]:
        return _stream(scene, names, title, observer)

    kept_scan = fuse_frames(frames("fuse input", kept), grid, options.depth_max)
    full_scan = fuse_frames(frames("fuse target", known), grid, options.depth_max)
    return SceneScans(
        kept_scan,
        full_scan,
        observe(frames("observe input", kept), kept_scan, lower, upper, options.depth_max),
        observe(frames("observe target", known), full_scan, lower, upper, options.depth_max),
    )


def _stream(scene: Scene, names: tuple[str, ...], title: str, observer: ImportObserver) -> Iterator[RGBDFrame]:
    observer.stage(title, len(names))
    for name in names:
        yield scene.load_frame(name)
        observer.advance()


def _made_by(
    capture: Capture, options: ImportOptions, findings: _Findings, skipped: tuple[str, ...]
) -> dict[str, JsonValue]:
    return {
        "sparse_s4r": __version__,
        "layout": capture.layout,
        "options": asdict(options),
        "skipped": list(skipped),
        "notes": list(findings.notes),
        "warnings": list(findings.warnings),
    }
