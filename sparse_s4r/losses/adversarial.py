"""Whether a rendered picture can be told from the real one, patch by patch; each patch over what both show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Form = Literal["vanilla", "hinge"]

# Pixels along a side per score of the discriminator; pictures are padded to multiples of it.
PATCH = 32
# A score counts if more than this share of its patch is shown by both pictures, as in SPSG.
_LEAST_SHARE = 0.1

# (B, C, H, W) pictures with their condition, sides multiples of PATCH -> (B, 1, H / PATCH, W / PATCH) scores.
Discriminator = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class PicturePair:
    """A rendered picture and the real one, with what both are to fit.

    Attributes:
        condition: (C, H, W) float, what the network was given, rendered at the same camera; without gradient.
        rendered: (3, H, W) float RGB in [0, 1].
        real: (3, H, W) float RGB in [0, 1].
        valid: (H, W) bool, pixels at which both show a surface; the others are hidden in both.
    """

    condition: Tensor
    rendered: Tensor
    real: Tensor
    valid: Tensor


def generator_loss(discriminator: Discriminator, pair: PicturePair, form: Form) -> tuple[Tensor, int]:
    """How little the discriminator takes the rendered picture for real.

    Returns:
        The mean () over patches, 0 with zero gradient where none counts, and the number of patches that count.
        Differentiable in the rendered colours.

    Source: Goodfellow et al. 2014 ("vanilla", as SPSG, with the generator's logarithm turned round); Lim and Ye 2017
        ("hinge").
    """
    fake, counts = _scores(discriminator, pair, pair.rendered), _counting(pair)
    if not bool(counts.any()):
        return pair.rendered.sum() * 0.0, 0
    losses = F.softplus(-fake) if form == "vanilla" else -fake
    return losses[counts].mean(), int(counts.sum())


def discriminator_loss(discriminator: Discriminator, pair: PicturePair, form: Form) -> tuple[Tensor, int]:
    """How badly the discriminator tells the two pictures; ln 2 ("vanilla") or 1 ("hinge") for one that knows nothing.

    Returns:
        The mean () over patches and both pictures, 0 with zero gradient where no patch counts, and the number of
        patches that count. Differentiable in the discriminator's weights; the rendered picture is taken as it is.
    """
    counts = _counting(pair)
    fake = _scores(discriminator, pair, pair.rendered.detach())
    real = _scores(discriminator, pair, pair.real)
    if not bool(counts.any()):
        return (fake.sum() + real.sum()) * 0.0, 0
    losses = F.softplus(fake) + F.softplus(-real) if form == "vanilla" else F.relu(1 + fake) + F.relu(1 - real)
    return losses[counts].mean() / 2, int(counts.sum())


def _scores(discriminator: Discriminator, pair: PicturePair, picture: Tensor) -> Tensor:
    """Scores (h, w) of the patches of ``picture`` (3, H, W)."""
    shown = (2 * picture.float() - 1) * pair.valid
    return discriminator(_padded(torch.cat([pair.condition.float(), shown])).unsqueeze(0))[0, 0]


def _counting(pair: PicturePair) -> Tensor:
    """Whether a patch shows enough, (h, w) bool."""
    share = F.avg_pool2d(_padded(pair.valid.float().unsqueeze(0)), PATCH)
    return share[0] > _LEAST_SHARE


def _padded(images: Tensor) -> Tensor:
    """Images (C, H, W) with zeros to the right and below, until both sides are multiples of ``PATCH``."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % PATCH, 0, -height % PATCH))
