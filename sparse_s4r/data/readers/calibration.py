"""The cameras of a capture, and whether they fit its images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.structures.errors import DataError

# Images are narrower than this many focal lengths: 168 degrees.
_WIDEST = 20
# Depth cameras see up to three times as wide as colour cameras, measured on a plane. The memory that registration needs
# grows with the square of this.
_WIDEST_RATIO = 4


@dataclass(frozen=True)
class Calibration:
    """The cameras of a capture or of one frame.

    Attributes:
        color: (3, 3) intrinsics of the colour camera, pixels.
        source: The file the intrinsics come from, or how else they are known; named in errors.
        depth: (3, 3) intrinsics of the depth camera; None when depth is registered to colour already.
        depth_to_color: (4, 4) from the depth camera's frame to the colour camera's, metres.
        pose_is_depth: True when the poses are the depth camera's; they are moved to the colour camera.
        size: (width, height) of the colour images that the intrinsics are for; None if it is not known.
        depth_has_own_size: True when depth is registered to colour, but may have fewer or more pixels.
        distortion: k1, k2, p1, p2[, k3[, k4, k5, k6]] of the colour camera in OpenCV's model. Colour, and everything
            registered to it, is undistorted when a frame is read.
    """

    color: Tensor
    source: str
    depth: Tensor | None = None
    depth_to_color: Tensor | None = None
    pose_is_depth: bool = False
    size: tuple[int, int] | None = None
    depth_has_own_size: bool = False
    distortion: tuple[float, ...] = ()

    def expect_fit(self, color_size: tuple[int, int], depth_size: tuple[int, int]) -> None:
        """Raise DataError unless the intrinsics can be those of images of these sizes, (width, height)."""
        if self.size is not None and self.size != color_size:
            raise DataError(
                f"{self.source}: expected colour images of {_size(self.size)}, which the intrinsics are for, got "
                f"{_size(color_size)}"
            )
        self._expect_pinhole("colour", self.color, color_size)
        if self.depth is None:
            return
        self._expect_pinhole("depth", self.depth, depth_size)
        for axis in (0, 1):
            color_view = color_size[axis] / float(self.color[axis, axis])
            depth_view = depth_size[axis] / float(self.depth[axis, axis])
            if depth_view > _WIDEST_RATIO * color_view:
                raise DataError(
                    f"{self.source}: expected a depth camera with at most {_WIDEST_RATIO} times the view of the colour "
                    f"camera, got focal lengths of {float(self.depth[axis, axis]):g} for {_size(depth_size)} and "
                    f"{float(self.color[axis, axis]):g} for {_size(color_size)}; are they of another resolution?"
                )

    def _expect_pinhole(self, role: str, matrix: Tensor, size: tuple[int, int]) -> None:
        (fx, _, cx), (_, fy, cy), last = matrix.tolist()
        width, height = size
        # NaN fails every comparison, so that it is caught here too.
        has_view = width < _WIDEST * fx < math.inf and height < _WIDEST * fy < math.inf
        if not (has_view and 0 < cx < width and 0 < cy < height and last == [0, 0, 1]):
            raise DataError(
                f"{self.source}: expected {role} intrinsics [fx 0 cx; 0 fy cy; 0 0 1] for {width}x{height} images, got "
                f"{matrix.tolist()}; are they of another resolution?"
            )


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> Tensor:
    """(3, 3) float64 matrix of a camera without skew."""
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
