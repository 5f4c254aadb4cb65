"""Weights that come with the package."""

from __future__ import annotations

import pytest

from sparse_s4r.structures.errors import DataError
from sparse_s4r.weights import shipped_weights


def test_weights_are_found_by_name() -> None:
    path = shipped_weights("room_segmenter.safetensors")
    assert path.is_file()
    assert path.stat().st_size < 6e6


def test_what_ships_stays_small() -> None:
    files = sorted(shipped_weights("room_segmenter.safetensors").parent.glob("*.safetensors"))
    assert {"rooms.safetensors", "room_segmenter.safetensors"} <= {file.name for file in files}
    assert all(file.stat().st_size <= 25e6 for file in files), [(file.name, file.stat().st_size) for file in files]


@pytest.mark.parametrize("name", ["rooms39.safetensors", "../weights/room_segmenter.safetensors", ""])
def test_other_names_are_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(DataError, match=r"expected one of .*room_segmenter\.safetensors.*, got another"):
        shipped_weights(name)
