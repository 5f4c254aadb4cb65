"""The network that tells rendered pictures from real ones."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_WIDTHS = (16, 32, 64, 64, 64)


class PatchDiscriminator(nn.Module):
    """A score for every patch of 32 pixels, from the 94 around it.

    Args:
        channels: Of the pictures with their condition.

    Source: Isola et al. 2017 (PatchGAN), with the layers and spectral norms (Miyato et al. 2018) of SPSG's.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise((channels, *_WIDTHS)):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
        # The last one has no rectifier.
        self.layers = nn.Sequential(*layers[:-1], nn.Conv2d(_WIDTHS[-1], 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores (B, 1, H / 32, W / 32), high for real, of pictures (B, C, H, W) whose sides are multiples of 32."""
        scores: Tensor = self.layers(pictures)
        return scores
