"""The best weights are kept, whatever comes after them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from sparse_s4r.refine.candidates import Candidate, Candidates, freeze_norm
from sparse_s4r.refine.score import Score


class Steps:
    """A network whose one weight is its score; ``play`` sets it and scores, as a training would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, every: int = 10, patience: int = 2) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        self.told: list[tuple[int, bool]] = []

        def tell(candidate: Candidate, better: bool) -> None:
            self.told.append((candidate.step, better))

        def score(prediction: Any, frames: Any) -> Score:
            return Score(float(self.network.weight.detach()), 0.0, 0.0, None)

        monkeypatch.setattr("sparse_s4r.refine.candidates.score_prediction", score)
        whole: Any = type("Whole", (), {"predict": lambda self: None})()
        self.candidates = Candidates(self.network, whole, (), every, patience, tell)

    def play(self, step: int, value: float) -> bool:
        with torch.no_grad():
            self.network.weight.fill_(value)
        if step == 0:
            self.candidates.consider(0)
            return False
        return self.candidates.after_step(step)


def test_the_best_is_kept_and_patience_ends_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    values = {0: 0.5, 5: 0.9, 10: 0.7, 20: 0.6, 30: 0.65}
    ended = {step: steps.play(step, value) for step, value in values.items()}
    # Step 5 is between scores; two scores after the best of step 10 end it.
    assert ended == {0: False, 5: False, 10: False, 20: False, 30: True}
    assert steps.told == [(0, True), (10, True), (20, False), (30, False)]
    best = steps.candidates.best
    assert best is not None
    assert (best.step, best.score.total) == (10, pytest.approx(0.7))
    steps.candidates.restore_best()
    assert float(steps.network.weight.detach()) == pytest.approx(0.7)


def test_the_start_is_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    for step, value in ((0, 0.5), (10, 0.4), (20, 0.5)):
        ended = steps.play(step, value)
    assert ended
    assert steps.candidates.best is not None
    assert steps.candidates.best.step == 0
    steps.candidates.restore_best()
    assert float(steps.network.weight.detach()) == pytest.approx(0.5)


def test_frozen_normalisation_keeps_its_statistics() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    norm = network[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean is not None
    norm.running_mean.fill_(2.0)
    freeze_norm(network)
    network.train()
    values = torch.randn(50, 2)
    result = network(values)
    assert norm.running_mean.tolist() == [2.0, 2.0, 2.0]
    # In training as in evaluation.
    torch.testing.assert_close(result, network.eval()(values))
    assert norm.weight.requires_grad
