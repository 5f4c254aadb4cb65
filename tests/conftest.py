"""What holds for every test: repeatable numbers, full float32, tolerances and the one definition of each skip."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import settings

from sparse_s4r.sparse.minkowski_maps import load_engine

# The same examples on every run, so that a red run is red again; no deadline, as machines are shared and slow.
settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")


@dataclass(frozen=True)
class Tolerance:
    """How far two computations of the same numbers may lie apart: ``**vars(tolerance)`` for assert_close."""

    rtol: float
    atol: float


# Two orders of the same sum of n products differ by about eps * sqrt(n), at worst eps * n, relative to its magnitude.
# Forward sums here have at most 27 * 128 products, gradients of weights one per voxel (some 1e4 in tests).
_TOLERANCES = {
    # eps 1.1e-16: worst case 4e-13; 1e-9 leaves room for a chain of layers and is what the engines promise each other.
    ("forward", torch.float64): Tolerance(1e-9, 1e-9),
    ("gradient", torch.float64): Tolerance(1e-9, 1e-9),
    # eps 6e-8: typical 4e-6 forward and 6e-6 for gradients, whose worst case is 6e-4.
    ("forward", torch.float32): Tolerance(1e-5, 1e-5),
    ("gradient", torch.float32): Tolerance(1e-4, 1e-4),
    # eps 5e-4 (half) and 4e-3 (bfloat16) with accumulation in float32: the rounding of inputs and output remains.
    ("forward", torch.float16): Tolerance(2e-3, 2e-3),
    ("gradient", torch.float16): Tolerance(1e-2, 1e-2),
    ("forward", torch.bfloat16): Tolerance(2e-2, 2e-2),
    ("gradient", torch.bfloat16): Tolerance(5e-2, 5e-2),
}


@pytest.fixture(scope="session")
def tolerance() -> Callable[[str, torch.dtype], Tolerance]:
    """Function of ("forward" or "gradient", dtype) that gives the tolerance for values of order one."""
    return lambda quantity, dtype: _TOLERANCES[quantity, dtype]


@pytest.fixture(autouse=True)
def repeatable() -> None:
    """Seed every generator that a test might draw from."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def without_minkowski(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MinkowskiEngine as if it were not installed; afterwards as it was."""
    load_engine.cache_clear()
    # Where None stands, an import finds nothing.
    monkeypatch.setitem(sys.modules, "MinkowskiEngine", None)
    yield
    load_engine.cache_clear()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires_gpu: needs a CUDA device; skipped where there is none")
    # TF32 keeps 10 bits of the mantissa: a comparison in "float32" would be one in half precision.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    # The order of sums, and with it their last bits, must not depend on how many cores a machine has.
    torch.set_num_threads(min(2, torch.get_num_threads()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("requires_gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
