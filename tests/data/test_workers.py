import threading
import time

import pytest
import torch

from sparse_s4r.data.workers import Workers


def test_results_come_in_order_from_several_threads() -> None:
    gate = threading.Barrier(3, timeout=20)
    seen: set[str] = set()

    def slow_square(number: int) -> int:
        seen.add(threading.current_thread().name)
        # Three threads must be at work at the same time, and the first is the last to end.
        if number < 3:
            gate.wait()
        time.sleep(0.02 if number == 0 else 0.0)
        return number * number

    with Workers(3) as workers:
        assert list(workers.map(slow_square, range(20))) == [number * number for number in range(20)]
    assert len(seen) == 3


def test_few_results_wait_however_many_items_there_are() -> None:
    done: list[int] = []
    with Workers(2) as workers:
        results = workers.map(lambda number: done.append(number), iter(range(10_000)))
        next(results)
        time.sleep(0.1)
        assert len(done) <= 4
        for taken in range(50):
            next(results)
            assert len(done) <= taken + 2 + 4


def test_chained_maps_stay_in_order() -> None:
    with Workers(2) as workers:
        doubled = workers.map(lambda number: 2 * number, range(100))
        odd = (number + 1 for number in doubled if number % 3)
        assert list(workers.map(lambda number: -number, odd)) == [-(2 * n + 1) for n in range(100) if 2 * n % 3]


def test_an_error_comes_at_its_turn_and_ends_the_work() -> None:
    done: list[int] = []

    def task(number: int) -> int:
        if number == 5:
            raise OSError("five")
        done.append(number)
        return number

    taken: list[int] = []
    with Workers(2) as workers, pytest.raises(OSError, match="five"):
        taken.extend(workers.map(task, range(1000)))
    assert taken == [0, 1, 2, 3, 4]
    # The context has ended: nothing runs any more, and most was never begun.
    before = len(done)
    time.sleep(0.05)
    assert len(done) == before < 20


def test_threads_keep_torch_to_themselves_and_leave_others_alone() -> None:
    before = torch.get_num_threads()
    with Workers(2) as workers:
        assert set(workers.map(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == before
    found: list[int] = []
    later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert found == [before]


def test_number_of_threads() -> None:
    with Workers() as workers:
        assert 1 <= workers.count <= 8
    with pytest.raises(ValueError, match="count"):
        Workers(0)
