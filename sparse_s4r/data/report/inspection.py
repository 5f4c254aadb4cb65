"""A capture looked at before the real work."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.data.report import findings as rules
from sparse_s4r.data.report.depth import depth_facts
from sparse_s4r.data.report.diagnosis import pose_facts, pose_findings
from sparse_s4r.data.report.edges import color_facts
from sparse_s4r.data.report.facts import (
    CaptureReport,
    Finding,
    FrameFacts,
    ImageFacts,
    ImportOutcome,
)
from sparse_s4r.data.report.motion import motion_facts
from sparse_s4r.data.report.sample import CaptureSample, draw_sample
from sparse_s4r.data.report.sharpness import check_pictures
from sparse_s4r.data.report.space import space_facts, up_facts
from sparse_s4r.data.report.trials import run_trials


@dataclass(frozen=True)
class Inspection:
    """What the report is to assume.

    Attributes:
        depth_max: Largest depth that will be fused, metres.
        voxel_size: Edge of a voxel, metres.
        up: "auto" or the axis of the capture's world that points up: x, -x, y, -y, z, -z.
        listed: Frames of the capture before any were chosen or left out; None if it is whole.
    """

    depth_max: float = 6.0
    voxel_size: float = 0.02
    up: str = "auto"
    listed: int | None = None


def inspect_capture(
    capture: Capture,
    sample: CaptureSample | None = None,
    request: Inspection | None = None,
    skipped: Sequence[str] = (),
) -> CaptureReport:
    """Say what a capture holds and what looks wrong with it; some tens of its frames are decoded.

    Args:
        capture: The capture.
        sample: From ``draw_sample``; None to draw one.
        request: What to assume.
        skipped: One line per frame that was left out of ``capture`` before.

    Raises:
        DataError: Not a single frame can be decoded.
    """
    started = time.perf_counter()
    request = request or Inspection()
    sample = sample or draw_sample(capture)
    left_out = tuple(dict.fromkeys((*skipped, *sample.skipped)))
    listed = request.listed if request.listed is not None else len(capture) + len(skipped)
    frames = FrameFacts(capture.layout, listed, len(sample.usable), len(sample.frames), left_out, capture.notes)
    images = _image_facts(capture, sample.indices[0])
    depth = depth_facts(capture, sample.usable, images.depth_size, request.depth_max)
    pictures = check_pictures(capture, sample)
    motion = motion_facts(capture, sample, pictures.order)
    trials = run_trials(capture, sample, depth.median)
    color = color_facts(sample.frames)
    up = up_facts(capture, [sample.frame(place) for place in sample.places], request.up)
    poses = pose_facts(trials)
    basic = pose_findings(trials, depth, motion)
    wrong = bool(basic) and basic[0].severity == "error"
    found = [
        *basic,
        # What follows from a wrong unit or wrong poses is no finding of its own.
        *([] if poses.verdict == "another reading fits" else rules.image_findings(images)),
        *rules.depth_findings(depth, math.inf if wrong else request.depth_max),
        *rules.color_findings(color, images.color_size[0]),
        *rules.frame_findings(frames),
        *([] if wrong else rules.motion_findings(motion, len(sample.usable))),
        *([] if wrong else rules.up_findings(up)),
        *rules.picture_findings(pictures.sharpness),
    ]
    return CaptureReport(
        capture.name,
        frames,
        images,
        depth,
        poses,
        color,
        motion,
        up,
        space_facts(sample.frames, up, request.depth_max, request.voxel_size),
        pictures.sharpness,
        _by_severity(found),
        time.perf_counter() - started,
    )


def complete_report(report: CaptureReport, outcome: ImportOutcome) -> CaptureReport:
    """The report with what the import made of the capture, and with the frames lost on the way among those left out."""
    skipped = tuple(dict.fromkeys((*report.frames.skipped, *outcome.lost)))
    frames = replace(report.frames, skipped=skipped)
    kept = [finding for finding in report.findings if finding not in rules.frame_findings(report.frames)]
    found = _by_severity([*kept, *rules.frame_findings(frames)])
    return replace(report, frames=frames, findings=found, outcome=outcome)


def _by_severity(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _image_facts(capture: Capture, index: int) -> ImageFacts:
    calibration = capture.calibration_of(index)
    color_size, depth_size = capture.sizes(index)
    (fx, _, cx), (_, fy, cy), _ = calibration.color.tolist()
    degrees = math.degrees(2 * math.atan(color_size[0] / 2 / fx))
    return ImageFacts(color_size, depth_size, calibration.source, (fx, fy), (cx, cy), degrees)
