from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from scipy.spatial.transform import Rotation

from sparse_s4r.data.import_options import KeyFrameRule
from sparse_s4r.data.keyframes import KeyFrames, choose_key_frames, picture_sharpness
from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.data.workers import Workers
from sparse_s4r.structures.errors import DataError
from tests.data import captures


def texture(number: int, blur: float) -> Image.Image:
    noise = np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(0.7 + blur))


def video(folder: Path, poses: list[np.ndarray], blurs: list[float]) -> Capture:
    captures.write_generic(folder, poses)
    for number, blur in enumerate(blurs):
        texture(7, blur).save(folder / "color" / f"view{number}.png")
    return open_capture(folder)


def forward(count: int, step: float) -> list[np.ndarray]:
    return [captures.look(np.array([-1.5 + step * n, 0.0, 1.3]), 0.0) for n in range(count)]


def choose(capture: Capture, rule: KeyFrameRule) -> KeyFrames:
    with Workers(2) as workers:
        return choose_key_frames(capture, rule, workers)


def motion(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Metres and degrees, by another library."""
    turn = Rotation.from_matrix(one[:3, :3].T @ other[:3, :3]).magnitude()
    return float(np.linalg.norm(one[:3, 3] - other[:3, 3])), float(np.degrees(turn))


def test_the_sharpest_of_each_window_is_chosen(tmp_path: Path) -> None:
    # 2 cm apart; a window is the first frame 10 cm from the last key frame and what is less than 5 cm from it.
    sharp = [1, 7, 14]
    blurs = [0.0 if number in sharp else 2.0 for number in range(17)]
    found = choose(video(tmp_path / "room", forward(17, 0.02), blurs), KeyFrameRule(0.1, 10.0))
    # Windows: 0-2; 6-8 (1 + 10 cm); 12-14.
    assert found.indices == (1, 7, 14)
    assert found.compared == 9
    assert found.lost == ()


def test_key_frames_are_far_enough_apart_and_none_is_missed(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    place, yaw, poses = np.array([0.0, 0.0, 1.3]), 0.0, []
    for _ in range(60):
        place = np.clip(place + random.normal(0, [0.03, 0.03, 0.0]), -1, 1.4)
        yaw += random.normal(0, 0.04)
        poses.append(captures.look(place, yaw, 0.2))
    blurs = random.uniform(0, 2, 60).tolist()
    indices = choose(video(tmp_path / "room", poses, blurs), KeyFrameRule(0.15, 8.0)).indices
    assert 5 < len(indices) < 50
    for key, following in zip(indices, [*indices[1:], 60], strict=True):
        far = [number for number in range(key + 1, 60) if _far(poses[key], poses[number])]
        # The next key frame is far enough, and lies in the window that the first frame far enough opens.
        assert following == 60 or following in far
        assert bool(far) == (following < 60)
        if far:
            metres, degrees = motion(poses[far[0]], poses[following])
            assert max(metres / 0.15, degrees / 8.0) < 0.5


def _far(one: np.ndarray, other: np.ndarray) -> bool:
    metres, degrees = motion(one, other)
    return max(metres / 0.15, degrees / 8.0) >= 1


def test_a_camera_that_stands_still_gives_one_frame(tmp_path: Path) -> None:
    found = choose(video(tmp_path / "room", forward(9, 0.0), [2, 2, 2, 2, 0, 2, 2, 2, 2]), KeyFrameRule())
    assert found.indices == (4,)


def test_turning_alone_suffices(tmp_path: Path) -> None:
    poses = [captures.look(np.array([0, 0, 1.3]), np.radians(12 * n)) for n in range(6)]
    assert choose(video(tmp_path / "room", poses, [0.0] * 6), KeyFrameRule(1.0, 10.0)).indices == (0, 1, 2, 3, 4, 5)


def test_unreadable_pictures_are_named_and_not_chosen(tmp_path: Path) -> None:
    capture = video(tmp_path / "room", forward(3, 0.01), [2.0, 0.0, 2.0])
    (tmp_path / "room" / "color" / "view1.png").write_bytes(b"no picture")
    found = choose(capture, KeyFrameRule())
    assert found.indices != (1,)
    assert len(found.lost) == 1
    assert "view1.png" in found.lost[0]


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    capture = video(tmp_path / "room", forward(17, 0.02), [0.0] * 17)
    steps: list[int] = []
    with Workers(1) as workers:
        choose_key_frames(capture, KeyFrameRule(), workers, lambda: steps.append(1))
        alone = choose_key_frames(replace(capture, frames=capture.frames[:1]), KeyFrameRule(), workers)
    assert len(steps) == 17
    assert alone.indices == (0,)


def test_sharpness_falls_with_blur_and_not_with_size() -> None:
    values = [picture_sharpness(torch.from_numpy(np.asarray(texture(1, blur)) / 255.0).float()) for blur in (0, 1, 2)]
    assert values[0] > 2 * values[1] > 4 * values[2]
    large = torch.from_numpy(np.asarray(texture(1, 0).resize((800, 600), Image.Resampling.NEAREST)) / 255.0).float()
    # Reduced to 400 x 300: every pixel of the original five times, so that edges alone count.
    assert picture_sharpness(large) == pytest.approx(values[0] * _edge_share(texture(1, 0)), rel=0.05)


def _edge_share(image: Image.Image) -> float:
    """Ratio of the Laplacian's variance of a picture enlarged five times to its own, by numpy."""
    grey = np.asarray(image, dtype=np.float64).mean(-1) / 255
    return _laplacian(np.kron(grey, np.ones((5, 5)))) / _laplacian(grey)


def _laplacian(grey: np.ndarray) -> float:
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).var())


@pytest.mark.parametrize("rule", [(0.0, 10.0), (0.1, -1.0), (float("nan"), 10.0)])
def test_bad_rules_are_named(rule: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="key_distance"):
        KeyFrameRule(*rule)
