from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.render.corners import (
    CORNERS,
    attribute_fills,
    corner_slopes,
    corner_weights,
    distance_fills,
    present_mask,
)

masks = st.sets(st.integers(0, 7), min_size=5, max_size=8)
PLACES = np.array(CORNERS, dtype=float)


def bits(here: set[int]) -> int:
    return int(present_mask(torch.tensor([[corner in here for corner in range(8)]])))


@given(masks, st.tuples(*[st.floats(-2, 2)] * 4))
def test_an_affine_field_is_filled_exactly(here: set[int], plane: tuple[float, float, float, float]) -> None:
    values = plane[0] + PLACES @ np.array(plane[1:])
    given_values = np.where([corner in here for corner in range(8)], values, 0.0)
    filled = distance_fills()[bits(here)].numpy() @ given_values
    np.testing.assert_allclose(filled, values, atol=1e-12)


@given(masks, st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_filled_distances_are_the_least_squares_plane(here: set[int], values: list[float]) -> None:
    rows = sorted(here)
    places = np.column_stack([np.ones(8), PLACES])
    plane = np.linalg.lstsq(places[rows], np.array(values)[rows], rcond=None)[0]
    expected = np.where([corner in here for corner in range(8)], values, places @ plane)
    given_values = np.where([corner in here for corner in range(8)], values, 0.0)
    np.testing.assert_allclose(distance_fills()[bits(here)].numpy() @ given_values, expected, atol=1e-12)


@given(masks)
def test_filled_attributes_are_means_of_the_nearest(here: set[int]) -> None:
    fills = attribute_fills()[bits(here)].numpy()
    for corner in range(8):
        gaps = {other: np.abs(PLACES[corner] - PLACES[other]).sum() for other in here}
        nearest = [other for other, gap in gaps.items() if gap == min(gaps.values())]
        expected = np.zeros(8)
        expected[nearest] = 1 / len(nearest)
        np.testing.assert_allclose(fills[corner], expected, atol=1e-15)


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_weights_reproduce_the_position_and_slopes_their_change(along: tuple[float, float, float]) -> None:
    place = torch.tensor([along], dtype=torch.float64)
    weights = corner_weights(place)
    assert float(weights.sum()) == 1.0 or abs(float(weights.sum()) - 1) < 1e-15
    np.testing.assert_allclose(weights.numpy() @ PLACES, [along], atol=1e-15)
    for axis in range(3):
        step = torch.zeros(1, 3, dtype=torch.float64)
        step[0, axis] = 1e-6
        # Linear along an axis: only the rounding of a difference of 1e-6 remains.
        difference = (corner_weights(place + step) - corner_weights(place - step)) / 2e-6
        torch.testing.assert_close(corner_slopes(place)[:, :, axis], difference, rtol=0, atol=1e-9)
