"""Protocols and measures of the tables."""

from __future__ import annotations

from sparse_s4r.data.scene_format import ScanName
from sparse_s4r.evaluation.rooms_table import MEASURES
from sparse_s4r.evaluation.segmentation_protocols import PROTOCOLS as _PROTOCOLS

# The scan that is given to a method, and the one whose surface is judged, by the protocol's name.
GIVEN: dict[str, ScanName] = {protocol.name: protocol.given for protocol in _PROTOCOLS}
JUDGED: dict[str, ScanName] = {protocol.name: protocol.judged for protocol in _PROTOCOLS}
PROTOCOLS = tuple(GIVEN)
# The protocol in which something is to be completed.
COMPLETION = "partial-to-full"
MEASURE_KEYS = tuple(measure.key for measure in MEASURES)
