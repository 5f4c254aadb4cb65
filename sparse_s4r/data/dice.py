"""Random numbers that follow from what they are for, and from nothing that was drawn before."""

from __future__ import annotations

import zlib

import numpy as np
import torch


def generator_of(seed: int, purpose: str, *numbers: int) -> torch.Generator:
    """A generator for ``purpose`` and ``numbers`` (all >= 0), unrelated to that of any other ones."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *numbers])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))
