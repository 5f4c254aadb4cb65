"""How much memory and time a call may take on damaged input."""

from __future__ import annotations

import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from sparse_s4r.data.readers.capture import Capture
from sparse_s4r.structures.errors import DataError

# What Python and numpy allocate is traced; torch and Pillow show in the process alone, whose peak also grows by what
# they keep for later, and by a picture of ``images.MAX_PIXELS`` that is decoded before it proves to be damaged.
_PROCESS_MEGABYTES = 700


def expect_bounded(call: Callable[[], object], megabytes: float = 30, seconds: float = 10) -> object:
    """Run ``call``; only DataError may leave it, and is returned. Fails if it takes more memory or time."""
    before = _peak_megabytes()
    tracemalloc.start()
    started = time.perf_counter()
    try:
        result: object = call()
    except DataError as error:
        result = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < megabytes * 1e6, f"{peak / 1e6:.1f} MB"
    assert _peak_megabytes() - before < _PROCESS_MEGABYTES
    assert time.perf_counter() - started < seconds
    return result


def _peak_megabytes() -> float:
    # Kilobytes on Linux, bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def read_all(open_capture: Callable[[Path], Capture], path: Path) -> list[str]:
    """Open a capture and read every frame, as an import that skips bad frames does; the errors of the frames."""
    capture = open_capture(path)
    errors = []
    for index in range(len(capture)):
        try:
            capture.sizes(index)
            capture.read_frame(index)
        except DataError as error:
            errors.append(str(error))
    return errors
