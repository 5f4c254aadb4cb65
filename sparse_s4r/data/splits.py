"""Which frames feed the incomplete scan, which only the fuller one, and which are kept for judging."""

from __future__ import annotations

from typing import Literal

import torch

from sparse_s4r.data.scene_document import Split
from sparse_s4r.structures.errors import DataError

KeepMode = Literal["random", "block"]


def choose_splits(count: int, keep: float, held_out: float, seed: int, mode: KeepMode = "random") -> list[Split]:
    """Assign each of ``count`` frames, in capture order, to a split.

    Args:
        count: Number of frames.
        keep: Share, in (0, 1], of the frames not held out that feed the incomplete scan ("input").
        held_out: Share, in [0, 1), of all frames that neither scan sees, evenly spaced; at least one unless 0.
        seed: Seed of the choice among the rest.
        mode: "random" drops frames at random, so coverage thins everywhere; "block" drops one run of
            consecutive frames, so a region is missing altogether.

    Raises:
        DataError: A share out of range, or too few frames for a scan.
    """
    if not 0 < keep <= 1:
        raise DataError(f"keep: expected a share in (0, 1], got {keep}")
    if not 0 <= held_out < 1:
        raise DataError(f"held_out: expected a share in [0, 1), got {held_out}")
    judged = 0 if held_out == 0 else max(1, round(held_out * count))
    rest = count - judged
    if rest < 1:
        raise DataError(f"frames: expected more frames than the {judged} held out, got {count}; lower held_out")
    splits: list[Split] = ["input"] * count
    for number in range(judged):
        splits[int((number + 0.5) * count / judged)] = "held_out"
    remaining = [index for index, split in enumerate(splits) if split != "held_out"]
    for position in _dropped(rest, rest - max(1, round(keep * rest)), seed, mode):
        splits[remaining[position]] = "target"
    return splits


def _dropped(count: int, drop: int, seed: int, mode: KeepMode) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    if mode == "random":
        order: list[int] = torch.randperm(count, generator=generator)[:drop].tolist()
        return order
    if mode == "block":
        start = int(torch.randint(count - drop + 1, (1,), generator=generator))
        return list(range(start, start + drop))
    raise DataError(f"keep_mode: expected 'random' or 'block', got {mode!r}")
