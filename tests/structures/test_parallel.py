"""Work in parts: each done once, errors passed on, and no pool that outlives a fork."""

from __future__ import annotations

import threading

import pytest
import torch

from sparse_s4r.structures.parallel import run_parts, run_ranges
from tests.forked import in_fork, needs_fork


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(autouse=True)
def thread_count(threads: int) -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("parts", [0, 1, 2, 100])
def test_every_part_is_done_once(parts: int) -> None:
    done: list[int] = []
    run_parts(done.append, parts)
    assert sorted(done) == list(range(parts))


@pytest.mark.parametrize(("count", "step", "expected"), [(0, 4, []), (3, 4, [(0, 3)]), (8, 4, [(0, 4), (4, 8)])])
def test_ranges_cover_everything_once(count: int, step: int, expected: list[tuple[int, int]]) -> None:
    done: list[tuple[int, int]] = []
    run_ranges(lambda start, stop: done.append((start, stop)), count, step)
    assert sorted(done) == expected


def test_threads_share_the_parts(threads: int) -> None:
    # Each part waits until as many are under way as there are threads: one thread alone would never get on.
    barrier = threading.Barrier(threads, timeout=20)
    names: set[str] = set()

    def task(part: int) -> None:
        barrier.wait()
        names.add(threading.current_thread().name)

    run_parts(task, threads)
    assert len(names) == threads


def test_the_first_error_is_passed_on_and_the_next_work_goes_well() -> None:
    def task(part: int) -> None:
        if part in (3, 7):
            raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part 3"):
        run_parts(task, 8)
    done: list[int] = []
    run_parts(done.append, 8)
    assert sorted(done) == list(range(8))


def _parts_done() -> list[int]:
    done: list[int] = []
    run_parts(done.append, 20)
    return sorted(done)


@needs_fork
def test_a_forked_process_makes_threads_of_its_own() -> None:
    assert _parts_done() == list(range(20))
    assert in_fork(_parts_done) == list(range(20))
