"""Scores of one scene in a file, kept as long as the scene and its predictions stay as they are."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from sparse_s4r import __version__
from sparse_s4r.data.prediction_format import PREDICTION_NAME
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.evaluation.rooms import Method, SceneScores

# To be raised whenever a figure is computed in another way.
_FORMAT = 1
# Files of a scene that no figure depends on.
_UNUSED = {"report.json", "report.png"}


def scene_key(folder: Path, methods: Sequence[Method], label_set: str | None) -> str:
    """A digest of what the scores of a scene depend on: names, sizes and times of its files and of its predictions.

    Raises:
        DataError: No scene there, or a prediction that is missing.
    """
    scene = open_scene(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in _UNUSED]
    stated: list[object] = [_FORMAT, __version__, label_set, *_states(folder, files)]
    for method in methods:
        prediction = method.folder(scene)
        summary = [path for path in (prediction / PREDICTION_NAME, prediction / "prediction.json") if path.is_file()]
        stated.append([method.name, *_states(prediction, summary)])
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()


def save_scores(path: Path, key: str, scores: Sequence[SceneScores]) -> None:
    """Write scores and the key of what they were made of; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    content = {"key": key, "scores": [to_json(score) for score in scores]}
    unfinished.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")
    unfinished.replace(path)


def load_scores(path: Path, key: str) -> tuple[SceneScores, ...] | None:
    """Scores that were made of what ``key`` says; None if there are none, or those of something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["key"] != key:
            return None
        return tuple(_restored(SceneScores, score) for score in content["scores"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def to_json(value: Any) -> Any:
    """Dataclasses, tensors and numbers as JSON has them; NaN becomes null."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Tensor):
        return value.tolist()
    return None if isinstance(value, float) and math.isnan(value) else value


def _restored(kind: Any, value: Any) -> Any:
    """The inverse of ``to_json`` for a type of dataclasses, int64 tensors, strings and numbers."""
    if get_origin(kind) in (Union, UnionType):
        inner = next(option for option in get_args(kind) if option is not type(None))
        return None if value is None else _restored(inner, value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _restored(hints[name], value[name]) for name in (field.name for field in fields(kind))})  # type: ignore[operator]
    if kind is Tensor:
        return torch.tensor(value, dtype=torch.int64)
    return math.nan if kind is float and value is None else value


def _states(folder: Path, files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of files below a folder."""
    found = [(path.relative_to(folder).as_posix(), path.stat()) for path in files]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in found]
