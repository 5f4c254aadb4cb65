"""What the sparse and the dense network cost on one scene, as users run them, and how the sparse one's cost grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparse_s4r.build import build_network
from sparse_s4r.data.scene import open_scene
from sparse_s4r.inference.chunked import CHUNK
from sparse_s4r.models.dense_net import scan_box
from sparse_s4r.structures.errors import UserError
from tools.bench_network import request_config
from tools.bench_process import Measurement, Request, in_own_process
from tools.dense_memory import forward_bytes, training_bytes


@dataclass(frozen=True)
class CostRow:
    """One figure of cost; what is None was not measured.

    Attributes:
        backbone: "sparse" or "dense".
        operation: "prediction" or "training-step".
        extent: What it works on: "whole scene", "chunks" of 64 x 64 x 128 voxels, or "crop", a column as wide as one.
        voxels: Of the incomplete scan that went in.
        voxels_out: Of the prediction.
        floor_m2: Floor area of what went in.
        rooms: The scene was laid out this many times along x and y.
        seconds: Median.
        peak_bytes: Beyond what was held before; if ``computed``, the activations alone.
        computed: The memory is computed and nothing was run.
        note: What else must be known.
    """

    backbone: str
    operation: str
    extent: str
    voxels: int
    voxels_out: int | None
    floor_m2: float | None
    rooms: int
    seconds: float | None
    peak_bytes: int | None
    computed: bool = False
    note: str = ""


@dataclass(frozen=True)
class CostOptions:
    """How the cost is measured.

    Attributes:
        engine: Sparse engine.
        device: "cpu" or "cuda".
        repeats: Timed calls.
        dense_chunks: Predict an even choice of this many chunks and scale up; 0: all.
        config: Configuration file of both; None: the defaults.
        settings: ``section.key=value`` for both.
        sparse_checkpoint: Trained weights; None: fresh ones.
        dense_checkpoint: Trained weights; None: fresh ones.
    """

    engine: str = "builtin"
    device: str = "cpu"
    repeats: int = 3
    dense_chunks: int = 0
    config: str | None = None
    settings: tuple[str, ...] = ()
    sparse_checkpoint: str | None = None
    dense_checkpoint: str | None = None

    def request(self, backbone: str, operation: str, scene: Path, *more: str) -> Request:
        """The request for ``backbone`` on ``scene`` with ``more`` settings."""
        sparse = backbone == "sparse"
        return Request(
            self.engine if sparse else "dense",
            operation,
            0,
            "forward" if operation == "prediction" else "forward+backward",
            str(scene),
            self.repeats,
            self.device,
            self.config,
            (*self.settings, *more),
            self.sparse_checkpoint if sparse else self.dense_checkpoint,
            chunks=0 if sparse else self.dense_chunks,
        )


def compare_cost(scene: Path, options: CostOptions) -> list[CostRow]:
    """Both networks on the same scene: predictions, training steps, and what the dense one would take as a whole."""
    # As wide as the paper's chunk, full height: what either is trained on when the dense one takes part.
    crop = f"data.crop={CHUNK[0] * open_scene(scene).grid.voxel_size}"
    asked = [
        (options.request("sparse", "prediction", scene), "whole scene"),
        (options.request("dense", "prediction", scene), "chunks"),
        (options.request("sparse", "training-step", scene, "data.crop=null"), "whole scene"),
        (options.request("sparse", "training-step", scene, crop), "crop"),
        (options.request("dense", "training-step", scene, crop), "crop"),
    ]
    return [*(measured_row(request, extent) for request, extent in asked), *computed_rows(scene, options)]


def measured_row(request: Request, extent: str) -> CostRow:
    """Measure ``request`` in a process of its own.

    Raises:
        UserError: It failed.
    """
    backbone = "dense" if request.engine == "dense" else "sparse"
    (found,) = in_own_process([request])
    if not isinstance(found, Measurement):
        raise UserError(f"{backbone} {request.operation} on {request.scene}: {found}")
    extra = found.extra
    seconds, note = found.median_ms / 1e3, ""
    voxels_out = int(extra["voxels_out"]) if "voxels_out" in extra else None
    if extra.get("chunks", 0) != extra.get("chunks_run", 0):
        share = extra["chunks"] / extra["chunks_run"]
        note = f"measured on {extra['chunks_run']:.0f} of {extra['chunks']:.0f} chunks, time scaled up; memory of one"
        seconds, voxels_out = seconds * share, None
    return CostRow(
        backbone,
        request.operation,
        extent,
        found.voxels,
        voxels_out,
        extra.get("floor_m2"),
        request.rooms,
        round(seconds, 4),
        found.peak_bytes,
        note=note,
    )


def computed_rows(scene: Path, options: CostOptions) -> list[CostRow]:
    """Activations of the dense network on the box of the whole scene, by the formulas of ``dense_memory``."""
    opened = open_scene(scene)
    scan = opened.load_scan("input")
    lower, upper = scan_box(scan)
    box = (upper - lower).tolist()
    shape = build_network(request_config(options.request("dense", "prediction", scene), opened)).shape
    note = f"computed, activations alone, on a box of {' x '.join(map(str, box))} voxels"
    return [
        CostRow("dense", operation, "whole scene", len(scan), None, None, 1, None, needed, True, note)
        for operation, needed in (
            ("prediction", forward_bytes(box, shape)),
            ("training-step", training_bytes(box, shape)),
        )
    ]


def measure_growth(scene: Path, rooms: Sequence[int], options: CostOptions) -> list[CostRow]:
    """The sparse network on ``scene`` laid out n x n times for every n of ``rooms``."""
    # A budget would cut the large scenes' cost.
    unbounded = (f"model.{name}={10**9}" for name in ("voxel_budget", "training_budget"))
    settings = (*unbounded, "data.crop=null")
    return [
        measured_row(replace(options.request("sparse", operation, scene, *settings), rooms=count), "whole scene")
        for operation in ("prediction", "training-step")
        for count in rooms
    ]


@dataclass(frozen=True)
class Fit:
    """``quantity = factor * voxels ** exponent``, by least squares of the logarithms."""

    operation: str
    quantity: str
    factor: float
    exponent: float


def power_fit(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """a and b of ``values = a * sizes ** b``.

    Raises:
        ValueError: Fewer than two different sizes, or numbers that are not positive.
    """
    if len(set(sizes)) < 2 or len(sizes) != len(values) or min(*sizes, *values) <= 0:
        raise ValueError(f"fit: expected two or more different sizes and positive values, got {sizes} and {values}")
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    products = sum((one - mean_x) * (other - mean_y) for one, other in zip(x, y, strict=True))
    exponent = products / sum((one - mean_x) ** 2 for one in x)
    return math.exp(mean_y - exponent * mean_x), exponent


def growth_fits(rows: Sequence[CostRow]) -> list[Fit]:
    """Fits of time and memory against voxels, for every operation of ``rows``."""
    fits = []
    for operation in dict.fromkeys(row.operation for row in rows):
        mine = [row for row in rows if row.operation == operation]
        sizes = [float(row.voxels) for row in mine]
        for quantity in ("seconds", "peak_bytes"):
            fits.append(Fit(operation, quantity, *power_fit(sizes, [float(getattr(row, quantity)) for row in mine])))
    return fits


def cost_table(rows: Sequence[CostRow]) -> str:
    """The rows as text."""
    lines = [
        f"{'backbone':9}{'operation':15}{'on':12}{'rooms':>6}{'voxels in':>12}{'out':>12}{'floor m2':>10}"
        f"{'seconds':>11}{'peak MiB':>11}  note"
    ]
    for row in rows:
        rooms = f"{row.rooms}x{row.rooms}"
        peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 2**20:.0f}"
        lines.append(
            f"{row.backbone:9}{row.operation:15}{row.extent:12}{rooms:>6}{row.voxels:>12,}"
            f"{_number(row.voxels_out, ',d'):>12}{_number(row.floor_m2, '.1f'):>10}"
            f"{_number(row.seconds, '.3f'):>11}{peak:>11}  {row.note}".rstrip()
        )
    return "\n".join(lines)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
