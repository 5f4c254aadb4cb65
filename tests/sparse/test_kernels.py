"""The compiled kernels against the torch reference, whose own results the tests of the engines judge by loops."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_s4r.sparse import (
    gather_gemm_numba,
    gather_gemm_torch,
    kernel_map_numba,
    kernel_map_torch,
    micro_kernels,
    rows_numba,
    rows_torch,
    sites_numba,
    sites_torch,
)
from sparse_s4r.sparse.backend import backend_of, kernels, use_backend
from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.sparse.kernel_map import neighbours
from sparse_s4r.sparse.sites import Sites, storage_order
from tests.conftest import Tolerance
from tests.forked import in_fork, needs_fork
from tests.sparse.scenes import scattered_cells, shell_cells

Tolerances = Callable[[str, torch.dtype], Tolerance]
DOUBLE = torch.float64
_KEYS = st.lists(st.integers(0, 4000), max_size=300, unique=True)


def _table(rows: int, taps: int, count: int, absent_share: float = 0.3) -> Tensor:
    """A table with some rows absent, and the first tap of the first rows, a whole tile, absent altogether."""
    table = torch.randint(0, max(count, 1), (rows, taps), dtype=torch.int32)
    table[torch.rand(rows, taps) < absent_share] = count
    table[:40, 0] = count
    return table


def _oracle(features: Tensor, weight: Tensor, table: Tensor) -> np.ndarray:
    """The definition, row by row and tap by tap, in float64."""
    x, w = features.double().numpy(), weight.double().numpy()
    result = np.zeros((len(table), w.shape[2]))
    for i, row in enumerate(table.tolist()):
        for tap, j in enumerate(row):
            if j < len(x):
                result[i] += x[j] @ w[tap]
    return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [(1, 1), (2, 16), (4, 3), (3, 8), (16, 16), (16, 24), (17, 40), (24, 48), (40, 32), (64, 96), (7, 128)],
)
def test_products_of_any_number_of_channels(
    inputs: int, outputs: int, dtype: torch.dtype, tolerance: Tolerances
) -> None:
    _assert_products(inputs, outputs, dtype, tolerance)


def _assert_products(inputs: int, outputs: int, dtype: torch.dtype, tolerance: Tolerances) -> None:
    features, weight = torch.randn(90, inputs, dtype=dtype), torch.randn(27, inputs, outputs, dtype=dtype)
    weight /= (27 * inputs) ** 0.5
    table = _table(130, 27, 90)
    result = gather_gemm_numba.gather_gemm(features, weight, table)
    expected = torch.from_numpy(_oracle(features, weight, table)).to(dtype)
    torch.testing.assert_close(result, expected, **vars(tolerance("forward", dtype)))
    gradient = torch.randn(130, outputs, dtype=dtype) / 130**0.5
    by_weight = gather_gemm_numba.weight_gradient(features, gradient, table)
    padded = torch.cat([features.double(), torch.zeros(1, inputs, dtype=DOUBLE)])[table.long()]
    expected = torch.einsum("itc,in->tcn", padded, gradient.double()).to(dtype)
    torch.testing.assert_close(by_weight, expected, **vars(tolerance("gradient", dtype)))


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 3), (5, 8), (6, 24), (16, 16), (17, 40), (24, 48)])
def test_products_on_machines_with_few_registers(
    inputs: int, outputs: int, monkeypatch: pytest.MonkeyPatch, tolerance: Tolerances
) -> None:
    # The tiles that such a machine gets; what this one makes of them computes the same.
    monkeypatch.setattr(gather_gemm_numba, "_LANES", 8)
    monkeypatch.setattr(gather_gemm_numba, "_REGISTERS", 16)
    _assert_products(inputs, outputs, torch.float32, tolerance)


@pytest.mark.parametrize("rows", [0, 1, 7, 12, 13, 25, 191, 192, 193, 200, 2047, 2048, 2049, 4096, 4097])
def test_products_of_any_number_of_rows(rows: int) -> None:
    # 12 rows are the largest tile, 192 a part of a product and 2048 one of a gradient: the ends of each.
    features, weight, table = (
        torch.randn(50, 5, dtype=DOUBLE),
        torch.randn(27, 5, 9, dtype=DOUBLE),
        _table(rows, 27, 50),
    )
    result = gather_gemm_numba.gather_gemm(features, weight, table)
    torch.testing.assert_close(result, gather_gemm_torch.gather_gemm(features, weight, table), rtol=0, atol=1e-11)
    gradient = torch.randn(rows, 9, dtype=DOUBLE)
    by_weight = gather_gemm_numba.weight_gradient(features, gradient, table)
    expected = gather_gemm_torch.weight_gradient(features, gradient, table)
    torch.testing.assert_close(by_weight, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (3, 8), (16, 24), (17, 40), (64, 96)])
def test_coarse_rows_spread_to_children(inputs: int, outputs: int, dtype: torch.dtype, tolerance: Tolerances) -> None:
    features, weight = torch.randn(50, inputs, dtype=dtype), torch.randn(8, inputs, outputs, dtype=dtype) / inputs**0.5
    # 400 stands for the child of an absent cell.
    slots = torch.cat([torch.randperm(400)[:123], torch.tensor([400, 400])])
    expected = torch.zeros(125, outputs, dtype=DOUBLE)
    for i, slot in enumerate(slots[:123].tolist()):
        expected[i] = features[slot // 8].double() @ weight[slot % 8].double()
    for module in (gather_gemm_numba, gather_gemm_torch):
        result = module.spread(features, weight, slots)
        torch.testing.assert_close(result, expected.to(dtype), **vars(tolerance("forward", dtype)))


def test_products_without_rows_or_channels_to_gather() -> None:
    table = torch.zeros(20, 27, dtype=torch.int32)
    assert not gather_gemm_numba.gather_gemm(torch.zeros(0, 3), torch.ones(27, 3, 4), table).any()
    assert not gather_gemm_numba.weight_gradient(torch.zeros(0, 3), torch.ones(20, 4), table).any()
    assert gather_gemm_numba.gather_gemm(torch.zeros(5, 0), torch.ones(27, 0, 4), table).tolist() == [[0.0] * 4] * 20
    assert gather_gemm_numba.gather_gemm(torch.zeros(5, 3), torch.ones(27, 3, 0), table).shape == (20, 0)
    assert not gather_gemm_numba.spread(torch.zeros(0, 3), torch.ones(8, 3, 4), torch.zeros(6, dtype=torch.int64)).any()


def test_rows_beside_the_result_stay_as_they_were() -> None:
    # Three columns of a vector of eight or sixteen, the last tile shifted: what is written beyond would show.
    room = torch.full((60, 3), 7.0)
    features, weight, table = torch.randn(50, 4), torch.randn(27, 4, 3), _table(23, 27, 50)
    zeros = np.zeros(4, np.float32)
    packed = gather_gemm_numba._packed(weight, 8)
    span = (room[20:43].numpy(), features.numpy(), packed, table.numpy(), zeros, 0, 23)
    micro_kernels.sum_rows(*span, (0,) * 6, (0,), (0,) * 8, np.float32(0))
    torch.testing.assert_close(room[20:43], gather_gemm_torch.gather_gemm(features, weight, table))
    assert bool((room[:20] == 7).all())
    assert bool((room[43:] == 7).all())


def test_sums_do_not_depend_on_threads() -> None:
    cells = shell_cells(28)
    sites = Sites.of(cells[storage_order(cells)], 1)
    table, features, gradient = neighbours(sites, 3), torch.randn(len(sites), 16), torch.randn(len(sites), 24)
    weight = torch.randn(27, 16, 24)
    assert len(sites) > 25_000
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            forward = gather_gemm_numba.gather_gemm(features, weight, table)
            results.append((forward, gather_gemm_numba.weight_gradient(features, gradient, table)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for result in results[1:] for one, other in zip(result, results[0], strict=True))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 6), st.integers(0, 2**31))
def test_moves_of_rows(count: int, rows: int, channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, channels, generator=generator)
    index = torch.randint(0, count + 1, (rows,), generator=generator)
    assert torch.equal(rows_numba.take(features, index), rows_torch.take(features, index))
    # Distinct rows, of which some go nowhere.
    places = torch.randperm(count + 5, generator=generator)[:count].clamp(max=count + 2)
    expected = rows_torch.place(features, places, count + 2)
    assert torch.equal(rows_numba.place(features, places, count + 2), expected)


@given(_KEYS, _KEYS)
def test_searches(first: list[int], second: list[int]) -> None:
    keys, wanted = torch.tensor(sorted(first), dtype=torch.int64), torch.tensor(second, dtype=torch.int64)
    assert torch.equal(sites_numba.find(keys, wanted), sites_torch.find(keys, wanted))
    ascending = wanted.sort().values
    assert torch.equal(sites_numba.find(keys, ascending), sites_torch.find(keys, ascending))
    assert sites_numba.is_ascending(keys)
    assert sites_numba.is_ascending(wanted) == sites_torch.is_ascending(wanted) == (second == sorted(second))
    assert torch.equal(keys[sites_numba.argsort(keys)], keys)
    for one, other in zip(sites_numba.parents(keys), sites_torch.parents(keys), strict=True):
        assert torch.equal(one, other)
    limit = 2000
    assert torch.equal(sites_numba.inverse(wanted, limit, 8), sites_torch.inverse(wanted.clamp(max=limit), limit, 8))


@pytest.mark.parametrize("count", [(1 << 16) - 1, 1 << 16, (1 << 16) + 1, 200_000])
def test_searches_at_the_ends_of_parts(count: int) -> None:
    # 65,536 keys are a part: the parents of the last of one may go on into the next.
    keys = torch.unique(torch.randint(0, 4 * count, (2 * count,)))[:count]
    wanted = torch.randint(0, 4 * count, (count,))
    assert torch.equal(sites_numba.find(keys, wanted), sites_torch.find(keys, wanted))
    for one, other in zip(sites_numba.parents(keys), sites_torch.parents(keys), strict=True):
        assert torch.equal(one, other)
    assert sites_numba.is_ascending(keys)
    for place in (1, count // 2, count - 1):
        spoilt = keys.clone()
        spoilt[place] = spoilt[place - 1]
        assert not sites_numba.is_ascending(spoilt)


_AXIS = st.integers(-(1 << 17) - 2, (1 << 17) + 1)


@given(st.lists(st.tuples(st.integers(-1, 513), _AXIS, _AXIS, _AXIS), max_size=20), st.sampled_from([1, 2, 16]))
def test_keys(cells: list[tuple[int, int, int, int]], stride: int) -> None:
    coordinates = torch.tensor(cells, dtype=torch.int64).view(-1, 4)
    (keys, outside), (expected, expected_outside) = (
        module.encode(coordinates, stride) for module in (sites_numba, sites_torch)
    )
    assert outside == expected_outside
    if outside < 0:
        assert torch.equal(keys, expected)
        assert torch.equal(sites_numba.decode(keys, stride), coordinates)


@pytest.mark.parametrize("cells", [scattered_cells(3000, extent=20), shell_cells(12)], ids=["scattered", "shell"])
def test_tables_of_neighbours(cells: Tensor) -> None:
    sites = Sites.of(cells, 1)
    order = sites.order
    ordered = Sites(sites.sorted_keys, 1)
    coarse, slots = ordered.coarse()
    arguments = slots, neighbours(coarse, 3), ordered.by_slot_of(coarse)
    table = kernel_map_numba.descend(*arguments)
    assert torch.equal(table, kernel_map_torch.descend(*arguments))
    assert order is not None
    assert torch.equal(kernel_map_numba.permute(table, order), kernel_map_torch.permute(table, order))


def test_a_backend_can_be_held() -> None:
    tensor = torch.zeros(1)
    assert backend_of(tensor) == "numba"
    assert kernels("gather_gemm", tensor) is gather_gemm_numba
    with use_backend("torch"):
        assert kernels("gather_gemm", tensor) is gather_gemm_torch
        with use_backend("numba"):
            assert kernels("gather_gemm", tensor) is gather_gemm_numba
        assert backend_of(tensor) == "torch"
    assert backend_of(tensor) == "numba"
    with (
        pytest.raises(ValueError, match="backend: expected one of torch, numba, triton, got 'cuda'"),
        use_backend("cuda"),
    ):
        pass


@pytest.mark.parametrize("name", ["gather_gemm", "rows"])
def test_types_without_kernels_go_to_the_reference(name: str) -> None:
    module: ModuleType = importlib.import_module(f"sparse_s4r.sparse.{name}_torch")
    assert kernels(name, torch.zeros(1, dtype=torch.bfloat16)) is module


@pytest.mark.parametrize("channels", [3, 16])
def test_half_types_on_the_cpu(channels: int, tolerance: Tolerances) -> None:
    cells = scattered_cells(300)
    features, weight = torch.randn(len(cells), channels), torch.randn(27, channels, 8) / (27 * channels) ** 0.5
    expected = make_voxels("builtin", cells, features).conv(weight).features
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = make_voxels("builtin", cells, features).conv(weight).features
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), expected, **vars(tolerance("forward", torch.bfloat16)))


def test_types_that_differ_are_refused() -> None:
    voxels = make_voxels("builtin", scattered_cells(20), torch.zeros(len(scattered_cells(20)), 2))
    with pytest.raises(ValueError, match=r"weight: expected torch\.float32 as the features have, got torch\.float64"):
        voxels.conv(torch.zeros(27, 2, 2, dtype=DOUBLE))


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_storage_order_is_that_of_keys(seed: int) -> None:
    cells = scattered_cells(200, seed=seed)
    assert Sites.of(cells[storage_order(cells)], 1).order is None


def test_commands_do_not_wait_for_the_compiler() -> None:
    imports = "import sys, sparse_s4r.cli.main, sparse_s4r.sparse.builtin"
    program = f"{imports}; print([name for name in ('numba', 'triton') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def _convolved() -> Tensor:
    cells = shell_cells(10)
    features = torch.linspace(-1, 1, 4 * len(cells)).view(-1, 4)
    return make_voxels("builtin", cells, features).conv(torch.linspace(-1, 1, 27 * 16).view(27, 4, 4)).features


def _norm_of_convolved() -> float:
    # As in DataLoader's workers: torch's own threads do not survive a fork.
    torch.set_num_threads(1)
    return float(_convolved().double().square().sum())


@needs_fork
def test_forked_processes_work_like_their_parent() -> None:
    # An OpenMP pool of numba's, as its parallel loops use, would hang or end the child.
    expected = float(_convolved().double().square().sum())
    assert in_fork(_norm_of_convolved) == expected


def test_threads_work_side_by_side() -> None:
    expected, results = _convolved(), [torch.empty(0)] * 4

    def work(index: int) -> None:
        results[index] = _convolved()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(result, expected) for result in results)
