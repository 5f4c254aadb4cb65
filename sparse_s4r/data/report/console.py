"""The report on the terminal: what looks wrong first, then a table by topic."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sparse_s4r.data.report.facts import CaptureReport, ColorFacts, Finding, MotionFacts, PoseFacts, Trial

_SKIPPED = 10
_STYLES = {"error": "bold red", "warning": "yellow"}


def print_report(report: CaptureReport, console: Console) -> None:
    """Print a report; the lines of left-out frames are cut after ten."""
    console.print(Text(f"Data report: {report.name}", style="bold"))
    for finding in report.findings:
        _print_finding(finding, console)
    if not report.findings:
        console.print(Text(report.verdict, style="yellow" if "cannot be told" in report.verdict else "green"))
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for topic, lines in topics(report):
        table.add_row(topic, Text("\n".join(lines)))
    console.print(table)
    for line in report.frames.skipped[:_SKIPPED]:
        console.print(Text(f"left out: {line}"), soft_wrap=True)
    if len(report.frames.skipped) > _SKIPPED:
        console.print(Text(f"left out: and {len(report.frames.skipped) - _SKIPPED} more; all are in report.json"))


def topics(report: CaptureReport) -> list[tuple[str, list[str]]]:
    """Topics of the report with their lines."""
    frames, images = report.frames, report.images
    rows = [
        (
            "frames",
            [
                f"{frames.usable} of {frames.listed} usable, {len(frames.skipped)} left out; layout {frames.layout}; "
                f"{frames.sampled} looked at",
                *frames.notes,
            ],
        ),
        (
            "images",
            [
                f"colour {_size(images.color_size)}, depth {_size(images.depth_size)}, "
                f"{images.horizontal_degrees:.0f} degrees wide (fx {images.focal[0]:.1f}, fy {images.focal[1]:.1f})"
            ],
        ),
        ("depth", _depth_lines(report)),
        ("poses", _pose_lines(report.poses)),
        ("colour", [_color_line(report.color, images.color_size[0])]),
        ("up", [f"{report.up.source}; {report.up.off:.0f} degrees from what floors and cameras suggest"]),
        ("path", _motion_lines(report.motion)),
        ("pictures", [_sharpness_line(report)]),
        ("space", [_space_line(report)]),
    ]
    if report.outcome is not None:
        rows.append(("import", _outcome_lines(report)))
    return rows


def _depth_lines(report: CaptureReport) -> list[str]:
    depth = report.depth
    pattern = "one-pixel grid" if depth.grid else "single pixels"
    filled = f"filled, {depth.valid + depth.single_gaps:.0%} then" if depth.repaired else "not filled"
    gaps = f"; {depth.single_gaps:.0%} are a {pattern} of gaps ({filled})" if depth.single_gaps >= 0.01 else ""
    invalid = ", ".join(str(number) for number in (0, *depth.invalid_values))
    return [
        f"{depth.scale:g} m per unit; {depth.nearest:.2f} to {depth.farthest:.2f} m (1 to 99 %), median "
        f"{depth.median:.2f} m; {depth.beyond:.0%} beyond what is fused",
        f"{depth.valid:.0%} of the pixels are valid{gaps}; invalid: {invalid}",
    ]


def _pose_lines(poses: PoseFacts) -> list[str]:
    head = f"declared as {poses.convention}: {poses.verdict}"
    if poses.pairs == 0:
        return [f"{head} (no overlapping frames to compare)"]
    lines = [f"{head}; median error between {poses.pairs} pairs of neighbours:"]
    lines += [f"  {trial.name:<32} {_error(trial)}" for trial in poses.readings]
    best = min(poses.others, key=lambda trial: trial.error, default=None)
    if best is not None:
        lines.append(f"  best of {len(poses.others)} others: {best.name}, {_error(best)}")
    return lines


def _error(trial: Trial) -> str:
    return "no overlap" if math.isinf(trial.error) else f"{trial.error:6.1%} = {trial.metres:.3f} m"


def _color_line(color: ColorFacts, width: int) -> str:
    if color.verdict == "cannot be told":
        return "registration cannot be told: too few edges in depth, or colour has none there"
    right, down = color.shift[0] * width, color.shift[1] * width
    verdict = "registered to depth" if color.verdict == "registered" else "not registered to depth"
    return (
        f"{verdict}: edges agree best {right:+.0f}, {down:+.0f} pixels off at scale {color.scale:g} (strength "
        f"{color.best_score:.2f}, in place {color.score:.2f})"
    )


def _motion_lines(motion: MotionFacts) -> list[str]:
    lines = [
        f"{motion.length:.1f} m; from frame to frame {motion.step:.2f} m and {motion.turn:.0f} degrees; "
        f"{len(motion.jumps)} jumps, {motion.repeated} repeated poses"
    ]
    if motion.duration is not None:
        rate = "" if motion.rate is None else f", {motion.rate:.1f} frames per second"
        lines.append(f"{motion.duration:.1f} s{rate}; {len(motion.gaps)} gaps, {motion.backward} out of order")
    return lines


def _sharpness_line(report: CaptureReport) -> str:
    sharpness = report.sharpness
    return (
        f"{sharpness.blurred} of {sharpness.frames} blurred (sharpness {sharpness.least:.0f} at least, "
        f"{sharpness.median:.0f} usual), {sharpness.duplicates} of {sharpness.compared} look like their neighbour"
    )


def _space_line(report: CaptureReport) -> str:
    space = report.space
    return (
        f"{_extent(space.extent)}; {space.surface_voxels:,} surface voxels of {100 * space.voxel_size:g} cm in the "
        f"{report.frames.sampled} frames looked at"
    )


def _outcome_lines(report: CaptureReport) -> list[str]:
    outcome = report.outcome
    if outcome is None:
        return []
    return [
        f"{outcome.frames_written} frames written, {len(outcome.lost)} lost on the way; {outcome.seconds:.1f} s, "
        f"{outcome.frames_per_second:.1f} frames per second",
        f"voxels of {100 * outcome.voxel_size:g} cm: {outcome.voxels_input:,} incomplete scan, "
        f"{outcome.voxels_target:,} fuller scan; {_extent(outcome.extent)}",
    ]


def _print_finding(finding: Finding, console: Console) -> None:
    console.print(Text(f"{finding.severity}: {finding.kind}", style=_STYLES[finding.severity]), soft_wrap=True)
    console.print(Text(f"  found: {finding.evidence}"), soft_wrap=True)
    console.print(Text(f"  to do: {finding.remedy}"), soft_wrap=True)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _extent(extent: tuple[float, float, float]) -> str:
    return " x ".join(f"{metres:.1f}" for metres in extent) + " m"
