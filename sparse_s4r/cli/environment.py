"""What torch reads from the environment when it is first imported, and what suits this package."""

from __future__ import annotations

import os

# Each is left alone where the user has set it.
SETTINGS = {
    # Threads that spin while they wait make a busy machine ten times slower.
    "GOMP_SPINCOUNT": "1000",
    # Features of a million voxels in pages of 2 MiB instead of 4 KiB: half of the time of a sum, or of a batch norm,
    # went into first touches of fresh pages.
    "THP_MEM_ALLOC_ENABLE": "1",
}


def prepare_environment() -> None:
    """Set what is not set yet; has an effect before torch is imported alone."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
