from __future__ import annotations

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.structures import GridSpec, Mesh, ScenePrediction

VOXEL = 0.05
GRID = GridSpec(VOXEL, origin=(-0.8, 0.0, 1.6))
CENTER = torch.tensor([0.013, 0.71, 2.42], dtype=torch.float64)
RADIUS = 0.5


def sphere(band_voxels: float = 3.0, sign: float = 1.0) -> ScenePrediction:
    coordinates = torch.cartesian_prod(*[torch.arange(-4, 36)] * 3)
    centers = GRID.centers(coordinates, dtype=torch.float64)
    distance = (centers - CENTER).norm(dim=1) - RADIUS
    keep = distance.abs() < band_voxels * VOXEL
    coordinates, centers = coordinates[keep], centers[keep]
    logits = torch.stack([centers[:, 2] - CENTER[2], CENTER[2] - centers[:, 2]], dim=1)
    return ScenePrediction(
        GRID,
        coordinates,
        sign * distance[keep].float(),
        ramp(centers).float(),
        logits.float(),
        centers[:, 0] > CENTER[0],
        occupancy_probability=ramp(centers)[:, 1].float(),
    )


def ramp(points: Tensor) -> Tensor:
    """A colour linear in the position and within [0, 1] around the sphere."""
    return 0.5 + (points - CENTER) @ torch.tensor([[0.4, 0.1, 0.0], [0.2, -0.3, 0.1], [0.0, 0.1, 0.5]]).double()


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces.numpy(), process=False)


def test_sphere_is_closed_round_and_turned_outwards() -> None:
    mesh = extract_mesh(sphere())
    solid = as_trimesh(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    # On an edge of length h the distance to a sphere bends by at most 1 / (R - h): linear interpolation is off by
    # at most h^2 / (8 (R - h)), far below half a voxel. 1e-6 for float32 vertices.
    radius = (mesh.vertices.double() - CENTER).norm(dim=1)
    assert float((radius - RADIUS).abs().max()) <= VOXEL**2 / (8 * (RADIUS - VOXEL)) + 1e-6
    outwards = solid.triangles_center - CENTER.numpy()
    assert bool((np.einsum("ij,ij->i", solid.face_normals, outwards)[solid.area_faces > 1e-12] > 0).all())
    # The polyhedron has its vertices within that bound of the sphere and chords of at most sqrt(3) voxels.
    assert solid.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.01)


def test_faces_turn_with_the_sign() -> None:
    assert as_trimesh(extract_mesh(sphere(sign=-1.0))).volume < 0


def test_attributes() -> None:
    mesh = extract_mesh(sphere())
    assert mesh.color is not None
    assert mesh.labels is not None
    assert mesh.observed is not None
    torch.testing.assert_close(mesh.color.double(), ramp(mesh.vertices.double()), atol=1e-6, rtol=0.0)
    # A nearest voxel is at most half an edge away.
    above = mesh.vertices[:, 2].double() - CENTER[2]
    clear = above.abs() > 0.5 * VOXEL
    assert bool((mesh.labels[clear] == (above[clear] < 0).long()).all())
    right = mesh.vertices[:, 0].double() - CENTER[0]
    clear = right.abs() > 0.5 * VOXEL
    assert bool((mesh.observed[clear] == (right[clear] > 0)).all())
    assert mesh.probability is not None
    # The probability is the ramp of the second colour, taken at the nearest voxel.
    slope = float((ramp(torch.eye(3, dtype=torch.float64)) - ramp(torch.zeros(3, 3, dtype=torch.float64))).abs().max())
    difference = (mesh.probability.double() - ramp(mesh.vertices.double())[:, 1]).abs()
    assert 0 < float(difference.max()) <= 0.5 * VOXEL * slope + 1e-6


def test_a_field_without_extras_has_none() -> None:
    field = sphere()
    mesh = extract_mesh(ScenePrediction(field.grid, field.coordinates, field.tsdf))
    assert (mesh.color, mesh.labels, mesh.observed, mesh.probability) == (None, None, None, None)
    assert len(mesh.faces) == len(extract_mesh(field).faces)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), share=st.floats(0.3, 0.999))
def test_faces_only_in_complete_cubes(seed: int, share: float) -> None:
    field = sphere()
    field = field.select(torch.rand(len(field), generator=torch.Generator().manual_seed(seed)) < share)
    present = {tuple(c) for c in field.coordinates.tolist()}
    mesh = extract_mesh(field)
    assert len(torch.unique(mesh.faces)) == len(mesh.vertices)
    corners = GRID.to_voxels(mesh.vertices.double())[mesh.faces]
    for cube in torch.floor(corners.mean(dim=1)).long()[::5].tolist():
        offsets = np.ndindex(2, 2, 2)
        assert all(tuple(c + o for c, o in zip(cube, offset, strict=True)) in present for offset in offsets)


def test_no_change_of_sign_is_an_empty_mesh() -> None:
    field = sphere()
    for keep in (field.tsdf > 0, field.tsdf < 0, torch.zeros(len(field), dtype=torch.bool)):
        mesh = extract_mesh(field.select(keep))
        assert (len(mesh.vertices), len(mesh.faces)) == (0, 0)
    # Two voxels with a crossing between them, but no complete cube.
    pair = ScenePrediction(GRID, torch.tensor([[0, 0, 0], [0, 0, 1]]), torch.tensor([-0.01, 0.01]))
    assert len(extract_mesh(pair).vertices) == 0
