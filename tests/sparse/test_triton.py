"""The Triton kernels: in its interpreter, compiled without a GPU, and on a GPU where there is one.

The interpreter runs programs one after another in numpy. It shows that indices, masks and sums are right. It cannot
show races, the order in which a GPU adds within a tile, or that the code compiles: hence the other two parts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse_s4r.sparse import kernel_map_torch
from sparse_s4r.sparse.backend import kernels, use_backend
from sparse_s4r.sparse.gather_gemm import convolve
from sparse_s4r.sparse.kernel_map import neighbours
from sparse_s4r.sparse.sites import Sites
from tests.conftest import Tolerance
from tests.oracles.sparse_conv import conv
from tests.sparse.interpreted import interpreted_modules
from tests.sparse.scenes import field_of, scattered_cells, shell_cells

pytest.importorskip("triton", reason="Triton has builds for Linux alone")

Tolerances = Callable[[str, torch.dtype], Tolerance]

_ROOT = Path(__file__).resolve().parents[2]
# Shared memory that a block may have on the cards with least of it (architectures 8.6 and 8.9), bytes.
_LEAST_SHARED_MEMORY = 99 * 1024
_DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture(scope="module")
def modules() -> dict[str, ModuleType]:
    """The modules with kernels, for the interpreter."""
    return interpreted_modules()


@pytest.fixture(scope="module")
def gemm(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["gather_gemm_triton"]


@pytest.fixture(scope="module")
def maps(modules: dict[str, ModuleType]) -> ModuleType:
    return modules["kernel_map_triton"]


def _case(rows_in: int, rows_out: int, inputs: int, outputs: int, dtype: torch.dtype, taps: int = 27) -> list[Tensor]:
    """Features, weight, table and gradient; a third of the cells absent, tap 3 wholly, and rows 5 and 6 wholly."""
    features = torch.randn(rows_in, inputs, dtype=dtype)
    # Results of order one, as the tolerances want.
    weight = (torch.randn(taps, inputs, outputs) / (taps * inputs) ** 0.5).to(dtype)
    table = torch.randint(0, rows_in + rows_in // 2 + 1, (rows_out, taps)).clamp(max=rows_in).int()
    table[:, 3:4] = rows_in
    table[5:7] = rows_in
    gradient = (torch.randn(rows_out, outputs) / max(rows_out, 1) ** 0.5).to(dtype)
    return [features, weight, table, gradient]


def _expected(features: Tensor, weight: Tensor, table: Tensor, gradient: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Result and weight gradient in float64, row by row and tap by tap."""
    values, matrices, against = (tensor.double().numpy() for tensor in (features, weight, gradient))
    result = np.zeros((len(table), weight.shape[2]))
    by_weight = np.zeros(weight.shape)
    for row, entries in enumerate(table.tolist()):
        for tap, seen in enumerate(entries):
            if seen < len(values):
                result[row] += values[seen] @ matrices[tap]
                by_weight[tap] += np.outer(values[seen], against[row])
    return result, by_weight


def _assert_near(got: Tensor, expected: np.ndarray, tolerance: Tolerance) -> None:
    torch.testing.assert_close(got.double(), torch.from_numpy(expected), **vars(tolerance))


@pytest.mark.parametrize("dtype", _DTYPES, ids=str)
@pytest.mark.parametrize(
    ("rows_in", "rows_out", "inputs", "outputs"),
    # Few channels, several taps to a product; odd ones; more than a block of both; one output; N < M and N > M.
    [(40, 50, 2, 17), (40, 40, 17, 3), (60, 30, 40, 40), (20, 35, 3, 2), (33, 37, 16, 1)],
)
def test_convolution(
    gemm: ModuleType,
    tolerance: Tolerances,
    dtype: torch.dtype,
    rows_in: int,
    rows_out: int,
    inputs: int,
    outputs: int,
) -> None:
    features, weight, table, gradient = _case(rows_in, rows_out, inputs, outputs, dtype)
    result, by_weight = _expected(features, weight, table, gradient)
    got, got_by_weight = gemm.gather_gemm(features, weight, table), gemm.weight_gradient(features, gradient, table)
    assert got.dtype == dtype
    assert got_by_weight.dtype == torch.float32
    assert not got[5:7].any()
    assert not got_by_weight[3].any()
    _assert_near(got, result, tolerance("forward", dtype))
    # Products of halves are exact in float32, and so is what the sum starts from: no rounding of halves remains.
    _assert_near(got_by_weight, by_weight, tolerance("gradient", torch.float32))


