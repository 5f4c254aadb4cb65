"""Items made ahead: the same ones in the same order, whatever the depth."""

from __future__ import annotations

import threading

import pytest
import torch

from sparse_s4r.data.prefetch import Prefetch


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_items_come_in_order(depth: int) -> None:
    with Prefetch(lambda number: number**2, [3, 1, 2], depth) as prefetch:
        assert [prefetch.next() for _ in range(3)] == [9, 1, 4]
        with pytest.raises(StopIteration):
            prefetch.next()


def test_the_next_items_are_made_meanwhile() -> None:
    made, enough = [], threading.Event()

    def make(number: int) -> int:
        made.append(number)
        if number == 2:
            enough.set()
        return number

    with Prefetch(make, range(10), 2) as prefetch:
        assert prefetch.next() == 0
        assert enough.wait(10)
    assert made == [0, 1, 2]


@pytest.mark.parametrize("depth", [0, 2])
def test_errors_come_where_their_item_would(depth: int) -> None:
    def make(number: int) -> int:
        if number == 1:
            raise ValueError("number 1")
        return number

    with Prefetch(make, range(3), depth) as prefetch:
        assert prefetch.next() == 0
        with pytest.raises(ValueError, match="number 1"):
            prefetch.next()


def test_the_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    with Prefetch(lambda number: torch.get_num_threads(), range(2), 1) as prefetch:
        assert prefetch.next() == 1
        assert torch.get_num_threads() == before
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [before]
