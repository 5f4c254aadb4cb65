"""Changes of colour: the formula, and that all of a sample change alike."""

from __future__ import annotations

import pytest
import torch

from sparse_s4r.data.color_change import ColorChange, draw_color_change


def test_the_formula() -> None:
    change = ColorChange(torch.tensor([1.0, 0.5, 2.0]), brightness=0.1, contrast=1.5, gamma=2.0)
    # 0.5 + 0.1 + 1.5 (0.36 - 0.5) = 0.39; 0.6 + 1.5 (0.18 - 0.5) = 0.12; 0.6 + 1.5 (0.72 - 0.5) = 0.93.
    changed = change.apply(torch.full((1, 3), 0.6))
    assert changed[0].tolist() == pytest.approx([0.39, 0.12, 0.93], abs=1e-6)
    bounds = change.apply(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    assert float(bounds.min()) == 0.0
    assert float(bounds.max()) == 1.0


def test_no_strength_is_no_change() -> None:
    colors = torch.rand(20, 3)
    change = draw_color_change(0.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(change.apply(colors), colors)


def test_draws_stay_within_their_strength() -> None:
    generator = torch.Generator().manual_seed(1)
    changes = [draw_color_change(0.2, generator) for _ in range(200)]
    gains = torch.stack([change.gain for change in changes])
    assert float(gains.min()) >= 0.8
    assert float(gains.max()) <= 1.2
    # Both ends are reached, and channels differ: a change of exposure alone would leave hues as they are.
    assert float(gains.min()) < 0.82
    assert float(gains.std(dim=1).mean()) > 0.05
    for name, center, reach in (("brightness", 0.0, 0.1), ("contrast", 1.0, 0.2), ("gamma", 1.0, 0.2)):
        values = torch.tensor([getattr(change, name) for change in changes])
        assert float((values - center).abs().max()) <= reach
        assert float(values.std()) > 0.4 * reach
