"""What torch reads from the environment when it is first imported, and what suits this package."""

from __future__ import annotations

import os

# Each is left alone where the user has set it. Not among them: torch's THP_MEM_ALLOC_ENABLE (pages of 2 MiB). It halves
# the time of single operations on fresh memory, yet a whole training step took an eighth longer (an office of a million
# voxels), as memory that is aligned for it is given back to the system instead of used again.
SETTINGS = {
    # Threads that spin while they wait make a busy machine ten times slower.
    "GOMP_SPINCOUNT": "1000",
}


def prepare_environment() -> None:
    """Set what is not set yet; has an effect before torch is imported alone."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
