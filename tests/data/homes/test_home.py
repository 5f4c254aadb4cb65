from __future__ import annotations

import hashlib
import math
from collections import Counter

import numpy as np
import pytest

from sparse_s4r.data.homes.dice import Dice
from sparse_s4r.data.homes.floor_plan import Kind, Use, make_plan
from sparse_s4r.data.homes.home import Home, Item, make_home
from sparse_s4r.structures.errors import UserError


def digest(home: Home) -> str:
    """Hash of all geometry and classes, to a tenth of a millimetre."""
    text = [f"{home.plan.height:.4f}"]
    text += [f"{room.kind.value} {room.low} {room.high}" for room in home.plan.rooms]
    for item in home.items:
        for solid in item.thing:
            corners = np.rint(np.concatenate(solid.polygons()) * 1e4).astype(np.int64)
            text.append(f"{item.room} {solid.class_name} {corners.ravel().tolist()}")
    return hashlib.sha256("\n".join(text).encode()).hexdigest()[:16]


def box_of(item: Item) -> tuple[np.ndarray, np.ndarray]:
    corners = np.concatenate([face for solid in item.thing for face in solid.polygons()])
    return corners.min(axis=0), corners.max(axis=0)


def test_one_seed_is_one_home() -> None:
    # Recorded; another value here means that every home that was ever made from a seed has changed.
    assert digest(make_home(0)) == "0461e38e1ed3b4e9"
    assert digest(make_home(7, 4)) == "c72d6f81eaf50954"
    assert digest(make_home(1)) != digest(make_home(2))
    assert make_home(5).items == make_home(5).items


def test_dice_are_those_of_the_raw_generator() -> None:
    dice, raw = Dice(3, 1), np.random.PCG64(np.random.SeedSequence((3, 1)))
    assert dice.uniform(2.0, 4.0) == round(2.0 + 2.0 * (raw.random_raw() >> 11) / 2**53, 4)
    counts = Counter(dice.integer(5) for _ in range(5000))
    # Five standard deviations of a binomial.
    assert all(abs(counts[value] - 1000) < 5 * math.sqrt(800) for value in range(5))
    assert sorted(dice.shuffled([3, 1, 2])) == [1, 2, 3]
    assert 0.25 < np.mean([dice.chance(0.3) for _ in range(3000)]) < 0.35


@pytest.mark.parametrize("rooms", [1, 2, 3, 5, 8, 16])
def test_rooms_are_apart_and_connected(rooms: int) -> None:
    for seed in range(4):
        plan = make_plan(Dice(seed), rooms)
        assert len(plan.rooms) == rooms
        for i, first in enumerate(plan.rooms):
            assert min(first.size) >= 1.5
            for second in plan.rooms[i + 1 :]:
                # Walls of 9 cm or more lie between them.
                assert (
                    max(
                        max(second.low[axis] - first.high[axis], first.low[axis] - second.high[axis]) for axis in (0, 1)
                    )
                    >= 0.09 - 1e-6
                )
        reached, ways = {0}, [o.rooms for o in plan.openings if len(o.rooms) == 2]
        for _ in plan.rooms:
            reached |= {room for way in ways for room in way if reached & set(way)}
        assert reached == set(range(rooms))
        assert sum(o.use is Use.ENTRANCE for o in plan.openings) == 1


def test_openings_do_not_meet() -> None:
    for seed in range(6):
        plan = make_plan(Dice(seed), 6)
        for i, first in enumerate(plan.openings):
            for second in plan.openings[i + 1 :]:
                if first.axis == second.axis and first.depth == second.depth:
                    assert first.span[1] < second.span[0] or second.span[1] < first.span[0]


@pytest.mark.parametrize(("rooms", "word"), [(0, "got 0"), (17, "got 17")])
def test_impossible_homes_are_refused(rooms: int, word: str) -> None:
    with pytest.raises(UserError, match=f"1 to 16, {word}"):
        make_home(0, rooms)
    with pytest.raises(ValueError, match=">= 0, got -1"):
        make_home(-1)


def test_rooms_have_what_they_are_for() -> None:
    needed = {
        Kind.BEDROOM: "bed",
        Kind.LIVING: "sofa",
        Kind.KITCHEN: "counter",
        Kind.BATHROOM: "toilet",
        Kind.OFFICE: "desk",
    }
    homes = [make_home(seed) for seed in range(60)]
    for kind, name in needed.items():
        rooms = [home for home in homes if home.plan.rooms[0].kind is kind]
        have = [home for home in rooms if any(s.class_name == name for item in home.items for s in item.thing)]
        assert len(rooms) >= 3
        assert len(have) >= 0.8 * len(rooms), f"{kind.value} without {name}"


def test_beds_stand_at_walls_and_chairs_look_at_tables() -> None:
    beds = chairs = 0
    for seed in range(40):
        home = make_home(seed)
        room = home.plan.rooms[0]
        tables = [box_of(item) for item in home.items if item.thing[0].class_name == "table"]
        for item in home.items:
            low, high = box_of(item)
            first = item.thing[0]
            if first.class_name == "bed":
                beds += 1
                assert min(*(low[:2] - room.low), *(np.array(room.high) - high[:2])) < 0.06
            if first.class_name == "chair" and tables and len(item.thing) > 4:
                ahead = np.array([-math.sin(first.yaw), math.cos(first.yaw)])
                for a, b in tables:
                    towards = (a + b)[:2] / 2 - np.array(first.center[:2])
                    reach = np.linalg.norm(
                        np.maximum(np.maximum(a[:2] - first.center[:2], first.center[:2] - b[:2]), 0)
                    )
                    if reach < 0.34 and 0.7 < b[2] < 0.8:
                        chairs += 1
                        assert towards @ ahead > 0.15
    assert beds >= 5
    assert chairs >= 12


def test_screens_face_sofas() -> None:
    seen = 0
    for seed in range(60):
        home = make_home(seed)
        sofas = [item.thing[0] for item in home.items if item.thing[0].class_name == "sofa"]
        screens = [item.thing[0] for item in home.items if item.thing[0].class_name == "tv"]
        for sofa, screen in zip(sofas, screens, strict=False):
            seen += 1
            assert math.cos(sofa.yaw - screen.yaw) == pytest.approx(-1.0, abs=1e-6)
            away = np.array(screen.center[:2]) - sofa.center[:2]
            assert away @ [-math.sin(sofa.yaw), math.cos(sofa.yaw)] > 1.0
    assert seen >= 4
