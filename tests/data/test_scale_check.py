from dataclasses import replace

import numpy as np
import pytest
import torch

from sparse_s4r.data.scale_check import reprojection_error, scale_warnings
from sparse_s4r.structures import Camera, RGBDFrame
from tests.data import captures


def pairs(scale: float) -> list[tuple[RGBDFrame, RGBDFrame]]:
    """Views 40 cm apart whose depth is off by ``scale``."""
    found = []
    for number in range(6):
        views = []
        yaw = 0.6 * number
        # Half forward, half sideways: a shift along a wall alone would look alike in any unit.
        for step in (0.0, 0.4):
            position = np.array([np.cos(yaw + 0.8) * step, np.sin(yaw + 0.8) * step, 1.2])
            pose = captures.look(position, yaw, 0.2)
            camera = Camera(torch.from_numpy(captures.K), torch.from_numpy(pose), captures.WIDTH, captures.HEIGHT)
            depth = torch.from_numpy(captures.room_depth(pose) * scale).float()
            views.append(RGBDFrame("a", camera, torch.zeros((captures.HEIGHT, captures.WIDTH, 3)), depth))
        found.append((views[0], views[1]))
    return found


def test_right_scale_gives_no_warning() -> None:
    assert scale_warnings(pairs(1.0)) == ()
    # Exact depth, so what remains is the step to the nearest pixel.
    assert reprojection_error(pairs(1.0), 1.0) < 0.01


@pytest.mark.parametrize(("scale", "factor"), [(5.0, "0.2"), (0.2, "5"), (10.0, "0.1"), (4.0, "0.25")])
def test_another_unit_is_named(scale: float, factor: str) -> None:
    warnings = scale_warnings(pairs(scale))
    assert any(f"multiplied by {factor}," in warning for warning in warnings)


@pytest.mark.parametrize("scale", [0.001, 1000.0])
def test_impossible_rooms_are_named(scale: float) -> None:
    median = float(np.median([captures.room_depth(f.camera.camera_to_world.numpy()) for p in pairs(1.0) for f in p]))
    warnings = scale_warnings(pairs(scale))
    assert any(f"is {median * scale:.3g} m" in warning for warning in warnings)


def test_no_overlap_gives_no_error_figure() -> None:
    one, other = pairs(1.0)[0]
    away = other.camera.camera_to_world.clone()
    away[:3, :3] = away[:3, :3] @ torch.diag(torch.tensor([-1.0, 1, -1], dtype=torch.float64))
    turned = replace(other, camera=replace(other.camera, camera_to_world=away))
    assert reprojection_error([(one, turned)], 1.0) == float("inf")
    assert scale_warnings([]) == ()
