"""The adversarial losses by hand, and a discriminator that learns to tell pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse_s4r.losses.adversarial import Form, PicturePair, discriminator_loss, generator_loss
from sparse_s4r.models.discriminator import PatchDiscriminator


def make_pair(height: int = 40, width: int = 70, valid: Tensor | None = None, seed: int = 0) -> PicturePair:
    """A dim picture beside a bright one."""
    generator = torch.Generator().manual_seed(seed)
    rendered, real = (torch.rand(3, height, width, generator=generator) * 0.4 + base for base in (0.0, 0.6))
    everywhere = torch.ones(height, width, dtype=torch.bool)
    return PicturePair(
        torch.rand(6, height, width, generator=generator), rendered, real, everywhere if valid is None else valid
    )


def mean_score(pictures: Tensor) -> Tensor:
    """The mean of what is judged, patch by patch."""
    return torch.nn.functional.avg_pool2d(pictures[:, 6:].mean(1, keepdim=True), 32)


def brute_scores(picture: Tensor, valid: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Scores of ``mean_score`` and shares of valid pixels, in loops."""
    height, width = valid.shape
    rows, columns = -(-height // 32), -(-width // 32)
    scores, shares = np.zeros((rows, columns)), np.zeros((rows, columns))
    for row in range(height):
        for column in range(width):
            if valid[row, column]:
                scores[row // 32, column // 32] += float((2 * picture[:, row, column] - 1).mean()) / 1024
                shares[row // 32, column // 32] += 1 / 1024
    return scores, shares


@pytest.mark.parametrize("form", ["vanilla", "hinge"])
def test_losses_agree_with_loops(form: Form) -> None:
    valid = torch.zeros(40, 70, dtype=torch.bool)
    valid[:20, :40] = True
    # Too little of the third patch to count.
    valid[:3, 64:68] = True
    pair = make_pair(valid=valid)
    fake, shares = brute_scores(pair.rendered, valid)
    real, _ = brute_scores(pair.real, valid)
    counts = shares > 0.1
    assert counts.sum() == 2
    if form == "vanilla":
        of_generator = np.log1p(np.exp(-fake))
        of_both = (np.log1p(np.exp(fake)) + np.log1p(np.exp(-real))) / 2
    else:
        of_generator, of_both = -fake, (np.maximum(0, 1 + fake) + np.maximum(0, 1 - real)) / 2
    value, count = generator_loss(mean_score, pair, form)
    assert count == 2
    assert float(value) == pytest.approx(of_generator[counts].mean(), rel=1e-5)
    value, count = discriminator_loss(mean_score, pair, form)
    assert count == 2
    assert float(value) == pytest.approx(of_both[counts].mean(), rel=1e-5)


@pytest.mark.parametrize(("form", "ignorant"), [("vanilla", math.log(2)), ("hinge", 1.0)])
def test_a_discriminator_learns_to_tell_two_kinds_of_pictures(form: Form, ignorant: float) -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(9)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    first = float(discriminator_loss(network, make_pair(seed=99), form)[0].detach())
    assert first == pytest.approx(ignorant, abs=0.15)
    for seed in range(30):
        optimizer.zero_grad()
        loss, _ = discriminator_loss(network, make_pair(seed=seed), form)
        loss.backward()
        optimizer.step()
    unseen = make_pair(seed=99)
    assert float(discriminator_loss(network, unseen, form)[0].detach()) < 0.5 * ignorant
    # Now it takes a rendered picture that is bright for a real one.
    bright = PicturePair(unseen.condition, unseen.real, unseen.real, unseen.valid)
    taken, seen_through = (generator_loss(network, pair, form)[0].detach() for pair in (bright, unseen))
    assert taken < seen_through


def test_the_gradient_reaches_the_colours_that_both_show_alone() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(9).eval().requires_grad_(False)
    valid = torch.zeros(40, 70, dtype=torch.bool)
    valid[5:30, 10:60] = True
    pair = make_pair(valid=valid)
    pair.rendered.requires_grad_()
    value, _ = generator_loss(network, pair, "vanilla")
    value.backward()
    gradient = pair.rendered.grad
    assert gradient is not None
    assert bool((gradient != 0).any(0)[valid].float().mean() > 0.9)
    assert not gradient[:, ~valid].any()
    # What is hidden changes nothing.
    other = torch.where(valid, pair.rendered.detach(), torch.rand(3, 40, 70))
    same = generator_loss(network, PicturePair(pair.condition, other, pair.real, valid), "vanilla")[0]
    assert torch.equal(same, value.detach())
    discriminator = PatchDiscriminator(9)
    pair.rendered.grad = None
    discriminator_loss(discriminator, pair, "vanilla")[0].backward()
    assert pair.rendered.grad is None
    assert all(weight.grad is not None for weight in discriminator.parameters())


def test_where_nothing_is_shown_nothing_counts() -> None:
    pair = make_pair(valid=torch.zeros(40, 70, dtype=torch.bool))
    pair.rendered.requires_grad_()
    value, count = generator_loss(mean_score, pair, "vanilla")
    value.backward()
    assert (float(value.detach()), count) == (0.0, 0)
    assert pair.rendered.grad is not None
    assert not pair.rendered.grad.any()
    value, count = discriminator_loss(mean_score, pair, "hinge")
    assert (float(value), count) == (0.0, 0)
