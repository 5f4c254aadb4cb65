import numpy as np
import pytest
import torch

from sparse_s4r.data.undistort import undistortion

K = np.array([[40.0, 0, 31], [0, 42, 23], [0, 0, 1]])
WIDTH, HEIGHT = 64, 48
LENS = (-0.2, 0.05, 0.004, -0.003, 0.01, 0.02, -0.01, 0.003)


def seen_at(column: float, row: float, lens: tuple[float, ...]) -> tuple[float, float]:
    """Where OpenCV's camera model, number by number, shows the point that a pinhole shows at (column, row)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*lens, *[0.0] * (8 - len(lens)))
    x, y = (column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1]
    r = (x * x + y * y) ** 0.5
    radial = (1 + k1 * r**2 + k2 * r**4 + k3 * r**6) / (1 + k4 * r**2 + k5 * r**4 + k6 * r**6)
    u = x * radial + 2 * p1 * x * y + p2 * (r**2 + 2 * x**2)
    v = y * radial + p1 * (r**2 + 2 * y**2) + 2 * p2 * x * y
    return K[0, 0] * u + K[0, 2], K[1, 1] * v + K[1, 2]


@pytest.mark.parametrize("count", [4, 5, 8])
def test_pictures_of_their_own_coordinates(count: int) -> None:
    lens = undistortion(torch.from_numpy(K), LENS[:count], WIDTH, HEIGHT)
    rows, columns = torch.meshgrid(torch.arange(HEIGHT).float(), torch.arange(WIDTH).float(), indexing="ij")
    smooth = lens.average(torch.stack([columns, rows], dim=-1))
    picked = lens.pick(columns, outside=-1)
    for row, column in ((23, 31), (5, 8), (40, 60), (30, 20)):
        u, v = seen_at(column, row, LENS[:count])
        assert smooth[row, column].tolist() == pytest.approx([u, v], abs=1e-4)
        assert picked[row, column] == np.round(u)
    u, v = seen_at(0, 0, (0.4, 0, 0, 0))
    assert u < -0.5
    outside = undistortion(torch.from_numpy(K), (0.4, 0.0, 0.0, 0.0), WIDTH, HEIGHT)
    assert outside.pick(rows, outside=7)[0, 0] == 7
    assert outside.average(torch.ones(HEIGHT, WIDTH, 3))[0, 0].tolist() == [0, 0, 0]


def test_no_distortion_changes_nothing() -> None:
    image = torch.rand(HEIGHT, WIDTH, 3)
    lens = undistortion(torch.from_numpy(K), (0.0, 0.0, 0.0, 0.0), WIDTH, HEIGHT)
    torch.testing.assert_close(lens.average(image), image, rtol=0, atol=1e-5)
    assert torch.equal(lens.pick(image[..., 0]), image[..., 0])


def test_other_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="4, 5 or 8 coefficients, got 6"):
        undistortion(torch.from_numpy(K), LENS[:6], WIDTH, HEIGHT)
