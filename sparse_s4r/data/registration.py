"""Depth of one camera as seen by another, and the repair of one-pixel gaps."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparse_s4r.structures.checks import expect_tensor

# Samples are at most this many pixels of the colour camera apart, so that a slanted surface leaves no gaps.
_SPACING = 0.9
# Neighbours whose depths differ by more than this share lie on different surfaces: sensor noise is below 2 %.
AGREEMENT = 0.03
# Coarse images see the depth of a slanted surface change by more than that from pixel to pixel; surfaces seen at a
# flatter angle than 10 degrees are not told from edges.
_STEEPEST = math.tan(math.radians(80))


def register_depth(
    depth: Tensor,
    depth_intrinsics: Tensor,
    color_intrinsics: Tensor,
    depth_to_color: Tensor,
    width: int,
    height: int,
) -> Tensor:
    """Depth in the pixels of the colour camera.

    Each sample is lifted to 3D, moved into the colour camera and written to the pixel nearest to its projection;
    of several surfaces in one pixel the nearest to the camera stays. Where the colour camera is finer than the
    depth camera, samples are first interpolated between neighbours that lie on one surface (linear in inverse
    depth, which is exact on planes), and single pixels missed by rounding are filled from their neighbours.
    Pixels that the depth camera did not see stay 0. Not differentiable.

    Args:
        depth: (H, W) float metres, 0 = missing.
        depth_intrinsics: (3, 3) pixels of the depth camera.
        color_intrinsics: (3, 3) pixels of the colour camera at ``width`` x ``height``.
        depth_to_color: (4, 4) from the depth camera's frame to the colour camera's, metres.
        width: Width of the result in pixels.
        height: Height of the result in pixels.

    Returns:
        (height, width) float32 metres, 0 = missing.
    """
    expect_tensor("depth", depth, ("H", "W"), floating=True)
    ratio = color_intrinsics.diagonal()[:2] / depth_intrinsics.diagonal()[:2]
    factor = max(1, math.ceil(float(ratio.max()) / _SPACING))
    agreement = max(AGREEMENT, _STEEPEST / float(depth_intrinsics.diagonal()[:2].min()))
    rows, columns, z = _samples(depth.double(), factor, agreement)
    rays = torch.stack([columns, rows, torch.ones_like(z)], dim=1) @ torch.linalg.inv(depth_intrinsics.double()).T
    points = (rays * z[:, None]) @ depth_to_color[:3, :3].double().T + depth_to_color[:3, 3].double()
    registered = _splat(points, color_intrinsics.double(), width, height, agreement)
    return (fill_gaps(registered, agreement) if factor > 1 else registered).float()


def fill_gaps(depth: Tensor, agreement: float = AGREEMENT) -> Tensor:
    """Fill missing pixels that lie between two valid opposite neighbours of one surface.

    Closes one-pixel lines left by an earlier warp. The value is the mean inverse depth of the opposite pair
    (of the four directions) that agrees best; pairs that differ by more than ``agreement`` are not bridged, and
    wider holes stay.

    Args:
        depth: (H, W) float metres, 0 = missing.
        agreement: Largest difference within a surface, as a share of the depth.

    Returns:
        (H, W); valid pixels keep their value.
    """
    padded = torch.nn.functional.pad(depth, (1, 1, 1, 1))
    height, width = depth.shape

    def shifted(row: int, column: int) -> Tensor:
        return padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]

    best = torch.full_like(depth, agreement)
    filled = depth.clone()
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one, other = shifted(row, column), shifted(-row, -column)
        difference = (one - other).abs() / torch.minimum(one, other)
        better = (depth == 0) & (one > 0) & (other > 0) & (difference < best)
        best = torch.where(better, difference, best)
        filled = torch.where(better, 2 * one * other / (one + other), filled)
    return filled


def _samples(depth: Tensor, factor: int, agreement: float) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and depths (P,) of the valid samples, ``factor`` per pixel and axis on one surface."""
    row, column = torch.nonzero(depth > 0, as_tuple=True)
    found = [(row.double(), column.double(), depth[row, column])]
    if factor == 1:
        return found[0]
    corners = torch.stack([depth[:-1, :-1], depth[:-1, 1:], depth[1:, :-1], depth[1:, 1:]], dim=-1)
    nearest, farthest = corners.amin(dim=-1), corners.amax(dim=-1)
    row, column = torch.nonzero((nearest > 0) & (farthest - nearest < agreement * nearest), as_tuple=True)
    inverse = 1 / corners[row, column]
    for step in range(1, factor * factor):
        down, right = divmod(step, factor)
        v, u = down / factor, right / factor
        weights = inverse.new_tensor([(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u])
        found.append((row + v, column + u, 1 / (inverse @ weights)))
    rows, columns, z = zip(*found, strict=True)
    return torch.cat(rows), torch.cat(columns), torch.cat(z)


def _splat(points: Tensor, intrinsics: Tensor, width: int, height: int, agreement: float) -> Tensor:
    """Depth (height, width) of points (P, 3) in the camera's frame; 0 where none falls."""
    points = points[points[:, 2] > 0]
    image = points @ intrinsics.T
    place = image[:, :2] / image[:, 2:]
    pixel = torch.round(place)
    inside = (pixel >= 0).all(dim=1) & (pixel[:, 0] < width) & (pixel[:, 1] < height)
    z, pixel, offset = points[inside, 2], pixel[inside].long(), (place - pixel)[inside].abs().amax(dim=1)
    flat = pixel[:, 1] * width + pixel[:, 0]
    # Of the nearest surface, the sample nearest to the pixel's centre: the nearest sample would pull slants forward.
    front = z <= (1 + agreement) * _smallest(flat, z, width * height)[flat]
    flat, z, offset = flat[front], z[front], offset[front]
    central = offset <= _smallest(flat, offset, width * height)[flat]
    depth = _smallest(flat[central], z[central], width * height)
    return torch.where(torch.isinf(depth), 0.0, depth).reshape(height, width)


def _smallest(index: Tensor, values: Tensor, count: int) -> Tensor:
    """Smallest of ``values`` (P,) per ``index`` (P,), (count,); infinity where there is none."""
    return torch.full((count,), math.inf, dtype=values.dtype).scatter_reduce(0, index, values, reduce="amin")
