"""What MinkowskiEngine does in its own way, and how the engine on top of it meets that."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.sparse.minkowski import MinkowskiVoxels
from sparse_s4r.sparse.minkowski_maps import load_engine
from tests.forked import in_fork, needs_fork
from tests.oracles import sparse_conv as oracle
from tests.sparse.scenes import assert_field, field_of, needs_minkowski, scattered_cells

pytestmark = needs_minkowski


def _voxels(count: int = 200, channels: int = 3, stride: int = 1, seed: int = 0) -> MinkowskiVoxels:
    cells = scattered_cells(count, seed=seed)
    voxels = make_voxels("minkowski", cells, torch.randn(len(cells), channels, dtype=torch.float64), stride)
    assert isinstance(voxels, MinkowskiVoxels)
    return voxels


def _weight(taps: int, inputs: int = 3, outputs: int = 3) -> Tensor:
    return torch.randn(taps, inputs, outputs, dtype=torch.float64)


def _maps(voxels: MinkowskiVoxels) -> tuple[int, int]:
    """Numbers of coordinate maps and of kernel maps, as the manager lists them."""
    lines = str(voxels.sites.manager.itself).splitlines()
    return sum("CoordinateMapCPU:" in line for line in lines), sum("cpu_kernel_map:" in line for line in lines)


def test_each_pruned_set_has_a_coarse_set_of_its_own() -> None:
    # Named alike, the second would silently get the coarse cells of the first.
    voxels, weight = _voxels(), _weight(8)
    for third in range(3):
        pruned = voxels.prune(torch.arange(len(voxels.features)) % 3 == third)
        expected = oracle.down(field_of(pruned.coordinates, pruned.features), weight.numpy())
        assert_field(pruned.down(weight), expected)
        again = pruned.down(weight).prune(torch.ones(len(expected), dtype=torch.bool)).down(weight)
        assert_field(again, oracle.down(expected, weight.numpy()))


def test_each_generated_set_has_cells_of_its_own() -> None:
    voxels, weight = _voxels(stride=4), _weight(8)
    for third in range(3):
        pruned = voxels.prune(torch.arange(len(voxels.features)) % 3 == third)
        raised = pruned.up(weight).up(weight)
        field = field_of(pruned.coordinates, pruned.features)
        for _ in range(2):
            field = oracle.up(field, weight.numpy(), oracle.children(field))
        assert_field(raised, field, atol=1e-11)


def test_steps_from_the_same_sites_share_sites_and_maps() -> None:
    voxels = _voxels(stride=4)
    other = voxels.with_features(torch.randn(len(voxels.features), 3, dtype=torch.float64))
    keep = torch.arange(8 * len(voxels.features)) % 2 == 0

    def chain(start: MinkowskiVoxels) -> MinkowskiVoxels:
        start.conv(_weight(27)).conv(_weight(27)).down(_weight(8)).up(_weight(8), start)
        return start.up(_weight(8)).prune(keep.clone()).conv(_weight(27))

    first = chain(voxels)
    count = _maps(voxels)
    second = chain(other)
    assert _maps(voxels) == count
    # The voxels, coarse, all children, pruned; conv, down, up onto, generate, prune, conv.
    assert count == (4, 6)
    assert torch.equal(first.coordinates, second.coordinates)


def test_cells_of_another_manager_are_copied_once() -> None:
    mine, other, coarse = _voxels(), _voxels(seed=1), _voxels(seed=2, stride=2)
    for _ in range(3):
        mine.lookup(other.with_features(other.features + 1))
        coarse.up(_weight(8), mine)
    # Mine and the two copies; a map each of the lookup and of the transposed convolution.
    assert _maps(mine) == (3, 2)
    assert _maps(other) == (1, 0)


def test_cells_at_the_ends_of_the_range_have_the_right_parents() -> None:
    last = (1 << 17) - 1
    cells = torch.tensor([[511, x, y, -3] for x in (-last - 1, -last, last - 1, last) for y in (-1, 0, -last)])
    voxels = make_voxels("minkowski", cells, torch.randn(len(cells), 3, dtype=torch.float64))
    weight = _weight(8)
    assert_field(voxels.down(weight), oracle.down(field_of(cells, voxels.features), weight.numpy()))
    kernel = _weight(27)
    assert_field(voxels.conv(kernel), oracle.conv(field_of(cells, voxels.features), kernel.numpy()))


def test_the_coarsest_stride_has_no_coarser() -> None:
    voxels = make_voxels("minkowski", torch.zeros(1, 4, dtype=torch.int64), torch.ones(1, 3), 1 << 17)
    with pytest.raises(ValueError, match="expected a power of two from 1 to 131072, got 262144"):
        voxels.down(torch.zeros(8, 3, 3))


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("backward", [True, False])
def test_the_manager_goes_with_the_last_voxels(backward: bool) -> None:
    weights = [_weight(taps).requires_grad_() for taps in (27, 8, 8, 27)]
    voxels, other = _voxels(stride=2), _voxels()
    # The manager of MinkowskiEngine itself: with it go all coordinate maps and kernel maps.
    managers = [weakref.ref(one.sites.manager.itself._manager) for one in (voxels, other)]
    raised = voxels.conv(weights[0]).down(weights[1]).up(weights[2]).up(weights[2], other).conv(weights[3])
    total = raised.features.sum() + other.lookup(raised.prune(raised.features[:, 0] > 0)).sum()
    if backward:
        total.backward()
    del voxels, other, raised
    # The graph may still be asked for gradients.
    assert all(manager() is not None for manager in managers) == (total.grad_fn is not None)
    del total
    assert [manager() for manager in managers] == [None, None]


def test_memory_does_not_grow() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    cells = scattered_cells(20_000, extent=40)
    weight = torch.randn(27, 8, 8, requires_grad=True)

    def step() -> None:
        voxels = make_voxels("minkowski", cells, torch.randn(len(cells), 8))
        voxels.conv(weight).prune(cells[:, 1] > 0).conv(weight).features.sum().backward()

    for _ in range(5):
        step()
    before = resident()
    for _ in range(20):
        step()
    # One step's kernel maps alone are some 3 MB, so that a leak would be 60 MB.
    assert resident() - before < 20e6


def test_the_number_of_threads_stays_as_torch_was_told() -> None:
    threads = torch.get_num_threads()
    try:
        for number in (1, threads + 1):
            torch.set_num_threads(number)
            _voxels().conv(_weight(27))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)


@needs_fork
def test_a_forked_process_does_not_hang() -> None:
    # Here threads are started, for which OpenMP in the child would wait.
    voxels, weight = _voxels(2000), _weight(27)
    expected = float(voxels.conv(weight).features[0, 0])
    cells, features = voxels.coordinates, voxels.features
    # Nothing but the engine: with more than one thread, some of torch's own steps hang in a forked process.
    result = in_fork(lambda: float(make_voxels("minkowski", cells, features).conv(weight).features[0, 0]))
    assert result == pytest.approx(expected, rel=1e-9)


def test_importing_it_sets_no_variable() -> None:
    before = dict(os.environ)
    load_engine.cache_clear()
    load_engine()
    assert dict(os.environ) == before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(dtype: torch.dtype) -> None:
    exact = _voxels()
    half = exact.with_features(exact.features.to(dtype).requires_grad_())
    weights = [_weight(taps) for taps in (27, 8, 8)]

    def chain(voxels: MinkowskiVoxels, kind: torch.dtype) -> Tensor:
        conv, down, up = (weight.to(kind) for weight in weights)
        coarse = voxels.conv(conv).down(down)
        return voxels.prune(voxels.coordinates[:, 1] > 0).lookup(coarse.up(up, voxels))

    result, expected = chain(half, dtype), chain(exact, torch.float64)
    assert result.dtype == dtype
    error = (result.detach().double() - expected).norm() / expected.norm()
    # Three roundings of the features and one of the weights, each of half the distance of two numbers at most.
    assert float(error) < 3 * torch.finfo(dtype).eps
    result.float().sum().backward()
    assert half.features.grad is not None
    assert half.features.grad.dtype == dtype


def test_under_autocast() -> None:
    voxels, weight = _voxels(channels=3), torch.randn(27, 3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = voxels.with_features(torch.nn.functional.linear(voxels.features.float(), torch.eye(3)))
        assert mixed.features.dtype == torch.bfloat16
        result = mixed.conv(weight).features
    result.float().sum().backward()
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32
    torch.testing.assert_close(
        result.double(), voxels.conv(weight.double()).features, rtol=0, atol=0.05, check_dtype=False
    )