def test_whole_layer_against_the_reference_and_the_oracle(gemm: ModuleType, tolerance: Tolerances) -> None:
    cells = scattered_cells(60, extent=5)
    table = neighbours(Sites.of(cells, 1), 3)
    features = torch.randn(len(cells), 5, requires_grad=True)
    weight = torch.randn(27, 5, 4).div_(10).requires_grad_()
    with use_backend("torch"):
        reference = convolve(features, weight, table)
        gradient = torch.randn_like(reference)
        reference.backward(gradient)
    assert features.grad is not None
    assert weight.grad is not None
    own, matrix = features.detach(), weight.detach()
    got = gemm.gather_gemm(own, matrix, table)
    torch.testing.assert_close(got, reference.detach(), **vars(tolerance("forward", torch.float32)))
    field = conv(field_of(cells, own), matrix.double().numpy())
    expected = np.stack([field[tuple(cell)] for cell in cells.tolist()])
    _assert_near(got, expected, tolerance("forward", torch.float32))
    # The gradient of features is the same product with opposite taps; views with other strides are taken as well.
    by_features = gemm.gather_gemm(gradient, matrix.flip(0).transpose(1, 2), table)
    torch.testing.assert_close(by_features, features.grad, **vars(tolerance("gradient", torch.float32)))
    by_weight = gemm.weight_gradient(own, gradient.t().contiguous().t(), table)
    torch.testing.assert_close(by_weight, weight.grad, **vars(tolerance("gradient", torch.float32)))


def test_weight_gradient_in_several_parts(gemm: ModuleType, tolerance: Tolerances) -> None:
    # 1100 rows make two parts, the second of which is not full.
    features, weight, table, gradient = _case(30, 1100, 2, 3, torch.float32)
    _, by_weight = _expected(features, weight, table, gradient)
    _assert_near(gemm.weight_gradient(features, gradient, table), by_weight, tolerance("gradient", torch.float32))


def test_gradient_that_is_broadcast(gemm: ModuleType) -> None:
    # What sum().backward() hands down has strides of zero.
    features, _, table, _ = _case(20, 20, 16, 4, torch.float32)
    ones = torch.ones(1).expand(20, 4)
    assert torch.equal(
        gemm.weight_gradient(features, ones, table), gemm.weight_gradient(features, ones.contiguous(), table)
    )


@pytest.mark.parametrize("inputs", [2, 64])
def test_more_features_than_32_bits_count(gemm: ModuleType, inputs: int) -> None:
    # The system gives memory only to pages that are written: the two rows at the end, of 4 GiB.
    rows = 2**31 // inputs + 100
    features = torch.empty(rows, inputs, dtype=torch.float16)
    features[-2:] = torch.randn(2, inputs)
    weight = torch.randn(1, inputs, 2).half()
    table = torch.tensor([[rows - 1], [rows], [rows - 2]], dtype=torch.int32)
    result = gemm.gather_gemm(features, weight, table)
    expected = torch.stack(
        [features[-1].float() @ weight[0].float(), torch.zeros(2), features[-2].float() @ weight[0].float()]
    )
    torch.testing.assert_close(result.float(), expected, rtol=2e-3, atol=2e-3 * inputs**0.5)
    by_weight = gemm.weight_gradient(features, torch.eye(3, dtype=torch.float16), table)
    torch.testing.assert_close(
        by_weight[0], torch.stack([features[-1], torch.zeros(inputs).half(), features[-2]], 1).float()
    )


@pytest.mark.parametrize("inputs", [2, 16])
@pytest.mark.parametrize(("rows_in", "rows_out"), [(0, 0), (0, 5), (5, 0)])
def test_nothing_to_sum(gemm: ModuleType, inputs: int, rows_in: int, rows_out: int) -> None:
    features, table = torch.randn(rows_in, inputs), torch.full((rows_out, 27), rows_in, dtype=torch.int32)
    result = gemm.gather_gemm(features, torch.randn(27, inputs, 3), table)
    assert torch.equal(result, torch.zeros(rows_out, 3))
    assert torch.equal(gemm.weight_gradient(features, torch.randn(rows_out, 3), table), torch.zeros(27, inputs, 3))


