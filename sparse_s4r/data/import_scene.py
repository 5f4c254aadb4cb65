"""From a capture to a scene folder: check, choose, report, write frames, fuse, observe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import JsonValue

from sparse_s4r import __version__
from sparse_s4r.data.capture_check import expect_few_bad, usable_frames
from sparse_s4r.data.import_frames import Box, FrameImport, in_world
from sparse_s4r.data.import_options import ImportObserver, ImportOptions, ImportSummary, Labelling, Silent
from sparse_s4r.data.import_scans import make_scans, surface_coverage
from sparse_s4r.data.import_truth import import_truth
from sparse_s4r.data.keyframes import choose_key_frames
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.pose_jumps import find_pose_jumps
from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report import (
    CaptureReport,
    CaptureSample,
    Finding,
    ImportOutcome,
    Inspection,
    complete_report,
    draw_sample,
    inspect_capture,
    save_report,
)
from sparse_s4r.data.scene_document import Split
from sparse_s4r.data.scene_writer import SceneInfo, SceneScans, SceneWriter
from sparse_s4r.data.splits import choose_splits
from sparse_s4r.data.stages import StageClock
from sparse_s4r.data.up_axis import rotation_about_z, rotation_to_z
from sparse_s4r.data.workers import Workers
from sparse_s4r.structures import GridSpec
from sparse_s4r.structures.errors import DataError


def import_scene(
    capture: Capture,
    out: Path,
    options: ImportOptions,
    labelling: Labelling | None = None,
    observer: ImportObserver | None = None,
    jobs: int | None = None,
) -> ImportSummary:
    """Make a scene folder of a capture; it appears whole or not at all.

    A few frames are in memory at a time, however many there are; the scans are fused from the frames as written. The
    result does not depend on the number of threads. The data report is written beside the scene's files.

    Args:
        capture: From ``open_capture``.
        out: The folder to make; must not exist.
        options: How.
        labelling: Labels for the frames; None for none.
        observer: Told of the progress.
        jobs: Threads that decode and write frames; None for as many as there are processors, at most 8.

    Raises:
        DataError: ``out`` exists, or the capture cannot be used; the message names the file.
    """
    started = time.perf_counter()
    if out.exists():
        raise DataError(f"{out}: expected a folder that does not exist yet, got one that does; name another or move it")
    observer = observer or Silent()
    clock = StageClock(observer)
    # In this order, so that no thread writes into the folder any more when an error removes it.
    with new_folder(out) as folder, Workers(jobs) as workers:
        chosen = _choose(capture, options, workers, clock)
        observer.stage("report", 1)
        sample = draw_sample(chosen.capture)
        report = _inspect(chosen, options, sample)
        observer.advance()
        turn = rotation_about_z(options.yaw) @ rotation_to_z(torch.tensor(report.up.direction, dtype=torch.float64))
        # By coverage, all wait as "input" for the choice among them, which needs the fuller scan.
        keep = options.keep if options.cover is None else 1.0
        splits = choose_splits(len(chosen.capture), keep, options.held_out, options.seed, options.keep_mode)
        info = SceneInfo(capture.name, labelling.class_names if labelling else None, turn)
        writer = SceneWriter(folder, info)
        if labelling is not None and labelling.prepare is not None:
            frames = [in_world(frame, turn) for frame in sample.frames]
            labelling = replace(labelling, label_frame=labelling.prepare(frames), prepare=None)
        frame_import = FrameImport(chosen.capture, options, turn, labelling, chosen.skipped)
        box = frame_import.write(writer, splits, workers, clock)
        scans = make_scans(writer, box, options, workers, clock)
        made = _Made(
            tuple(frame.split for frame in writer.frames), scans, box, tuple(frame_import.lost), clock, started
        )
        report = _completed(_with_truth(report, capture, writer, scans.target.grid), made)
        save_report(report, folder, sample, scans.target)
        skipped = (*chosen.skipped, *made.lost)
        coverage = surface_coverage(scans.input, scans.target)
        writer.finish(scans, {**_made_by(chosen.capture, options, report, skipped), "coverage": round(coverage, 6)})
    return _summary(report, made, skipped)


@dataclass(frozen=True)
class _Choice:
    """The frames that are used.

    Attributes:
        capture: With these frames alone; its notes say how they were chosen.
        listed: Number of frames that the capture lists.
        skipped: One line per frame that cannot be used.
        findings: What looks wrong with the choice.
    """

    capture: Capture
    listed: int
    skipped: tuple[str, ...]
    findings: tuple[Finding, ...]


def _choose(capture: Capture, options: ImportOptions, workers: Workers, clock: StageClock) -> _Choice:
    """Every n-th frame, of these the usable ones on the camera's path, and of these the key frames."""
    candidates = capture.every(options.every)
    usable, skipped = usable_frames(candidates, not options.strict, options.max_skipped)
    jumps = find_pose_jumps(usable)
    skipped = (*skipped, *jumps.wrong.values())
    expect_few_bad(skipped, len(candidates), not options.strict, options.max_skipped)
    if jumps.wrong:
        usable = usable.select([index for index in range(len(usable)) if index not in jumps.wrong])
    notes = []
    if options.every > 1:
        notes.append(f"one of {options.every} frames: {len(candidates):,} of {len(capture):,}")
    if options.key_frames is not None:
        rule, count = options.key_frames, len(usable)
        with clock.stage("key frames", count):
            found = choose_key_frames(usable, rule, workers, clock.advance)
        usable = usable.select(list(found.indices))
        skipped = (*skipped, *found.lost)
        expect_few_bad(skipped, len(candidates), not options.strict, options.max_skipped)
        notes.append(
            f"key frames: {len(usable):,} of {count:,}, at least {rule.distance:g} m or {rule.degrees:g} degrees "
            f"apart; the sharpest of each window, {found.compared:,} pictures compared"
        )
    return _Choice(replace(usable, notes=(*usable.notes, *notes)), len(capture), skipped, jumps.findings)


