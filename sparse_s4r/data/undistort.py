"""Images of a lens with distortion as a pinhole camera of the same intrinsics would see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class Undistortion:
    """Where each pixel of the pinhole image lies in the distorted one.

    Attributes:
        places: (H, W, 2) column and row in pixels, float64.
        inside: (H, W) True where the distorted image shows that place.
    """

    places: Tensor
    inside: Tensor

    def average(self, image: Tensor) -> Tensor:
        """Image (H, W, C), interpolated linearly; 0 outside."""
        height, width = image.shape[:2]
        unit = self.places * self.places.new_tensor([2 / max(1, width - 1), 2 / max(1, height - 1)]) - 1
        planes = image.permute(2, 0, 1)[None]
        sampled = grid_sample(planes, unit[None].to(image), "bilinear", "border", align_corners=True)
        return torch.where(self.inside[..., None], sampled[0].permute(1, 2, 0), 0.0)

    def pick(self, image: Tensor, outside: int = 0) -> Tensor:
        """Image (H, W), each pixel picked, never mixed; ``outside`` where there is none."""
        height, width = image.shape
        column = self.places[..., 0].round().long().clamp(0, width - 1)
        row = self.places[..., 1].round().long().clamp(0, height - 1)
        return torch.where(self.inside, image[row, column], outside)


def undistortion(intrinsics: Tensor, distortion: Sequence[float], width: int, height: int) -> Undistortion:
    """Prepare the undistortion of images of ``width`` x ``height``.

    Args:
        intrinsics: (3, 3) pixels, of the distorted image and of the result.
        distortion: k1, k2, p1, p2[, k3[, k4, k5, k6]] as OpenCV defines them: the radial factor is
            (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6), p1 and p2 are tangential.
        width: Columns.
        height: Rows.

    Raises:
        ValueError: Another number of coefficients.
    """
    if len(distortion) not in (4, 5, 8):
        raise ValueError(f"distortion: expected 4, 5 or 8 coefficients, got {len(distortion)}")
    k1, k2, p1, p2, k3, k4, k5, k6 = (*distortion, *(0.0,) * (8 - len(distortion)))
    matrix = intrinsics.double()
    row, column = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    rays = torch.stack([column, row, torch.ones_like(row)], dim=-1) @ torch.linalg.inv(matrix).T
    x, y = rays[..., 0], rays[..., 1]
    r2 = x * x + y * y
    radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    moved = torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            torch.ones_like(x),
        ],
        dim=-1,
    )
    places = (moved @ matrix.T)[..., :2]
    limit = places.new_tensor([width - 0.5, height - 0.5])
    inside = ((places >= -0.5) & (places < limit)).all(dim=-1)
    return Undistortion(places.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0), inside)
