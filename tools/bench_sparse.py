"""Times the builtin sparse engine step by step on a scene like a scanned room.

python tools/bench_sparse.py --voxels 300000 --voxels 1000000 --json bench.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.kernel_map import neighbours
from sparse_s4r.sparse.sites import Sites


@dataclass(frozen=True)
class Timing:
    """One step on one scene.

    Attributes:
        step: What was timed.
        voxels: Sites of the input.
        channels: Channels in and out; 0 for a step without features.
        seconds: Median wall time.
        cpu_seconds: Median of the process's CPU time; on a busy machine the steadier figure.
        gflop: Useful products and sums, in 1e9 (absent cells not counted); 0 for moves.
    """

    step: str
    voxels: int
    channels: int
    seconds: float
    cpu_seconds: float
    gflop: float


def scan_like_cells(voxels: int, seed: int = 0) -> Tensor:
    """About ``voxels`` cells (N, 4) int64 in the band of a furnished room, six thick, 3 % missing, by (x, y, z)."""
    # The room's six faces and the furniture have some 3.6 edge^2 cells of surface.
    edge = int((voxels / 6 / 3.6) ** 0.5)
    shape = torch.tensor([edge, edge, edge * 2 // 5])
    generator = torch.Generator().manual_seed(seed)
    band = _hollow(torch.zeros(*shape.tolist(), dtype=torch.bool), torch.zeros(3).long(), shape)
    for _ in range(6):
        size = (torch.tensor([0.12, 0.12, 0.08]) * edge * (1 + torch.rand(3, generator=generator))).long()
        lower = (torch.rand(3, generator=generator) * (shape - size)).long() * torch.tensor([1, 1, 0])
        band = _hollow(band, lower, lower + size)
    band &= torch.rand(band.shape, generator=generator) > 0.03
    return torch.nn.functional.pad(band.nonzero(), (1, 0))


def _hollow(band: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """``band`` with a box of walls six cells thick and nothing in it."""
    band, inner, outer = band.clone(), [], []
    for low, high in zip(lower.tolist(), upper.tolist(), strict=True):
        outer.append(slice(low, high))
        inner.append(slice(low + 6, high - 6))
    band[tuple(outer)] = True
    band[tuple(inner)] = False
    return band


def measure(step: Callable[[], object], repeats: int, device: torch.device) -> tuple[float, float]:
    """Median wall and CPU seconds of ``step``, after one call that is not counted."""
    walls, processes = [], []
    for _ in range(repeats + 1):
        wall, process = time.perf_counter(), time.process_time()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        walls.append(time.perf_counter() - wall)
        processes.append(time.process_time() - process)
    return statistics.median(walls[1:]), statistics.median(processes[1:])


def time_sites(cells: Tensor, repeats: int) -> Iterator[Timing]:
    """Steps without features: sorting the cells, and the table of neighbours of fresh sites."""
    for step, call in (
        ("sites", lambda: Sites.of(cells, 1)),
        ("sites and kernel map", lambda: neighbours(Sites.of(cells, 1), 3)),
    ):
        wall, process = measure(call, repeats, cells.device)
        yield Timing(step, len(cells), 0, wall, process, 0.0)


def time_features(cells: Tensor, channels: int, repeats: int) -> Iterator[Timing]:
    """Steps with features, all relations of the sites being known, as from the second layer on."""
    sites = Sites.of(cells, 1)
    features = torch.randn(len(cells), channels, device=cells.device)
    weights = [torch.randn(taps, channels, channels, device=cells.device) / (27 * channels) ** 0.5 for taps in (27, 8)]
    leaf, weight = features.clone().requires_grad_(), weights[0].clone().requires_grad_()
    voxels, coarse = BuiltinVoxels(sites, features), BuiltinVoxels(sites, features).down(weights[1])
    keep = torch.rand(len(cells), device=cells.device) < 0.5
    pairs = int((neighbours(sites, 3) < len(sites)).sum())
    products = 2e-9 * channels**2
    steps: list[tuple[str, Callable[[], object], float]] = [
        ("conv forward", lambda: voxels.conv(weights[0]), pairs * products),
        (
            "conv forward and backward",
            lambda: torch.autograd.grad(BuiltinVoxels(sites, leaf).conv(weight).features, (leaf, weight), features),
            3 * pairs * products,
        ),
        ("down", lambda: voxels.down(weights[1]), len(cells) * products),
        ("up to all children", lambda: coarse.up(weights[1]), 8 * len(coarse.sites) * products),
        ("up onto the sites", lambda: coarse.up(weights[1], voxels), len(cells) * products),
        ("prune half", lambda: voxels.prune(keep), 0.0),
        ("look up own features in half", lambda: voxels.lookup(voxels.prune(keep)), 0.0),
    ]
    for step, call, gflop in steps:
        with torch.set_grad_enabled("backward" in step):
            wall, process = measure(call, repeats, cells.device)
        yield Timing(step, len(cells), channels, wall, process, gflop)


def main() -> None:
    """Parse the command line, print one line per step, and write them all as JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--voxels", type=int, action="append", help="size of a scene; may be repeated")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="file to write")
    options = parser.parse_args()
    timings = []
    for voxels in options.voxels or [300_000, 1_000_000]:
        cells = scan_like_cells(voxels).to(options.device)
        print(f"{len(cells)} voxels")
        for timing in [
            *time_sites(cells, options.repeats),
            *(timing for channels in options.channels for timing in time_features(cells, channels, options.repeats)),
        ]:
            print(
                f"  {timing.step:30} C {timing.channels:3}  {timing.seconds:7.3f} s  "
                f"{timing.cpu_seconds:7.3f} CPU s  {timing.gflop / timing.seconds:6.1f} GFLOP/s"
            )
            timings.append(timing)
    if options.json:
        machine = {"threads": torch.get_num_threads(), "torch": torch.__version__, "processor": platform.processor()}
        options.json.write_text(json.dumps({**machine, "timings": [asdict(timing) for timing in timings]}, indent=1))


if __name__ == "__main__":
    main()
