from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_s4r.data.pose_jumps import find_excursions, find_pose_jumps
from sparse_s4r.data.readers import open_capture
from tests.data import captures


def walk(count: int = 30) -> list[np.ndarray]:
    """A slow turn on a small circle: 3 cm and 4 degrees per frame."""
    angles = np.radians(4.0) * np.arange(count)
    return [captures.look(np.array([0.4 * np.cos(a), 0.4 * np.sin(a), 1.3]), a, 0.35) for a in angles]


def rewrite_pose(folder: Path, number: int, pose: np.ndarray) -> None:
    captures.write_matrix(folder / "poses" / f"view{number}.txt", pose)


def as_tensor(poses: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(poses))


def test_a_smooth_walk_has_none(tmp_path: Path) -> None:
    found = find_pose_jumps(open_capture(captures.write_generic(tmp_path / "room", walk())))
    assert found.wrong == {}
    assert found.findings == ()


@pytest.mark.parametrize(
    "wrong",
    [
        # Elsewhere in the room, looking across: the depth differs from what its neighbours saw there.
        captures.look(np.array([-1.2, 0.9, 1.9]), 0.9, 0.5),
        # Looking the other way: nothing in common with the neighbours.
        captures.look(np.array([0.3, 0.3, 1.3]), 4.2, 0.0),
        # Far outside of the room.
        captures.look(np.array([40.0, 0.0, 1.3]), 0.8, 0.35),
    ],
)
def test_a_pose_that_depth_speaks_against_is_wrong(tmp_path: Path, wrong: np.ndarray) -> None:
    folder = captures.write_generic(tmp_path / "room", walk())
    rewrite_pose(folder, 12, wrong)
    found = find_pose_jumps(open_capture(folder))
    assert list(found.wrong) == [12]
    assert "view12.txt: frame view12: the pose jumps" in found.wrong[12]
    assert "its depth" in found.wrong[12]
    assert [finding.severity for finding in found.findings] == ["warning"]
    assert "view12" in found.findings[0].evidence


def test_a_jump_that_depth_agrees_with_is_only_told(tmp_path: Path) -> None:
    """The camera really was elsewhere: depth is that of the pose."""
    poses = walk()
    poses[12] = captures.look(np.array([-0.9, 0.9, 1.3]), 0.9, 0.35)
    found = find_pose_jumps(open_capture(captures.write_generic(tmp_path / "room", poses)))
    assert found.wrong == {}
    assert len(found.findings) == 1
    assert "view12" in found.findings[0].evidence
    assert "report.png" in found.findings[0].remedy


def test_a_run_of_wrong_poses(tmp_path: Path) -> None:
    folder = captures.write_generic(tmp_path / "room", walk())
    for number in (20, 21, 22):
        rewrite_pose(folder, number, captures.look(np.array([-1.2, 0.9, 1.9]), 0.9 + 0.05 * number, 0.5))
    assert list(find_pose_jumps(open_capture(folder)).wrong) == [20, 21, 22]


def test_excursions() -> None:
    far = captures.look(np.array([-1.5, 0.9, 1.3]), 0.9)
    path = walk()
    assert find_excursions(as_tensor(path)) == []
    assert find_excursions(as_tensor([*path[:7], far, *path[8:]])) == [(7, 8)]
    assert find_excursions(as_tensor([*path[:7], far, far, *path[9:20], far, *path[21:]])) == [(7, 9), (20, 21)]
    # Away for good, and away for long: tracking that found itself again, or another recording.
    assert find_excursions(as_tensor([*path[:7], *[far] * 10])) == []
    assert find_excursions(as_tensor([*path[:7], *[far] * 6, *path[13:]])) == []
    # Views far apart by nature, and too few to tell.
    assert find_excursions(as_tensor(captures.room_poses(12))) == []
    assert find_excursions(as_tensor([path[0], far, path[2], path[3]])) == []
