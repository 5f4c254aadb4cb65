"""Nothing inside walls, in the air or inside each other: judged by separating axes on hulls of corners alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sparse_s4r.data.homes.home import Home, Item, make_home
from sparse_s4r.data.homes.piece import moved
from tests.oracles.convex_contacts import Body, gap, make_body, near_pairs, supported

# Solids are put together with centres and sizes rounded in double precision.
TOUCH = 1e-4
# Different things may share this much, metres.
OVERLAP = 5e-4


@dataclass(frozen=True)
class Solids:
    """Every solid of a home: its hull, the number of its item and its class."""

    bodies: list[Body]
    items: list[int]
    names: list[str]


def solids_of(home: Home) -> Solids:
    pairs = [(solid, number) for number, item in enumerate(home.items) for solid in item.thing]
    bodies = [make_body(np.concatenate(solid.polygons())) for solid, _ in pairs]
    return Solids(bodies, [number for _, number in pairs], [solid.class_name for solid, _ in pairs])


def air_boxes(home: Home) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rooms, then openings, from the plan's own numbers."""
    plan = home.plan
    boxes = [(np.array([*room.low, 0.0]), np.array([*room.high, plan.height])) for room in plan.rooms]
    for opening in plan.openings:
        x, y = (opening.depth, opening.span) if opening.axis == 0 else (opening.span, opening.depth)
        boxes.append((np.array([x[0], y[0], opening.rise[0]]), np.array([x[1], y[1], opening.rise[1]])))
    return boxes


def faults(home: Home) -> list[str]:
    """What is wrong with a home, in words."""
    solids, boxes = solids_of(home), air_boxes(home)
    found: list[str] = []
    touching: list[tuple[int, int]] = []
    for a, b in near_pairs(solids.bodies, 2 * TOUCH):
        between = gap(solids.bodies[a], solids.bodies[b])
        if between <= TOUCH:
            touching.append((a, b))
        if solids.items[a] != solids.items[b] and between < -OVERLAP:
            found.append(f"{solids.names[a]} {-1000 * between:.1f} mm inside {solids.names[b]}")
    rng = np.random.default_rng(home.seed)
    grounded: list[bool] = []
    for body, name in zip(solids.bodies, solids.names, strict=True):
        share = rng.dirichlet(np.full(len(body.corners), 0.3), 30)
        points = np.concatenate([body.corners, share @ body.corners])
        inside = np.zeros(len(points), dtype=bool)
        held = False
        for low, high in boxes:
            inside |= ((points >= low - 1e-6) & (points <= high + 1e-6)).all(axis=1)
            within = bool((body.high >= low - TOUCH).all() and (body.low <= high + TOUCH).all())
            held |= within and bool((np.abs(body.low - low) < TOUCH).any() or (np.abs(body.high - high) < TOUCH).any())
        if not inside.all():
            found.append(f"{name} inside a wall")
        grounded.append(held)
    held_up = supported(len(solids.bodies), touching, grounded)
    return found + [f"{name} in the air" for name, held in zip(solids.names, held_up, strict=True) if not held]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_overlaps_or_floats(seed: int) -> None:
    assert faults(make_home(seed)) == []


def test_nothing_overlaps_or_floats_in_a_home_of_many_rooms() -> None:
    assert faults(make_home(3, 5)) == []


def test_a_rug_in_a_doorway_keeps_off_the_casing() -> None:
    # Here a rug once lay 5 mm below the boards around a door.
    assert faults(make_home(1013, 3)) == []


def test_a_ceiling_lamp_keeps_off_the_rail_of_a_shower() -> None:
    # Here they once met in a bathroom.
    assert faults(make_home(6, 4)) == []


@pytest.mark.slow
@pytest.mark.parametrize("rooms", [1, 3, 6])
def test_nothing_overlaps_or_floats_over_many_seeds(rooms: int) -> None:
    wrong = {seed: faults(make_home(seed, rooms)) for seed in range(1000, 1000 + 120 // rooms)}
    assert {seed: found for seed, found in wrong.items() if found} == {}


def _with_moved(home: Home, class_name: str, shift: tuple[float, float, float]) -> Home:
    number = next(i for i, item in enumerate(home.items) if item.thing[0].class_name == class_name)
    item = home.items[number]
    changed = Item(moved(item.thing, *shift), item.room)
    return replace(home, items=(*home.items[:number], changed, *home.items[number + 1 :]))


def test_the_check_finds_what_is_wrong() -> None:
    home = next(home for home in map(make_home, range(50)) if any(i.thing[0].class_name == "bed" for i in home.items))
    assert faults(home) == []
    lifted = faults(_with_moved(home, "bed", (0.0, 0.0, 0.05)))
    assert "bed in the air" in lifted
    assert any("inside a wall" in fault for fault in faults(_with_moved(home, "bed", (0.0, 0.0, -0.03))))
    assert any(
        "bed" in fault and "inside a wall" in fault for fault in faults(_with_moved(home, "bed", (9.0, 0.0, 0.0)))
    )
    bed = next(item for item in home.items if item.thing[0].class_name == "bed")
    twice = replace(home, items=(*home.items, Item(moved(bed.thing, 0.02, 0.02, 0.0), bed.room)))
    assert any("mm inside bed" in fault for fault in faults(twice))
