"""The report on disk: report.json and report.png."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sparse_s4r.data.report.facts import CaptureReport
from sparse_s4r.data.report.page import draw_page
from sparse_s4r.data.report.sample import CaptureSample
from sparse_s4r.structures import SparseTSDF

JSON_NAME, PICTURE_NAME = "report.json", "report.png"
VERSION = 1


def save_report(report: CaptureReport, folder: Path, sample: CaptureSample, scan: SparseTSDF | None = None) -> None:
    """Write the figures and a picture of a report.

    Args:
        report: The report.
        folder: Where to; must exist.
        sample: What the report was made from.
        scan: The fused scan, in a world where +z is up by the report's up direction; None to draw the sample's points.
    """
    document = {"version": VERSION, **_finite(asdict(report))}
    text = json.dumps(document, indent=2, allow_nan=False)
    (folder / JSON_NAME).write_text(text + "\n", encoding="utf-8")
    draw_page(report, sample, scan).save(folder / PICTURE_NAME)


def _finite(value: Any) -> Any:
    """JSON has neither infinity nor NaN: null stands for both."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
