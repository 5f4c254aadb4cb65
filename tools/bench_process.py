"""Time and peak memory of one call, each measured in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sparse_s4r.cli.environment import SETTINGS

_STATUS = Path("/proc/self/status")
_WORKER = Path(__file__).resolve().with_name("bench_worker.py")


@dataclass(frozen=True)
class Request:
    """What to measure, on what, how often.

    Attributes:
        engine: Name of the engine, or "dense", the paper's network in chunks, for a whole-network operation.
        operation: One of ``bench_operations.OPERATIONS`` or ``NETWORK_OPERATIONS``.
        channels: Channels in and out; 0 for a kernel map and for a whole network.
        direction: "forward" or "forward+backward".
        scene: Scene folder.
        repeats: Timed calls.
        device: "cpu" or "cuda".
        config: Configuration file of the network; None: the defaults.
        settings: ``section.key=value`` on top of it.
        checkpoint: Trained weights of the network; None: fresh ones.
        rooms: The scene is laid out ``rooms`` x ``rooms`` times; networks only.
        chunks: Of the dense network's chunks predict an even choice of this many; 0: all.
    """

    engine: str
    operation: str
    channels: int
    direction: str
    scene: str
    repeats: int = 5
    device: str = "cpu"
    config: str | None = None
    settings: tuple[str, ...] = ()
    checkpoint: str | None = None
    rooms: int = 1
    chunks: int = 0


@dataclass(frozen=True)
class Measurement:
    """What came out.

    Attributes:
        median_ms: Wall time.
        peak_bytes: Memory at its highest during a call beyond that held before it, the result included: resident in
            the process, or, on CUDA, allocated by torch.
        voxels: Of the incomplete scan that was worked on.
        extra: Other figures of the operation, by name.
    """

    median_ms: float
    peak_bytes: int
    voxels: int
    extra: dict[str, float]


@dataclass(frozen=True)
class Call:
    """One thing to measure.

    Attributes:
        prepare: Makes what ``run`` needs, afresh for every call; neither timed nor counted as memory.
        run: What is measured; gets what ``prepare`` returned.
        voxels: Size of the input.
        extra: Figures to read once all calls are done.
    """

    prepare: Callable[[], Any]
    run: Callable[[Any], object]
    voxels: int
    extra: Callable[[], dict[str, float]] = dict


class OutOfReachError(Exception):
    """What was asked for cannot be measured here; the message says why."""


def measure(call: Call, repeats: int, device: torch.device) -> Measurement:
    """One call to warm up, one for the memory, then the median time of ``repeats``."""
    call.run(call.prepare())
    peak = _peak(call, device)
    times = []
    for _ in range(repeats):
        given = call.prepare()
        _wait(device)
        started = time.perf_counter()
        result = call.run(given)
        _wait(device)
        times.append((time.perf_counter() - started) * 1e3)
        del given, result
    return Measurement(round(statistics.median(times), 4), peak, call.voxels, call.extra())


def _peak(call: Call, device: torch.device) -> int:
    given = call.prepare()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call.run(given)
        return int(torch.cuda.max_memory_allocated(device)) - before
    _release()
    # 5 sets the high-water mark back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5")
    before = resident_bytes("VmRSS")
    call.run(given)
    return max(resident_bytes("VmHWM") - before, 0)


def resident_bytes(field: str) -> int:
    """``VmRSS``, resident memory, or ``VmHWM``, its high-water mark, of this process."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OutOfReachError(f"{_STATUS}: expected a line {field}; peak memory is read on Linux only")


def _release() -> None:
    """Hand what the allocator keeps of earlier calls back to the system: a call that reuses it would look small."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_own_process(requests: Sequence[Request]) -> list[Measurement | str]:
    """Measure ``requests`` one after the other in one fresh process; a figure that cannot be had is a reason.

    For figures that count, one request at a time: what one leaves in memory changes the next.
    """
    sent = json.dumps([asdict(request) for request in requests])
    # As the s4r command runs.
    environment = {**SETTINGS, **os.environ}
    done = subprocess.run(
        [sys.executable, str(_WORKER)], input=sent, capture_output=True, text=True, check=False, env=environment
    )
    answers: list[Measurement | str] = []
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            answer = json.loads(line)
            answers.append(answer["reason"] if "reason" in answer else Measurement(**answer))
    missing = len(requests) - len(answers)
    return answers + [_death(done)] * missing


def _death(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode == -9:
        return "the process was killed, most likely for memory"
    last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
    return f"the process failed: {last[0]}"
