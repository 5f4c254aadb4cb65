"""Time and peak memory of the sparse engines, operation by operation and for the whole network, in one run.

    python tools/bench_engines.py --json bench.json --ceiling
    python tools/bench_engines.py --scene runs/office/scene --engines builtin minkowski --operations training-step

Scenes are generated rooms at 2 cm with about 0.3, 1.0 and 2.5 million voxels, made once and kept in --cache, and any
folder made by s4r import. Every figure comes from a process of its own; the engines take turns, so that one and the
same minute serves all figures of a row. How it is done and how to read it: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.cli.environment import SETTINGS
from sparse_s4r.sparse.factory import expect_engine
from sparse_s4r.structures.errors import UserError
from tools.bench_ceiling import Ceiling, measure_ceiling, share, work
from tools.bench_made_room import QUICK, room_scene
from tools.bench_operations import MAPS, NETWORK_OPERATIONS, OPERATIONS, offers
from tools.bench_process import Measurement, Request, in_own_process
from tools.bench_scene import BenchScene

ENGINES = ("builtin", "torch", "minkowski", "dense-masked", "spconv")
# What an engine needs beside the package.
_PACKAGES = {"minkowski": "MinkowskiEngine", "spconv": "spconv"}
_QUICK_SETTINGS = ("model.widths=[4,4,6,6,8]", "model.bottleneck_blocks=1", "model.reach=1", "data.image_width=24")
REFERENCE = "minkowski"


@dataclass(frozen=True)
class Record:
    """One figure of the table, as written to --json; ``peak_bytes`` is beyond what was held before the call."""

    engine: str
    operation: str
    channels: int
    direction: str
    voxels: int
    median_ms: float
    peak_bytes: int


Row = tuple[str, int, str]  # Operation, channels, direction.
Found = dict[str, Measurement | str]  # By engine; a text says why there is no figure.
# Of the environment, what decides speed.
_TOLD = ("OMP_NUM_THREADS", *SETTINGS)
_GAP = f"{'-':>12}{'-':>11}"


def main() -> None:
    """Measure and print; write the records as JSON when asked."""
    options = _parse()
    try:
        engines = usable_engines(options.engines, print)
        records = _run(options, engines)
    except UserError as error:
        sys.exit(f"bench_engines: {error}")
    if options.json:
        options.json.write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = (*OPERATIONS, *NETWORK_OPERATIONS)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, help="default: all that are installed")
    parser.add_argument("--operations", nargs="+", choices=every, default=list(every))
    parser.add_argument("--voxels", type=int, nargs="+", help="sizes of the made rooms; default 300000 1000000 2500000")
    parser.add_argument("--scene", type=Path, action="append", default=[], help="scene folder; may be repeated")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64], help="of the convolution")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of an operation")
    parser.add_argument("--network-repeats", type=int, default=3, help="timed calls of a whole network")
    parser.add_argument("--config", type=Path, help="configuration of the network; default: those of config.py")
    parser.add_argument("--set", action="append", default=[], help="section.key=value of the network")
    parser.add_argument("--checkpoint", type=Path, help="trained weights for the whole network; default: fresh ones")
    parser.add_argument("--cache", type=Path, default=Path("runs/bench"), help="folder of the made rooms")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--ceiling", action="store_true", help="how near each operation comes to the machine's rates")
    parser.add_argument("--quick", action="store_true", help="a tiny room, few channels, one repeat, shared processes")
    parser.add_argument("--json", type=Path, help="file for the records")
    options = parser.parse_args()
    if options.quick:
        options.channels, options.repeats, options.network_repeats = [4], 1, 1
        options.set = [*_QUICK_SETTINGS, *options.set]
    return options


def usable_engines(asked: Sequence[str] | None, say: Callable[[str], object]) -> list[str]:
    """The engines to measure: those asked for, or all that are installed; the others are named.

    Raises:
        UserError: One that was asked for is not installed.
    """
    engines = []
    for engine in asked or ENGINES:
        package = _PACKAGES.get(engine)
        if package is None or importlib.util.find_spec(package) is not None:
            engines.append(engine)
        elif asked is None:
            say(f"without {engine}: {package} is not installed")
        elif engine == "spconv":
            raise UserError("engine: spconv is not installed; pip install spconv")
        else:
            expect_engine(engine)
    return engines


def rows(operations: Sequence[str], channels: Sequence[int]) -> Iterator[Row]:
    """All rows of the table of one scene."""
    for operation in operations:
        if operation in MAPS:
            yield operation, 0, "forward"
        elif operation == "conv3":
            for direction in ("forward", "forward+backward"):
                for count in channels:
                    yield operation, count, direction
        elif operation == "training-step":
            yield operation, 0, "forward+backward"
        else:
            yield operation, 0 if operation in NETWORK_OPERATIONS else channels[0], "forward"


def _run(options: argparse.Namespace, engines: list[str]) -> list[Record]:
    print(head(options.device))
    for name in options.operations:
        print(f"  {name:20} {({**OPERATIONS, **NETWORK_OPERATIONS})[name]}")
    ceiling = None
    if options.ceiling:
        ceiling = measure_ceiling(options.device, *((256, 1 << 20, 2) if options.quick else ()))
        print(ceiling.describe())
    records = []
    for folder in _scenes(options):
        scene = BenchScene(folder)
        print(f"\n{scene.describe()}\n{table_head(engines)}", flush=True)
        for row, found in _measured(options, engines, folder):
            print(table_line(row, engines, found), flush=True)
            records += [_record(engine, row, one) for engine, one in found.items() if isinstance(one, Measurement)]
            for line in _remarks(row, found, ceiling, scene):
                print(f"    {line}", flush=True)
    return records


def _scenes(options: argparse.Namespace) -> Iterator[Path]:
    if options.quick and not options.scene:
        yield room_scene(0, options.cache, QUICK)
        return
    # Sizes that were asked for are wanted beside given folders; the usual sizes are not.
    for voxels in options.voxels or ([] if options.scene else [300_000, 1_000_000, 2_500_000]):
        yield room_scene(voxels, options.cache)
    yield from options.scene


def _measured(options: argparse.Namespace, engines: list[str], folder: Path) -> Iterator[tuple[Row, Found]]:
    """Every row's answers by engine; --quick saves starting processes by one for each engine."""
    wanted = list(rows(options.operations, options.channels))

    def ask(engine: str, some: Sequence[Row]) -> dict[Row, Measurement | str]:
        offered = [row for row in some if offers(engine, row[0])]
        requests = [_request(options, engine, row, folder) for row in offered]
        return dict(zip(offered, in_own_process(requests) if requests else [], strict=True))

    known = {engine: ask(engine, wanted) for engine in engines} if options.quick else {}
    for row in wanted:
        answers = known or {engine: ask(engine, [row]) for engine in engines}
        yield row, {engine: answers[engine][row] for engine in engines if row in answers[engine]}


