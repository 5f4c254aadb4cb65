from __future__ import annotations

import pytest

from sparse_s4r.training.schedule import rate_factor


def test_rises_linearly_then_holds() -> None:
    rates = [rate_factor(step, 10, 4, "constant") for step in range(7)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])


def test_falls_along_a_cosine_to_two_percent() -> None:
    rates = [rate_factor(step, 104, 4, "cosine") for step in range(4, 105)]
    assert rates[0] == 1.0
    assert rates[50] == pytest.approx(0.02 + 0.98 / 2)
    assert rates[100] == pytest.approx(0.02)
    assert rates == sorted(rates, reverse=True)
    assert rate_factor(500, 104, 4, "cosine") == pytest.approx(0.02)


def test_a_training_of_warm_up_alone() -> None:
    assert 0 < rate_factor(2, 3, 20, "cosine") < 1


def test_refuses_other_schedules() -> None:
    with pytest.raises(ValueError, match="schedule: expected constant or cosine, got 'linear'"):
        rate_factor(0, 1, 0, "linear")
