"""The picture of a report: findings, top view, depth and a contact sheet, understood without the text."""

from __future__ import annotations

from PIL import Image, ImageDraw

from sparse_s4r.data.report.console import topics
from sparse_s4r.data.report.drawing import (
    ERROR,
    FAINT,
    GOOD,
    INK,
    PAPER,
    QUIET,
    WARNING,
    color_picture,
    depth_picture,
    font,
    heat,
    wrapped,
)
from sparse_s4r.data.report.facts import CaptureReport, DepthFacts
from sparse_s4r.data.report.sample import CaptureSample
from sparse_s4r.data.report.top_view import draw_top_view, path_in_world, sampled_cloud, scanned_cloud
from sparse_s4r.structures import SparseTSDF

_WIDTH, _MARGIN = 1640, 30
_VIEW = (980, 720)
_ACROSS, _ROWS = 6, 2
_TALLEST = 20_000


def draw_page(report: CaptureReport, sample: CaptureSample, scan: SparseTSDF | None = None) -> Image.Image:
    """Draw the page.

    Args:
        report: What to show.
        sample: What it was made from.
        scan: The fused scan; None to draw the sample's points.
    """
    page = _Page()
    page.write(f"Capture {report.name}", 30, INK)
    page.write(_summary(report), 18, QUIET)
    page.space(6)
    _findings(page, report)
    page.space(10)
    _middle(page, report, sample, scan)
    page.space(14)
    page.write("Frames: colour above, depth below (blue near, red far, dark grey missing)", 20, INK)
    _contact_sheet(page, report, sample)
    page.space(14)
    for topic, lines in topics(report):
        for number, line in enumerate(lines):
            page.write_row(topic if number == 0 else "", line)
    return page.finish()


