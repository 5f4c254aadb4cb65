"""Readers of captures: one module per layout on disk, all giving a ``Capture``; see docs/capture-formats.md."""

from sparse_s4r.data.readers.calibration import Calibration
from sparse_s4r.data.readers.capture import Capture, CaptureFrame
from sparse_s4r.data.readers.detect import FORMATS, open_capture

__all__ = ["FORMATS", "Calibration", "Capture", "CaptureFrame", "open_capture"]
