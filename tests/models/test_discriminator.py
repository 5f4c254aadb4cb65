"""The discriminator has the size of SPSG's."""

from __future__ import annotations

import torch

from sparse_s4r.models.discriminator import PatchDiscriminator


def test_weights_and_scores_are_as_many_as_spsgs() -> None:
    # Twelve channels, 256 x 320 pixels: 175,409 weights and 8 x 10 scores.
    network = PatchDiscriminator(12)
    assert sum(weight.numel() for weight in network.parameters()) == 175_409
    assert network(torch.rand(2, 12, 256, 320)).shape == (2, 1, 8, 10)


def test_convolutions_have_a_norm_of_one() -> None:
    network = PatchDiscriminator(3)
    for _ in range(20):
        network(torch.rand(1, 3, 32, 32))
    for layer in network.layers[:-1:2]:
        norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
        assert abs(float(norm) - 1) < 0.05