@pytest.mark.parametrize("inputs", [2, 16])
def test_rows_that_see_nothing(gemm: ModuleType, inputs: int) -> None:
    # Tiles without a single tap.
    table = torch.full((70, 27), 4, dtype=torch.int32)
    table[69, 26] = 1
    features, weight = torch.randn(4, inputs), torch.randn(27, inputs, 3)
    result = gemm.gather_gemm(features, weight, table)
    assert not result[:69].any()
    torch.testing.assert_close(result[69], features[1] @ weight[26])


def test_kernels_of_1_8_and_125_taps(gemm: ModuleType, tolerance: Tolerances) -> None:
    for taps, inputs in ((1, 1), (1, 16), (8, 3), (8, 16), (125, 1), (125, 16)):
        features, weight, table, gradient = _case(12, 9, inputs, 2, torch.float32, taps)
        result, by_weight = _expected(features, weight, table, gradient)
        _assert_near(gemm.gather_gemm(features, weight, table), result, tolerance("forward", torch.float32))
        _assert_near(gemm.weight_gradient(features, gradient, table), by_weight, tolerance("gradient", torch.float32))


def test_repeats_are_equal_bits(gemm: ModuleType) -> None:
    # Sums of rows and parts in a fixed order. That tiles do not race is for the test on a GPU.
    features, weight, table, gradient = _case(40, 60, 17, 5, torch.float32)
    again = table.clone()
    assert torch.equal(gemm.gather_gemm(features, weight, table), gemm.gather_gemm(features, weight, again))
    assert torch.equal(gemm.weight_gradient(features, gradient, table), gemm.weight_gradient(features, gradient, again))


def test_what_is_served(gemm: ModuleType) -> None:
    features, weight, table, gradient = _case(4, 4, 2, 3, torch.float32)
    assert gemm.supports(features)
    assert gemm.supports(features.bfloat16())
    assert not gemm.supports(features.double())
    assert not gemm.supports(features.to("meta"))
    with pytest.raises(ValueError, match=r"got torch.float64 of shape \(4, 2\) on cpu; use the torch operations"):
        gemm.gather_gemm(features.double(), weight.double(), table)
    with pytest.raises(ValueError, match=r"got torch\.float64"):
        gemm.weight_gradient(features.double(), gradient.double(), table)
    with pytest.raises(ValueError, match=r"weight: expected torch.float32 of shape \(27, 2, 3\), got torch.float16"):
        gemm.gather_gemm(features, weight.half(), table)
    with pytest.raises(ValueError, match=r"table: expected torch.int32 of shape \(4, 27\), got torch.int64"):
        gemm.gather_gemm(features, weight, table.long())
    with pytest.raises(ValueError, match=r"gradient: expected torch.float32 of shape \(4, 3\), got torch.float16"):
        gemm.weight_gradient(features, gradient.half(), table)


def test_tensors_of_the_cpu_are_served_in_the_interpreter_alone(modules: dict[str, ModuleType]) -> None:
    from sparse_s4r.sparse import gather_gemm_triton, kernel_map_triton

    # The copies for the interpreter must not be what the engine finds.
    assert gather_gemm_triton is not modules["gather_gemm_triton"]
    assert kernel_map_triton is not modules["kernel_map_triton"]
    assert modules["kernel_map_triton"].supports(torch.zeros(1, dtype=torch.int64))
    if os.environ.get("TRITON_INTERPRET") != "1":
        assert not gather_gemm_triton.supports(torch.zeros(1, 2))
        assert not kernel_map_triton.supports(torch.zeros(1, dtype=torch.int64))