class _Page:
    """A sheet that is filled from the top."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (_WIDTH, _TALLEST), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.top = _MARGIN

    def space(self, height: int) -> None:
        """Leave a gap."""
        self.top += height

    def write(self, text: str, size: int, color: tuple[int, int, int], left: int = _MARGIN) -> None:
        """A paragraph."""
        for line in wrapped(self.draw, text, size, _WIDTH - left - _MARGIN):
            self.draw.text((left, self.top), line, fill=color, font=font(size))
            self.top += round(1.35 * size)

    def write_row(self, topic: str, text: str) -> None:
        """A topic and what is said of it."""
        self.draw.text((_MARGIN, self.top), topic, fill=INK, font=font(17))
        indent = _MARGIN + 110 + 12 * (len(text) - len(text.lstrip()))
        self.write(text, 17, QUIET, indent)

    def finish(self) -> Image.Image:
        """The sheet as far as it is filled."""
        return self.image.crop((0, 0, _WIDTH, min(_TALLEST, self.top + _MARGIN)))


def _summary(report: CaptureReport) -> str:
    space = " x ".join(f"{metres:.1f}" for metres in report.space.extent)
    frames = report.frames
    return (
        f"{frames.usable} of {frames.listed} frames, layout {frames.layout}, {space} m, camera path "
        f"{report.motion.length:.1f} m"
    )


def _findings(page: _Page, report: CaptureReport) -> None:
    if not report.findings:
        page.write(f"{report.verdict.capitalize()}.", 20, WARNING if "cannot be told" in report.verdict else GOOD)
    for finding in report.findings:
        color = ERROR if finding.severity == "error" else WARNING
        page.write(f"{finding.severity.capitalize()}: {finding.kind}", 20, color)
        page.write(f"Found: {finding.evidence}", 16, INK, _MARGIN + 20)
        page.write(f"To do: {finding.remedy}", 16, INK, _MARGIN + 20)
        page.space(4)


def _middle(page: _Page, report: CaptureReport, sample: CaptureSample, scan: SparseTSDF | None) -> None:
    what = "fused scan" if scan is not None else f"points of {len(sample.frames)} frames"
    page.write(f"From above, without what is higher than the camera: {what}, and the camera's way", 20, INK)
    page.space(4)
    farthest = max(report.depth.farthest, 1e-6)
    cloud = scanned_cloud(scan) if scan is not None else sampled_cloud(sample, report.up, farthest)
    view = draw_top_view(cloud, path_in_world(sample, report.up), *_VIEW)
    page.image.paste(view, (_MARGIN, page.top))
    page.draw.rectangle((_MARGIN - 1, page.top - 1, _MARGIN + _VIEW[0], page.top + _VIEW[1]), outline=FAINT)
    left = _MARGIN + _VIEW[0] + 40
    size = (_WIDTH - left - _MARGIN, 300)
    _histogram(page, report.depth, (left, page.top), size)
    _path_legend(page, (left, page.top + 380), size[0])
    _reading_bars(page, report, (left, page.top + 470))
    page.top += _VIEW[1]


def _histogram(page: _Page, depth: DepthFacts, corner: tuple[int, int], size: tuple[int, int]) -> None:
    (left, top), (width, height) = corner, size
    page.draw.text((left, top), f"Depth: {depth.valid:.0%} of the pixels have it", fill=INK, font=font(18))
    base = top + height + 10
    most = max(depth.histogram) or 1.0
    bar = width / len(depth.histogram)
    reach = len(depth.histogram) * depth.bin_width
    for number, share in enumerate(depth.histogram):
        x = left + number * bar
        color = heat((number + 0.5) / len(depth.histogram))
        page.draw.rectangle((x, base - (height - 40) * share / most, x + bar - 1, base), fill=color)
    page.draw.line((left, base + 1, left + width, base + 1), fill=INK)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        label = f"{share * reach:.1f} m"
        x = left + share * width - share * page.draw.textlength(label, font=font(15))
        page.draw.text((x, base + 6), label, fill=QUIET, font=font(15))


def _path_legend(page: _Page, corner: tuple[int, int], width: int) -> None:
    left, top = corner
    page.draw.text((left, top), "Camera's way, from start to end; strokes show where it looks", fill=INK, font=font(18))
    for column in range(width):
        page.draw.line((left + column, top + 30, left + column, top + 42), fill=heat(column / width))


def _reading_bars(page: _Page, report: CaptureReport, corner: tuple[int, int]) -> None:
    """How far neighbouring frames differ under the four readings of the poses."""
    left, top = corner
    page.draw.text((left, top), "Neighbouring frames differ in depth, if poses are", fill=INK, font=font(18))
    longest = _WIDTH - _MARGIN - left - 330
    for number, trial in enumerate(report.poses.readings):
        y = top + 34 + 34 * number
        declared = trial.name == report.poses.convention
        page.draw.text((left, y), trial.name, fill=INK if declared else QUIET, font=font(16))
        share = min(1.0, trial.error / 0.5)
        label = "no overlap" if trial.error == float("inf") else f"{trial.error:.1%}"
        page.draw.rectangle(
            (left + 265, y + 3, left + 267 + longest * share, y + 17), fill=GOOD if share < 0.1 else ERROR
        )
        page.draw.text((left + 274 + longest * share, y), label, fill=INK, font=font(16))
    note = "The declared reading is written in black."
    page.draw.text((left, top + 40 + 34 * len(report.poses.readings)), note, fill=QUIET, font=font(15))


def _contact_sheet(page: _Page, report: CaptureReport, sample: CaptureSample) -> None:
    places = sample.places
    count = min(len(places), _ACROSS * _ROWS)
    chosen = [places[int((number + 0.5) * len(places) / count)] for number in range(count)]
    gap = 8
    width = (_WIDTH - 2 * _MARGIN - gap * (_ACROSS - 1)) // _ACROSS
    for start in range(0, count, _ACROSS):
        tallest = 0
        page.space(6)
        for column, index in enumerate(chosen[start : start + _ACROSS]):
            frame = sample.frame(index)
            left = _MARGIN + column * (width + gap)
            tall = max(1, round(frame.camera.height * width / frame.camera.width))
            color = color_picture(frame.color).resize((width, tall))
            depth = depth_picture(frame.depth, report.depth.nearest, report.depth.farthest)
            page.image.paste(color, (left, page.top))
            page.image.paste(depth.resize((width, tall), Image.Resampling.NEAREST), (left, page.top + tall))
            page.draw.text((left, page.top + 2 * tall + 2), frame.name, fill=QUIET, font=font(14))
            tallest = max(tallest, 2 * tall + 20)
        page.top += tallest
