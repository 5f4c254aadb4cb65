import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.data.splits import choose_splits
from sparse_s4r.structures.errors import DataError


@given(
    st.integers(4, 300),
    st.floats(0.05, 1.0),
    st.floats(0.0, 0.5),
    st.integers(0, 99),
    st.sampled_from(["random", "block"]),
)
def test_shares_hold(count: int, keep: float, held_out: float, seed: int, mode: str) -> None:
    splits = choose_splits(count, keep, held_out, seed, mode)  # type: ignore[arg-type]
    assert len(splits) == count
    judged = splits.count("held_out")
    assert abs(judged - held_out * count) <= 1
    assert (judged > 0) == (held_out > 0)
    rest = count - judged
    assert splits.count("input") == max(1, round(keep * rest))
    assert splits == choose_splits(count, keep, held_out, seed, mode)  # type: ignore[arg-type]
    # Evenly spaced: gaps between judged frames differ by at most one.
    places = [index for index, split in enumerate(splits) if split == "held_out"]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_block_drops_consecutive_frames() -> None:
    rest = [split for split in choose_splits(50, 0.6, 0.1, 3, "block") if split != "held_out"]
    first = rest.index("target")
    dropped = rest.count("target")
    assert dropped == 18
    assert rest[first : first + dropped] == ["target"] * dropped


def test_seeds_differ() -> None:
    assert choose_splits(50, 0.5, 0.1, 0) != choose_splits(50, 0.5, 0.1, 1)


@pytest.mark.parametrize(("keep", "held_out", "name"), [(0.0, 0.1, "keep"), (1.1, 0.1, "keep"), (0.5, 1.0, "held_out")])
def test_shares_out_of_range_are_named(keep: float, held_out: float, name: str) -> None:
    with pytest.raises(DataError, match=name):
        choose_splits(10, keep, held_out, 0)


def test_unknown_mode_and_too_few_frames() -> None:
    with pytest.raises(DataError, match="keep_mode"):
        choose_splits(10, 0.5, 0.1, 0, "every-other")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="lower held_out"):
        choose_splits(1, 0.5, 0.1, 0)
