"""Calibration against counts by hand, plain loops and scipy's own optimisers."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from sparse_s4r.evaluation.calibration import (
    HIGHEST,
    LOWEST,
    brier_score,
    expected_calibration_error,
    fit_binary,
    fit_temperature,
    reliability,
)


def test_bins_by_hand() -> None:
    confidence = torch.tensor([0.0, 0.1, 0.25, 0.3, 0.75, 1.0])
    correct = torch.tensor([False, True, False, True, True, True])
    found = reliability(confidence, correct, bins=4)
    # Edges 0, 0.25, 0.5, 0.75, 1, each closed above.
    assert found.counts.tolist() == [3, 1, 1, 1]
    assert found.confidence[0].item() == pytest.approx(0.35 / 3)
    assert found.accuracy.tolist() == pytest.approx([1 / 3, 1, 1, 1])
    gaps = 3 * (1 / 3 - 0.35 / 3) + 0.7 + 0.25 + 0.0
    assert found.ece == pytest.approx(gaps / 6)
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_error_by_a_loop() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(2000)
    correct = rng.random(2000) < confidence**2
    total = 0.0
    for low in range(15):
        inside = [i for i in range(2000) if low / 15 < confidence[i] <= (low + 1) / 15]
        if inside:
            claimed = sum(confidence[i] for i in inside) / len(inside)
            total += len(inside) * abs(claimed - sum(correct[i] for i in inside) / len(inside))
    found = expected_calibration_error(torch.from_numpy(confidence), torch.from_numpy(correct))
    assert found == pytest.approx(total / 2000)
    # Squares of uniform numbers are a third on average, the numbers a half.
    assert found == pytest.approx(1 / 6, abs=0.03)


def test_perfect_and_empty() -> None:
    sure = torch.tensor([0.0, 1.0, 1.0])
    assert expected_calibration_error(sure, sure.bool()) == 0
    assert brier_score(sure, sure.bool()) == 0
    assert math.isnan(expected_calibration_error(torch.zeros(0), torch.zeros(0).bool()))
    assert math.isnan(brier_score(torch.zeros(0), torch.zeros(0).bool()))


def test_brier_by_hand() -> None:
    assert brier_score(torch.tensor([0.8, 0.4]), torch.tensor([True, True])) == pytest.approx((0.04 + 0.36) / 2)
    assert brier_score(torch.full((8,), 0.5), torch.arange(8) > 2) == 0.25


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_classes_were_drawn_with_comes_back(temperature: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(40_000, 5)) * 2
    shares = np.exp(log_softmax(logits / temperature, axis=1)).cumsum(axis=1)
    targets = (rng.random((40_000, 1)) > shares).sum(axis=1).clip(max=4)
    found = fit_temperature(torch.from_numpy(logits), torch.from_numpy(targets))
    assert found == pytest.approx(temperature, rel=0.05)

    def loss(t: np.ndarray) -> float:
        return -float(log_softmax(logits / t[0], axis=1)[np.arange(len(targets)), targets].mean())

    assert found == pytest.approx(float(minimize(loss, [1.0], method="Nelder-Mead").x[0]), rel=1e-3)


def test_binary_fits_agree_with_scipy() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=30_000) * 3
    happened = rng.random(30_000) < expit(logits / 2.5 - 0.7)
    temperature, bias = fit_binary(torch.from_numpy(logits), torch.from_numpy(happened))
    assert temperature == pytest.approx(2.5, rel=0.05)
    assert bias == pytest.approx(-0.7, abs=0.05)

    def loss(p: np.ndarray) -> float:
        x = logits / p[0] + p[1]
        return float(np.mean(np.logaddexp(0, np.where(happened, -x, x))))

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
    assert [temperature, bias] == pytest.approx(best.x.tolist(), rel=1e-3)
    alone = fit_temperature(torch.from_numpy(logits), torch.from_numpy(happened))
    best = minimize(lambda p: loss(np.array([p[0], 0.0])), [1.0], method="Nelder-Mead")
    assert alone == pytest.approx(float(best.x[0]), rel=1e-3)


def test_the_fit_calibrates() -> None:
    rng = np.random.default_rng(3)
    logits = torch.from_numpy(rng.normal(size=20_000) * 6)
    happened = torch.from_numpy(rng.random(20_000)) < torch.sigmoid(logits / 4 + 1)
    temperature, bias = fit_binary(logits, happened)
    before = expected_calibration_error(torch.sigmoid(logits), happened)
    after = expected_calibration_error(torch.sigmoid(logits / temperature + bias), happened)
    assert after < 0.02 < 0.1 < before


def test_always_right_ends_at_the_range() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.0, 3.0]])
    # Below a twentieth the likelihood of being right is 1 to the last bit.
    assert LOWEST <= fit_temperature(logits, torch.tensor([0, 1])) < 0.1
    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(HIGHEST, rel=0.01)


def test_what_cannot_be_fitted_is_named() -> None:
    for logits, targets, message in (
        (torch.zeros(0, 3), torch.zeros(0).long(), "none"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "below 3"),
        (torch.zeros(2, 3), torch.tensor([0]), "expected"),
        (torch.tensor([0.0, math.nan]), torch.tensor([True, False]), "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_temperature(logits, targets)
    with pytest.raises(ValueError, match="fit_temperature"):
        fit_binary(torch.zeros(2, 3), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="probabilities"):
        reliability(torch.tensor([1.5]), torch.tensor([True]))
    with pytest.raises(ValueError, match="bins"):
        reliability(torch.tensor([0.5]), torch.tensor([True]), 0)
    with pytest.raises(ValueError, match="both"):
        brier_score(torch.zeros(2), torch.zeros(3).bool())
