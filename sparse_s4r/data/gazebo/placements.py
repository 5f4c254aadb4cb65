"""Absurd placements: what stands far from everything else, under the floor, or is no thing of a room at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# Things of one building stand no farther apart than this, metres.
_GAP = 1.0
_UNDER_FLOOR = 0.3
_LARGEST = 200.0


@dataclass(frozen=True)
class Placement:
    """Where one model stands.

    Attributes:
        instance: Its name.
        lower: (3,) lower corner of its bounding box, metres.
        upper: (3,) upper corner.
        structure: Whether it is wall, floor or ceiling.
        floor: Whether it is floor.
    """

    instance: str
    lower: np.ndarray
    upper: np.ndarray
    structure: bool = False
    floor: bool = False


def absurd_placements(placements: list[Placement]) -> dict[str, str]:
    """Names of models that cannot belong to the building, with the reason.

    Models whose bounding boxes come within a metre of each other form groups; the building is the group with most
    floor space among those that hold walls or floors (among all, if none does).

    Args:
        placements: All models; those without walls or floors are judged like the others.
    """
    reasons: dict[str, str] = {}
    sensible = []
    for placement in placements:
        extent = placement.upper - placement.lower
        if extent.max() > _LARGEST:
            reasons[placement.instance] = f"is {extent.max():.0f} m large, expected at most {_LARGEST:.0f} m"
        else:
            sensible.append(placement)
    if not sensible:
        return reasons
    lower = np.array([placement.lower for placement in sensible])
    upper = np.array([placement.upper for placement in sensible])
    group = _groups(lower, upper)
    house = _building(sensible, lower, upper, group)
    floor = _floor_height(sensible, group == house)
    box = lower[group == house].min(axis=0), upper[group == house].max(axis=0)
    for index, placement in enumerate(sensible):
        if group[index] != house:
            gap = np.maximum(np.maximum(box[0] - placement.upper, placement.lower - box[1]), 0.0)
            reasons[placement.instance] = f"stands {np.linalg.norm(gap):.1f} m away from the building"
        elif floor is not None and placement.upper[2] < floor - _UNDER_FLOOR and not placement.structure:
            reasons[placement.instance] = f"lies {floor - placement.upper[2]:.1f} m under the floor"
    return reasons


def _groups(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Group (N,) of each box; boxes less than a gap apart share one."""
    near = (lower[:, None] <= upper[None] + _GAP).all(axis=2) & (lower[None] <= upper[:, None] + _GAP).all(axis=2)
    rows, columns = np.nonzero(near)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=near.shape)
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def _building(placements: list[Placement], lower: np.ndarray, upper: np.ndarray, group: np.ndarray) -> int:
    structure = np.array([placement.structure for placement in placements])
    candidates = np.unique(group[structure]) if structure.any() else np.unique(group)
    areas = []
    for candidate in candidates:
        own = group == candidate
        extent = upper[own].max(axis=0) - lower[own].min(axis=0)
        # Many things in a small place outweigh one stray wall.
        areas.append(extent[0] * extent[1] * own.sum())
    return int(candidates[int(np.argmax(areas))])


def _floor_height(placements: list[Placement], inside: np.ndarray) -> float | None:
    tops = [p.upper[2] for p, here in zip(placements, inside, strict=True) if here and p.floor]
    return float(min(tops)) if tops else None
