"""What the machine can do at best, and what an operation must do at least."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from tools.bench_scene import BenchScene

_SIDE = 2048
# Far beyond any cache: 256 MiB per array.
_LENGTH = 1 << 26
_FLOAT, _KEY, _ROW, _CELL = 4, 8, 4, 16


@dataclass(frozen=True)
class Ceiling:
    """Measured rates of the machine.

    Attributes:
        side: Rows and columns of the matrices.
        gemm_one: ``torch.mm`` in float32 on one thread, GFLOP/s.
        gemm: The same on all threads.
        gemm_numpy: ``numpy.dot``, the same.
        copy: A copy of a large array, read and written bytes, GB/s.
        triad: a + s * b into c on large arrays, read and written bytes, GB/s.
    """

    side: int
    gemm_one: float
    gemm: float
    gemm_numpy: float
    copy: float
    triad: float

    def describe(self) -> str:
        """One line for the table's head."""
        return (
            f"ceilings: SGEMM {self.side}^3 {self.gemm_one:.0f} GFLOP/s on one thread, {self.gemm:.0f} on all "
            f"(numpy {self.gemm_numpy:.0f}); memory {self.copy:.1f} GB/s copy, {self.triad:.1f} GB/s triad"
        )


def measure_ceiling(device: str, side: int = _SIDE, length: int = _LENGTH, repeats: int = 7) -> Ceiling:
    """Measure the machine; the best of ``repeats`` counts, for a ceiling is what can be reached.

    Args:
        device: "cpu" or "cuda"; numpy's and the single thread's rate are the CPU's in any case.
        side: Rows and columns of the matrices.
        length: Floats in the arrays that are copied.
        repeats: Calls of each kind.
    """
    left, right = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    result = torch.empty(side, side, device=device)
    products = 2e-9 * side**3

    def best(action: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats + 1):
            started = time.perf_counter()
            action()
            if device != "cpu":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
        return min(times[1:])

    gemm = products / best(lambda: torch.mm(left, right, out=result))
    numpy_left, numpy_right = left.cpu().numpy(), right.cpu().numpy()
    gemm_numpy = products / best(lambda: np.dot(numpy_left, numpy_right))
    one, other, threads = left.cpu(), right.cpu(), torch.get_num_threads()
    torch.set_num_threads(1)
    gemm_one = products / best(lambda: torch.mm(one, other))
    torch.set_num_threads(threads)
    # Ones, not zeros: the system would give one shared page of zeros for all.
    source, second, target = (torch.ones(length, device=device) for _ in range(3))
    copy = 2 * _FLOAT * length * 1e-9 / best(lambda: target.copy_(source))
    triad = 3 * _FLOAT * length * 1e-9 / best(lambda: torch.add(source, second, alpha=3.0, out=target))
    return Ceiling(side, gemm_one, gemm, gemm_numpy, copy, triad)


@dataclass(frozen=True)
class Work:
    """What an operation must do, whoever does it.

    Attributes:
        flop: Products and sums; absent neighbours are not counted.
        moved: Bytes to read and write once, if nothing is read twice. Only of operations whose cost is moving.
    """

    flop: float = 0.0
    moved: float = 0.0


def work(operation: str, channels: int, direction: str, scene: BenchScene) -> Work | None:
    """The least work of one operation; None where none is defined, as for a whole network.

    A kernel map reads a voxel's coordinates (16 bytes) and writes a row number (4 bytes) per pair. The others read
    and write features, and per moved row a row number or, where voxels are made, a key (8 bytes).
    """
    count, coarse = len(scene.cells), scene.coarse
    row = channels * _FLOAT
    if operation == "conv3":
        times = 3 if direction == "forward+backward" else 1
        return Work(flop=2.0 * times * scene.pairs * channels**2)
    if operation in ("map-stored", "map-shuffled"):
        return Work(moved=count * _CELL + scene.pairs * _ROW)
    moved = {
        "down2": count * (row + _ROW) + coarse * row,
        "up2-generative": coarse * row + 8 * coarse * (row + _KEY),
        "up2-onto": coarse * row + count * (row + _ROW),
        "prune-half": count + count / 2 * 2 * (row + _KEY),
        "lookup-half": count / 2 * row + count * (row + _ROW),
    }
    return Work(moved=moved[operation]) if operation in moved else None


def share(needed: Work, median_ms: float, ceiling: Ceiling) -> str:
    """How near ``needed`` in ``median_ms`` comes to the machine's rate."""
    if needed.flop:
        rate = needed.flop / median_ms * 1e-6
        return f"{rate:8.1f} GFLOP/s {rate / ceiling.gemm:6.1%} of SGEMM"
    rate = needed.moved / median_ms * 1e-6
    return f"{rate:8.2f} GB/s    {rate / ceiling.copy:6.1%} of copy"
