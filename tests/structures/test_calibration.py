"""From scores to probabilities: by hand."""

from __future__ import annotations

import math

import pytest
import torch

from sparse_s4r.structures import Calibration


def test_without_calibration_scores_are_taken_as_they_are() -> None:
    logits = torch.tensor([-2.0, 0.0, 3.0])
    expected = [1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-3))]
    assert Calibration().occupancy(logits).tolist() == pytest.approx(expected)
    # Classes 3 : 1 : 1.
    assert Calibration().confidence(torch.tensor([[math.log(3), 0.0, 0.0]])).tolist() == pytest.approx([0.6])


def test_temperature_and_bias() -> None:
    calibration = Calibration(occupancy_temperature=2.0, occupancy_bias=-1.0, label_temperature=2.0)
    assert calibration.occupancy(torch.tensor([2.0, 4.0])).tolist() == pytest.approx([0.5, 1 / (1 + math.exp(-1))])
    # At temperature 2 the odds are the square roots of 9 : 1.
    assert calibration.confidence(torch.tensor([[math.log(9), 0.0]])).tolist() == pytest.approx([0.75])


def test_half_precision_is_raised() -> None:
    assert Calibration().occupancy(torch.tensor([20.0], dtype=torch.float16)).dtype == torch.float32
    assert Calibration().confidence(torch.zeros(2, 4, dtype=torch.float16)).tolist() == pytest.approx([0.25, 0.25])


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["occupancy_temperature", "label_temperature"])
def test_temperatures_are_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a positive number"):
        Calibration(**{name: value})


def test_biases_are_finite() -> None:
    with pytest.raises(ValueError, match="occupancy_bias: expected a finite number"):
        Calibration(occupancy_bias=math.nan)