def _request(options: argparse.Namespace, engine: str, row: Row, folder: Path) -> Request:
    operation, channels, direction = row
    network = operation in NETWORK_OPERATIONS
    return Request(
        engine,
        operation,
        channels,
        direction,
        str(folder),
        options.network_repeats if network else options.repeats,
        options.device,
        str(options.config) if options.config else None,
        tuple(options.set),
        str(options.checkpoint) if options.checkpoint else None,
    )


def _record(engine: str, row: Row, found: Measurement) -> Record:
    operation, channels, direction = row
    return Record(engine, operation, channels, direction, found.voxels, found.median_ms, found.peak_bytes)


def head(device: str) -> str:
    """Where and when the figures are taken."""
    processor = torch.cuda.get_device_name() if device == "cuda" else _processor()
    told = [f"{name}={value}" for name, value in ({**SETTINGS, **os.environ}).items() if name in _TOLD]
    settings = ", ".join([f"{torch.get_num_threads()} threads of {os.cpu_count()} processors", *told])
    today = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{today}, {processor}, {settings}, torch {torch.__version__}, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def table_head(engines: Sequence[str]) -> str:
    """Two lines of titles for ``table_line``."""
    first, second = f"{'':41}", f"{'operation':20} {'C':>3} {'direction':16}"
    for engine in engines:
        first += f"{engine:>23}"
        second += f"{'ms':>12}{'peak MiB':>11}"
    if REFERENCE in engines:
        for engine in engines:
            if engine != REFERENCE:
                first += f"{f'{REFERENCE}/{engine}':>23}"
                second += f"{'time':>12}{'memory':>11}"
    return f"{first}\n{second}"


def table_line(row: Row, engines: Sequence[str], found: Found) -> str:
    """One row: time and memory per engine, then the reference's time and memory divided by each other engine's."""
    operation, channels, direction = row
    text = f"{operation:20} {channels or '':>3} {direction:16}"
    for engine in engines:
        one = found.get(engine)
        text += f"{one.median_ms:12.2f}{one.peak_bytes / 2**20:11.1f}" if isinstance(one, Measurement) else _GAP
    if REFERENCE in engines:
        for engine in engines:
            if engine != REFERENCE:
                text += _ratios(found.get(REFERENCE), found.get(engine))
    return text


def _ratios(reference: Measurement | str | None, other: Measurement | str | None) -> str:
    """How many times faster and smaller ``other`` is."""
    if not isinstance(reference, Measurement) or not isinstance(other, Measurement):
        return _GAP
    memory = f"{reference.peak_bytes / other.peak_bytes:.2f}" if other.peak_bytes else "-"
    return f"{reference.median_ms / other.median_ms:12.2f}{memory:>11}"


def _remarks(row: Row, found: Found, ceiling: Ceiling | None, scene: BenchScene) -> Iterator[str]:
    """Why a figure is missing, and the shares of the machine's rates."""
    for engine, one in found.items():
        if isinstance(one, str):
            yield f"{engine}: left out, {one}"
    needed = work(*row, scene) if ceiling else None
    if ceiling is None or needed is None:
        return
    for engine, one in found.items():
        if isinstance(one, Measurement):
            yield f"{engine:14} {share(needed, one.median_ms, ceiling)}"


if __name__ == "__main__":
    main()
