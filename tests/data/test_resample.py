import numpy as np
import torch

from sparse_s4r.data.resample import resample_depth
from tests.data.captures import room_depth, room_poses

FOCAL, WIDTH, HEIGHT = 40.0, 48, 36


def camera(factor: float) -> np.ndarray:
    """The same camera with ``factor`` times as many pixels along each axis."""
    center = [(value + 0.5) * factor - 0.5 for value in (22.7, 18.1)]
    return np.array([[FOCAL * factor, 0, center[0]], [0, FOCAL * factor, center[1]], [0, 0, 1]])


def test_finer_pixels_lie_on_the_same_planes() -> None:
    pose = room_poses(5)[1]
    depth = torch.from_numpy(room_depth(pose, camera(1), WIDTH, HEIGHT)).float()
    for factor in (2, 3.75):
        size = (round(WIDTH * factor), round(HEIGHT * factor))
        finer = resample_depth(depth, FOCAL, *size).numpy()
        error = np.abs(finer - room_depth(pose, camera(factor), *size))
        # But at the rim and where walls meet.
        assert np.mean(error < 1e-5) > 0.9
        assert error.max() < 0.05


def test_edges_are_not_bridged_and_holes_do_not_grow() -> None:
    depth = torch.full((8, 8), 2.0)
    depth[:, 4:] = 4.0
    depth[3, 3] = 0.0
    finer = resample_depth(depth, 100.0, 32, 32)
    assert set(finer.unique().tolist()) == {0.0, 2.0, 4.0}
    assert bool((finer[:, :16] < 3).all())
    assert bool((finer[:, 16:] == 4).all())
    # The hole keeps its place and its size.
    assert torch.equal(finer[12:16, 12:16], torch.zeros(4, 4))
    assert int((finer == 0).sum()) == 16


def test_coarser_pixels_are_picked_at_their_centre() -> None:
    depth = torch.arange(36.0).reshape(6, 6) + 1
    assert torch.equal(resample_depth(depth, 10.0, 2, 2), depth[[1, 4]][:, [1, 4]])
    assert torch.equal(resample_depth(depth, 10.0, 6, 6), depth)
