"""Labels of images lifted to voxels by projection and voting: the baseline without a network in 3D."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from sparse_s4r.geometry.keys import pack_keys, unpack_keys
from sparse_s4r.structures import BLOCK, IGNORE_LABEL, GridSpec, RGBDFrame


@dataclass(frozen=True)
class LiftedLabels:
    """Labels of voxels.

    Attributes:
        labels: (N,) int64 class, ``IGNORE_LABEL`` for none.
        confidence: (N,) float32 share of all votes that the class got, 0 without votes.
        voted: (N,) bool, whether a frame voted for the voxel; others have the label of the nearest such voxel or none.
    """

    labels: Tensor
    confidence: Tensor
    voted: Tensor


def lift_labels(
    frames: Iterable[RGBDFrame],
    grid: GridSpec,
    coordinates: Tensor,
    classes: int,
    fill: bool = False,
    depth_max: float = 6.0,
) -> LiftedLabels:
    """Let every frame vote for the class of the voxels that it sees.

    A frame votes for a voxel if the depth at the pixel nearest to the voxel's projection differs from its z-depth by
    less than the truncation; for that pixel's class, with its confidence as weight (1 where the frame has none). The
    class with most weight wins, the first of equal ones.

    Args:
        frames: Labelled frames; read once, one at a time. Pixels with ``IGNORE_LABEL`` do not vote.
        grid: Placement of the voxels, and the truncation.
        coordinates: (N, 3) int64, voxels of a scan or of a prediction.
        classes: Number of classes.
        fill: Give voxels without a vote the label of the nearest voxel with one.
        depth_max: Depth beyond which a sample is ignored, metres.

    Raises:
        ValueError: A frame without labels, or with a label that is none of the ``classes``.

    Source:
        In the manner of McCormac et al., "SemanticFusion", 2017, with sums in place of products.
    """
    if classes < 1:
        raise ValueError(f"classes: expected at least one, got {classes}")
    votes = torch.zeros(len(coordinates), classes)
    centers = grid.centers(coordinates, dtype=torch.float64)
    cells = torch.div(coordinates, BLOCK, rounding_mode="floor")
    keys, block_of = torch.unique(pack_keys(cells), return_inverse=True)
    blocks = unpack_keys(keys)
    for frame in frames:
        # Most voxels lie outside of a picture: whole blocks are left out before any voxel is projected.
        near = _may_see(frame, grid, blocks, depth_max)[block_of].nonzero().squeeze(1)
        rows, label, weight = _votes(frame, centers[near], grid.truncation, depth_max)
        rows = near[rows]
        if len(label) and int(label.max()) >= classes:
            raise ValueError(f"labels of frame {frame.name}: expected values below {classes}, got {int(label.max())}")
        votes.view(-1).index_add_(0, rows * classes + label, weight)
    total = votes.sum(dim=1)
    voted = total > 0
    best = votes.max(dim=1)
    labels = torch.where(voted, best.indices, IGNORE_LABEL)
    confidence = torch.where(voted, best.values / total, 0.0)
    if fill and bool(voted.any()) and not bool(voted.all()):
        _, nearest = cKDTree(coordinates[voted].numpy()).query(coordinates[~voted].numpy())
        labels[~voted] = labels[voted][torch.from_numpy(nearest)]
    return LiftedLabels(labels, confidence, voted)


def _may_see(frame: RGBDFrame, grid: GridSpec, blocks: Tensor, depth_max: float) -> Tensor:
    """False (B,) for blocks (B, 3) whose enclosing ball lies outside of the frame's pyramid of view."""
    camera = frame.camera
    pose, inverse = camera.camera_to_world.double(), torch.linalg.inv(camera.intrinsics.double())
    left, top, right, bottom = -0.5, -0.5, camera.width - 0.5, camera.height - 0.5
    corners = torch.tensor([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]]).double()
    rays = corners @ inverse.T
    # Inward normals: the corners go clockwise seen along the view.
    sides = torch.nn.functional.normalize(torch.linalg.cross(rays, rays.roll(-1, 0)), dim=1)
    edge = BLOCK * grid.voxel_size
    middle = torch.tensor(grid.origin, dtype=torch.float64) + (blocks.double() + 0.5) * edge
    local = (middle - pose[:3, 3]) @ pose[:3, :3]
    radius = 0.5 * math.sqrt(3.0) * edge
    farthest = min(depth_max, float(frame.depth.max())) + grid.truncation
    within: Tensor = (local @ sides.T >= -radius).all(dim=1)
    return within & (local[:, 2] >= -radius) & (local[:, 2] <= farthest + radius)


def _votes(frame: RGBDFrame, centers: Tensor, truncation: float, depth_max: float) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels (M,) that a frame votes for, the class (M,) and the weight (M,) float32."""
    if frame.labels is None:
        raise ValueError(f"frame {frame.name}: expected labels to lift, got none")
    camera = frame.camera
    pixels, z = camera.project(centers)
    nearest = torch.floor(pixels + 0.5)
    column, row = nearest.unbind(dim=1)
    inside = (z > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
    rows = inside.nonzero().squeeze(1)
    flat = row[rows].long() * camera.width + column[rows].long()
    depth = frame.depth.reshape(-1)[flat]
    label = frame.labels.reshape(-1)[flat]
    near = (depth > 0) & (depth <= depth_max) & ((depth - z[rows]).abs() < truncation) & (label != IGNORE_LABEL)
    rows, flat, label = rows[near], flat[near], label[near]
    weight = torch.ones(len(rows)) if frame.confidence is None else frame.confidence.reshape(-1)[flat].float()
    return rows, label.long(), weight