@pytest.mark.parametrize(("block", "window"), [(32, 128), (64, 4096)])
def test_tiles_hold_every_row_once_and_all_its_taps(
    maps: ModuleType, monkeypatch: pytest.MonkeyPatch, block: int, window: int
) -> None:
    monkeypatch.setattr(maps, "_WINDOW", window)
    # A plate of three voxels, in stored order: its upper and its lower side lack nine taps each.
    plate = torch.nn.functional.pad(torch.cartesian_prod(torch.arange(12), torch.arange(12), torch.arange(3)), (1, 0))
    table = neighbours(Sites(Sites.of(plate, 1).sorted_keys, 1), 3)
    rows = len(table)
    tiles = maps.tiles_of(table, rows, block)
    masks = [sum(1 << tap for tap, seen in enumerate(entries) if seen < rows) for entries in table.tolist()]
    assert tiles.order.tolist() == sorted(range(rows), key=lambda row: (row // window, masks[row], row))
    pairs = 0
    for tile, order in enumerate(tiles.order.long().split(block)):
        expected = (table[order] < rows).any(dim=0).nonzero().squeeze(1)
        count = int(tiles.counts[tile])
        assert torch.equal(tiles.taps[tile, :count].long(), expected)
        pairs += count
    # The order is there to save work.
    assert pairs < sum(int((part < rows).any(dim=0).sum()) for part in table.split(block))


def test_tiles_are_kept_until_the_table_changes(maps: ModuleType) -> None:
    table = torch.zeros(3, 27, dtype=torch.int32)
    tiles = maps.tiles_of(table, 5, 32)
    assert maps.tiles_of(table, 5, 32) is tiles
    assert tiles.counts.tolist() == [27]
    table[:, 4] = 5
    assert maps.tiles_of(table, 5, 32).counts.tolist() == [26]
    # Views made anew are known by what they show.
    assert maps.tiles_of(table[1:], 5, 32) is maps.tiles_of(table[1:], 5, 32)
    assert maps.tiles_of(table[1:], 5, 32) is not maps.tiles_of(table[:2], 5, 32)
    kept = len(maps._known)
    del table
    assert len(maps._known) == kept - 1


def _descent(sites: Sites) -> tuple[Tensor, Tensor, Tensor]:
    """Slots, the parents' table and the children by slot."""
    coarse, slots = sites.coarse()
    child = torch.full((8 * len(coarse) + 8,), len(sites), dtype=torch.int32, device=slots.device)
    child[slots] = torch.arange(len(sites), dtype=torch.int32, device=slots.device)
    return slots, neighbours(coarse, 3), child


@pytest.mark.parametrize(
    # As many entries as programs write, a few more, cells in no order and two scenes, a scan in small.
    "cells",
    [scattered_cells(1), scattered_cells(300, extent=6), scattered_cells(1200, extent=12), shell_cells(7)],
    ids=["one", "dense", "scattered", "shell"],
)
def test_descent(maps: ModuleType, cells: Tensor) -> None:
    rows = {tuple(cell): row for row, cell in enumerate(cells.tolist())}
    reach = (-1, 0, 1)
    expected = [
        [rows.get((b, x + i, y + j, z + k), len(rows)) for i in reach for j in reach for k in reach]
        for b, x, y, z in cells.tolist()
    ]
    known = _descent(Sites.of(cells, 1))
    got = maps.descend(*known)
    assert torch.equal(got, torch.tensor(expected, dtype=torch.int32))
    assert torch.equal(got, kernel_map_torch.descend(*known))


def test_descent_without_cells(maps: ModuleType) -> None:
    empty = torch.zeros(0, dtype=torch.int64), torch.zeros(0, 27, dtype=torch.int32), torch.zeros(8, dtype=torch.int32)
    assert maps.descend(*empty).shape == (0, 27)


def test_descent_refuses_other_tables(maps: ModuleType) -> None:
    slots, parents, child = _descent(Sites.of(scattered_cells(20), 1))
    with pytest.raises(ValueError, match=r"slots: expected torch.int64 of shape \(\d+,\), got torch.int32"):
        maps.descend(slots.int(), parents, child)
    with pytest.raises(ValueError, match=r"child: expected torch.int32 of shape"):
        maps.descend(slots, parents, child[1:])


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the compiler makes of every kernel; in a process of its own, away from the interpreter."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    command = [sys.executable, "-W", "ignore", "-m", "tests.sparse.compiled"]
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_kernels_compile_for_gpus(reports: list[dict[str, Any]]) -> None:
    kernels = {"descend", "mask", "tile", "packed_gemm", "gather_gemm", "weight_gradient"}
    assert {(report["kernel"], report["architecture"]) for report in reports} == {
        (f"{kernel}_kernel", architecture) for kernel in kernels for architecture in (80, 90)
    }
    for report in reports:
        assert report["shared"] <= _LEAST_SHARED_MEMORY, report
        # Spilled registers go to memory in the innermost loop: none with the pinned Triton, two with an older one.
        assert report["stack"] <= 8, report
        # The order in which atomics add changes from run to run.
        assert report["atomics"] == 0, report


def test_products_use_tensor_cores_and_wide_copies(reports: list[dict[str, Any]]) -> None:
    products = [report for report in reports if "dtype" in report and "blocks" in report and "tf32" in report]
    products = [report for report in products if report["kernel"] not in ("mask_kernel", "tile_kernel")]
    for report in products:
        expects_tensor_cores = report["dtype"] != "float32" or report["tf32"]
        assert (report["tensor_core"] > 0) == expects_tensor_cores, report
        # Rows of a multiple of 16 bytes are fetched as such, ahead of their use.
        size = 4 if report["dtype"] == "float32" else 2
        if report["inputs"] * size % 16 == 0:
            assert report["copies_of_16_bytes"] > 0, report


@pytest.mark.requires_gpu
class TestOnGpu:
    """Real runs against torch on 200,000 voxels."""

    @pytest.fixture(scope="class")
    def sites(self) -> Sites:
        cells = shell_cells(73)
        assert len(cells) > 190_000
        sites = Sites.of(cells, 1)
        return Sites(sites.sorted_keys.cuda(), 1)

    def test_descent(self, sites: Sites) -> None:
        from sparse_s4r.sparse.kernel_map_triton import descend

        cells = sites.coordinates
        taps = torch.cartesian_prod(*[torch.arange(-1, 2, device=cells.device)] * 3)
        expected = torch.stack(
            [Sites.of(cells + torch.nn.functional.pad(tap, (1, 0)), 1).rows_in(sites) for tap in taps], dim=1
        )
        got = descend(*_descent(sites))
        assert torch.equal(got.long(), expected)

    def test_the_engine_finds_the_kernels(self) -> None:
        from sparse_s4r.sparse import gather_gemm_triton, kernel_map_triton

        features = torch.zeros(1, 2, device="cuda")
        assert kernels("gather_gemm", features) is gather_gemm_triton
        assert kernels("kernel_map", features.long()) is kernel_map_triton
        assert kernels("gather_gemm", features.double()).__name__.endswith("gather_gemm_torch")

    @pytest.mark.parametrize("dtype", _DTYPES, ids=str)
    @pytest.mark.parametrize(("inputs", "outputs"), [(2, 16), (17, 40), (16, 16), (64, 64), (96, 128), (128, 96)])
    def test_convolution(
        self, sites: Sites, tolerance: Tolerances, dtype: torch.dtype, inputs: int, outputs: int
    ) -> None:
        from sparse_s4r.sparse.gather_gemm_triton import gather_gemm, supports, weight_gradient

        table = neighbours(sites, 3)
        features = torch.randn(len(table), inputs, device="cuda").to(dtype)
        if not supports(features):
            pytest.skip(f"Triton serves no {dtype} on this GPU")
        weight = (torch.randn(27, inputs, outputs, device="cuda") / (27 * inputs) ** 0.5).to(dtype)
        gradient = torch.randn(len(table), outputs, device="cuda").to(dtype)
        opposite = weight.flip(0).transpose(1, 2)
        # So that the gradient of weights, a sum over 200,000 rows, is of order one, too; powers of two do not round.
        scale = 2.0**-9

        def run() -> list[Tensor]:
            return [
                gather_gemm(features, weight, table),
                gather_gemm(gradient, opposite, table),
                weight_gradient(features, gradient * scale, table),
            ]

        results = run()
        leaves = [value.double().requires_grad_() for value in (features, weight)]
        with use_backend("torch"):
            reference = convolve(leaves[0], leaves[1], table)
            reference.backward(gradient.double())
        assert leaves[0].grad is not None
        assert leaves[1].grad is not None
        expected = [reference.detach(), leaves[0].grad, leaves[1].grad * scale]
        rules = [tolerance("forward", dtype), tolerance("gradient", dtype), tolerance("gradient", torch.float32)]
        for got, wanted, rule in zip(results, expected, rules, strict=True):
            torch.testing.assert_close(got.double(), wanted, **vars(rule))
        for _ in range(3):
            for first, later in zip(results, run(), strict=True):
                assert torch.equal(first, later)

    def test_tf32_is_used_only_where_torch_may(self, sites: Sites) -> None:
        from sparse_s4r.sparse.gather_gemm_triton import gather_gemm

        table = neighbours(sites, 3)
        features, weight = torch.randn(len(table), 32, device="cuda"), torch.randn(27, 32, 32, device="cuda")
        full = gather_gemm(features, weight, table)
        try:
            torch.set_float32_matmul_precision("high")
            short = gather_gemm(features, weight, table)
        finally:
            torch.set_float32_matmul_precision("highest")
        # TF32 has 10 bits: sums of some 700 products differ by about 1e-3 of their size, and not by nothing.
        difference = float((full - short).abs().max() / full.abs().max())
        assert torch.version.hip is not None or 1e-6 < difference < 1e-2
