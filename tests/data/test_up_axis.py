import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_s4r.data.up_axis import estimate_up, rotation_about_z, rotation_to_z
from sparse_s4r.structures import Camera, RGBDFrame
from tests.data import captures


def room_frames(turn: np.ndarray, pitch: float, yaws: list[float], noise: float = 0.0) -> list[RGBDFrame]:
    frames = []
    for number, yaw in enumerate(yaws):
        pose = captures.look(np.array([0.2, 0.1, 1.4]), yaw, pitch)
        depth = captures.room_depth(pose)
        depth = depth + np.random.default_rng(number).normal(0, noise, depth.shape)
        turned = np.eye(4)
        turned[:3, :3] = turn
        camera = Camera(torch.from_numpy(captures.K), torch.from_numpy(turned @ pose), captures.WIDTH, captures.HEIGHT)
        frames.append(RGBDFrame("a", camera, torch.zeros((60, 80, 3)), torch.from_numpy(depth).float()))
    return frames


def some_turn() -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


@pytest.mark.parametrize(
    ("pitch", "yaws"),
    [(0.4, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]), (0.6, [0.1, 0.3, 0.5]), (-0.5, [2.0, 2.4])],
    ids=["all around", "one side, looking down", "one side, looking up"],
)
def test_floor_or_ceiling_gives_the_exact_up(pitch: float, yaws: list[float]) -> None:
    up, note = estimate_up(room_frames(some_turn(), pitch, yaws))
    # Exact depth in float32: normals are off by far less than a tenth of a degree.
    assert float(up @ torch.from_numpy(some_turn()[:, 2])) > np.cos(np.radians(0.1))
    assert "normals" in note


def test_noise_is_averaged_out() -> None:
    up, _ = estimate_up(room_frames(some_turn(), 0.4, [0.0, 1.5, 3.0, 4.5], noise=0.003))
    # 3 mm of noise tilts one normal by several degrees, but hundreds are averaged.
    assert float(up @ torch.from_numpy(some_turn()[:, 2])) > np.cos(np.radians(1.5))


def test_without_depth_the_cameras_decide() -> None:
    frames = room_frames(np.eye(3), 0.0, [0.0, 2.0, 4.0])
    empty = [RGBDFrame(f.name, f.camera, f.color, torch.zeros_like(f.depth)) for f in frames]
    up, note = estimate_up(empty)
    torch.testing.assert_close(up, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert "mean of the cameras' up axes" in note


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: sum(x * x for x in v) > 0.01))
def test_rotation_turns_up_to_z(direction: list[float]) -> None:
    up = torch.tensor(direction, dtype=torch.float64)
    up = up / up.norm()
    turn = rotation_to_z(up)[:3, :3]
    torch.testing.assert_close(turn @ up, torch.tensor([0.0, 0, 1], dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=torch.float64), atol=1e-6, rtol=0)
    assert float(torch.linalg.det(turn)) == pytest.approx(1)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_axes_turn_exactly(axis: int, sign: float) -> None:
    up = torch.zeros(3, dtype=torch.float64)
    up[axis] = sign
    turn = rotation_to_z(up)
    assert torch.equal(turn[:3, :3] @ up, torch.tensor([0.0, 0, 1], dtype=torch.float64))
    assert bool(torch.isin(turn.abs(), torch.tensor([0.0, 1.0], dtype=torch.float64)).all())


@given(st.floats(-1000, 1000))
def test_a_turn_about_up_is_a_rotation_by_its_angle(degrees: float) -> None:
    turn = rotation_about_z(degrees).numpy()
    angle = np.radians(degrees)
    np.testing.assert_allclose(turn[:3, 0], [np.cos(angle), np.sin(angle), 0], atol=1e-9)
    np.testing.assert_allclose(turn[:3, :3] @ turn[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.array_equal(turn[2], [0, 0, 1, 0])
    assert np.linalg.det(turn) == pytest.approx(1)


def test_right_angles_are_exact() -> None:
    assert rotation_about_z(90)[:2, :2].tolist() == [[0, -1], [1, 0]]
    assert torch.equal(rotation_about_z(-270), rotation_about_z(90))
    assert torch.equal(rotation_about_z(720), torch.eye(4, dtype=torch.float64))