def _inspect(chosen: _Choice, options: ImportOptions, sample: CaptureSample) -> CaptureReport:
    request = Inspection(options.depth_max, options.voxel_size, options.up, chosen.listed)
    report = inspect_capture(chosen.capture, sample, request, chosen.skipped)
    return replace(report, findings=(*report.findings, *chosen.findings))


@dataclass(frozen=True)
class _Made:
    """What an import has made.

    Attributes:
        splits: Of each frame written.
        scans: Fused and observed.
        box: Of the surface.
        lost: One line per frame that could not be decoded.
        clock: Of the stages.
        started: When the import began, on the clock of ``time.perf_counter``.
    """

    splits: tuple[Split, ...]
    scans: SceneScans
    box: Box
    lost: tuple[str, ...]
    clock: StageClock
    started: float


def _with_truth(report: CaptureReport, capture: Capture, writer: SceneWriter, grid: GridSpec) -> CaptureReport:
    """Write the truth that comes with the capture, if any; the report with a note of it."""
    found = import_truth(capture.source, writer.info.class_names, grid, writer.info.source_to_world)
    if found is None:
        return report
    writer.write_truth(found.truth)
    return replace(report, frames=replace(report.frames, notes=(*report.frames.notes, found.note)))


def _completed(report: CaptureReport, made: _Made) -> CaptureReport:
    rates = made.clock.rates
    outcome = ImportOutcome(
        frames_written=len(made.splits),
        lost=made.lost,
        seconds=time.perf_counter() - made.started,
        frames_per_second=len(made.splits) / sum(rate.seconds for rate in rates),
        voxels_input=len(made.scans.input),
        voxels_target=len(made.scans.target),
        voxel_size=made.scans.target.grid.voxel_size,
        extent=made.box.extent,
    )
    notes = (*report.frames.notes, *(str(rate) for rate in rates))
    return complete_report(replace(report, frames=replace(report.frames, notes=notes)), outcome)


def _summary(report: CaptureReport, made: _Made, skipped: tuple[str, ...]) -> ImportSummary:
    return ImportSummary(
        frames=len(made.splits),
        splits={split: made.splits.count(split) for split in dict.fromkeys(made.splits)},
        skipped=skipped,
        notes=report.frames.notes,
        warnings=_warnings(report),
        voxels_input=len(made.scans.input),
        voxels_target=len(made.scans.target),
        coverage=surface_coverage(made.scans.input, made.scans.target),
        extent=made.box.extent,
        seconds=time.perf_counter() - made.started,
        stages=made.clock.rates,
        report=report,
    )


def _warnings(report: CaptureReport) -> tuple[str, ...]:
    return tuple(f"{finding.kind}: {finding.evidence}; {finding.remedy}" for finding in report.findings)


def _made_by(
    capture: Capture, options: ImportOptions, report: CaptureReport, skipped: Sequence[str]
) -> dict[str, JsonValue]:
    return {
        "sparse_s4r": __version__,
        "layout": capture.layout,
        "options": asdict(options),
        "skipped": list(skipped),
        "notes": [
            *capture.notes,
            f"up: {report.up.source}",
            *(note for note in report.frames.notes if note.startswith("truth:")),
        ],
        "warnings": list(_warnings(report)),
    }
