"""Trained weights that come with the package; docs/model-cards says how each was made."""

from __future__ import annotations

from pathlib import Path

from sparse_s4r.structures.errors import DataError

_FOLDER = Path(__file__).resolve().parent


def shipped_weights(name: str) -> Path:
    """The file of shipped weights.

    Args:
        name: File name, e.g. ``room_segmenter.safetensors``.

    Raises:
        DataError: No such weights; names those that there are.
    """
    names = sorted(path.name for path in _FOLDER.glob("*.safetensors"))
    if name not in names:
        raise DataError(f"shipped weights {name}: expected one of {', '.join(names) or 'none'}, got another name")
    return _FOLDER / name
