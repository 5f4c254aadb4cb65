"""The data report: what a capture holds, and what looks wrong with it."""

from sparse_s4r.data.report.console import print_report
from sparse_s4r.data.report.facts import CaptureReport, Finding, ImportOutcome
from sparse_s4r.data.report.inspection import Inspection, complete_report, inspect_capture
from sparse_s4r.data.report.sample import CaptureSample, draw_sample
from sparse_s4r.data.report.save import save_report

__all__ = [
    "CaptureReport",
    "CaptureSample",
    "Finding",
    "ImportOutcome",
    "Inspection",
    "complete_report",
    "draw_sample",
    "inspect_capture",
    "print_report",
    "save_report",
]
