"""The zero level of a sparse field as a triangle mesh, by Open3D's marching cubes on a voxel block grid."""

from __future__ import annotations

import numpy as np
import open3d as o3d
import torch
from torch import Tensor

from sparse_s4r.geometry.hash import VoxelHash
from sparse_s4r.structures import BLOCK, Mesh, ScenePrediction


def extract_mesh(prediction: ScenePrediction) -> Mesh:
    """Triangulate where the field changes its sign.

    A cube of eight voxel centres yields triangles only if all eight voxels are present, so the mesh ends where the
    field does. Vertices lie on the edges between voxels, with distance and colour linear in between; label,
    observed and probability come from the nearest voxel. Not differentiable.

    Args:
        prediction: The field, positive outside.

    Returns:
        Mesh in world metres on the CPU, faces counter-clockwise seen from outside; ``color``, ``labels`` (class of
        the largest logit), ``observed`` and ``probability`` where the field has them. Empty if there is no change of
        sign.
    """
    coordinates = prediction.coordinates.cpu().long()
    color = None if prediction.color is None else prediction.color.detach().float().cpu()
    vertices, faces, vertex_color = _triangulate(coordinates, prediction.tsdf.detach().float().cpu(), color)
    # A vertex lies on an edge between two voxels, the nearer of which is the nearest of all.
    nearest = VoxelHash(coordinates).rows(vertices.round().long())
    logits, observed, probability = prediction.semantic_logits, prediction.observed, prediction.occupancy_probability
    grid = prediction.grid
    world = (vertices.double() + 0.5) * grid.voxel_size + torch.tensor(grid.origin, dtype=torch.float64)
    return Mesh(
        vertices=world.float(),
        faces=faces,
        color=None if color is None else vertex_color.clamp(0.0, 1.0),
        labels=None if logits is None else logits.detach().argmax(dim=1).cpu()[nearest],
        observed=None if observed is None else observed.cpu()[nearest],
        probability=None if probability is None else probability.float().cpu()[nearest],
    )


def _triangulate(coordinates: Tensor, tsdf: Tensor, color: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices (V, 3) in voxels, faces (F, 3) and colours (V, 3) of the zero level."""
    empty = torch.empty((0, 3))
    if not (bool((tsdf > 0).any()) and bool((tsdf <= 0).any())):
        return empty, empty.long(), empty
    volume = _fill_volume(coordinates, tsdf, color)
    # Voxels not filled have weight 0; only those above the threshold take part.
    mesh = volume.extract_triangle_mesh(0.0, -1)
    if "positions" not in mesh.vertex or "indices" not in mesh.triangle:
        return empty, empty.long(), empty
    faces = torch.from_numpy(mesh.triangle.indices.numpy().astype(np.int64))
    # The library makes a vertex per crossed edge, also where no cube was complete.
    used, faces = torch.unique(faces, return_inverse=True)
    vertices = torch.from_numpy(mesh.vertex.positions.numpy())[used]
    return vertices, faces, torch.from_numpy(mesh.vertex.colors.numpy())[used]


def _fill_volume(coordinates: Tensor, tsdf: Tensor, color: Tensor | None) -> o3d.t.geometry.VoxelBlockGrid:
    """A voxel block grid, in units of voxels, that holds the given voxels with weight 1."""
    block = torch.div(coordinates, BLOCK, rounding_mode="floor")
    blocks, inverse = torch.unique(block, dim=0, return_inverse=True)
    single = o3d.core.float32
    volume = o3d.t.geometry.VoxelBlockGrid(
        ("tsdf", "weight", "color"), (single, single, single), (1, 1, 3), 1.0, BLOCK, len(blocks)
    )
    slots, _ = volume.hashmap().activate(o3d.core.Tensor(blocks.int().numpy()))
    local = coordinates - block * BLOCK
    # Open3D stores a block with x fastest.
    inside = local[:, 0] + BLOCK * (local[:, 1] + BLOCK * local[:, 2])
    rows = torch.from_numpy(slots.numpy().astype(np.int64))[inverse] * BLOCK**3 + inside
    # Views of the library's memory. Slots are not cleared when they are handed out.
    weight = torch.from_numpy(volume.attribute("weight").numpy()).reshape(-1)
    weight.zero_()
    weight[rows] = 1.0
    torch.from_numpy(volume.attribute("tsdf").numpy()).reshape(-1)[rows] = tsdf
    if color is not None:
        # The library divides colours by 255 on the way out.
        torch.from_numpy(volume.attribute("color").numpy()).reshape(-1, 3)[rows] = color * 255.0
    return volume
