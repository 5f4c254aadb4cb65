from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
import pytest
import torch
import trimesh

from sparse_s4r.geometry.mesh_files import save_mesh_glb, save_mesh_ply
from sparse_s4r.structures import Mesh


def read_glb(path: Path) -> Any:
    scene: Any = trimesh.load(path, process=False)
    return scene.to_geometry()


def tetrahedron() -> Mesh:
    return Mesh(
        vertices=torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0]]),
        faces=torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]),
        color=torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.2, 0.4, 1.0]]),
        labels=torch.tensor([3, 0, 255, 14]),
        observed=torch.tensor([True, False, True, True]),
        probability=torch.tensor([0.0, 0.3, 0.75, 1.0]),
    )


def test_ply_is_read_by_two_libraries(tmp_path: Path) -> None:
    mesh = tetrahedron()
    save_mesh_ply(mesh, tmp_path / "mesh.ply")
    tensor = o3d.t.io.read_triangle_mesh(str(tmp_path / "mesh.ply"))
    assert np.array_equal(tensor.vertex.positions.numpy(), mesh.vertices.numpy())
    assert np.array_equal(tensor.triangle.indices.numpy(), mesh.faces.numpy())
    # Open3D passes further properties on only when it reads points.
    points = o3d.t.io.read_point_cloud(str(tmp_path / "mesh.ply")).point
    assert points["label"].numpy().reshape(-1).tolist() == [3, 0, 255, 14]
    assert points["observed"].numpy().reshape(-1).tolist() == [1, 0, 1, 1]
    assert points["probability"].numpy().reshape(-1).tolist() == pytest.approx([0.0, 0.3, 0.75, 1.0])
    loaded: Any = trimesh.load(tmp_path / "mesh.ply", process=False)
    assert np.array_equal(loaded.vertices, mesh.vertices.numpy())
    assert np.array_equal(loaded.faces, mesh.faces.numpy())
    assert loaded.visual.vertex_colors[:, :3].tolist() == [[0, 0, 0], [255, 0, 0], [0, 128, 0], [51, 102, 255]]
    assert loaded.metadata["_ply_raw"]["vertex"]["data"]["label"].reshape(-1).tolist() == [3, 0, 255, 14]


def test_ply_without_extras_and_without_faces(tmp_path: Path) -> None:
    save_mesh_ply(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), tmp_path / "mesh.ply")
    text = (tmp_path / "mesh.ply").read_text()
    assert "element vertex 0" in text
    assert "red" not in text
    assert "label" not in text
    assert "probability" not in text


def test_ply_rejects_labels_that_do_not_fit(tmp_path: Path) -> None:
    mesh = Mesh(torch.zeros(1, 3), torch.zeros(0, 3, dtype=torch.int64), labels=torch.tensor([300]))
    with pytest.raises(ValueError, match="got up to 300"):
        save_mesh_ply(mesh, tmp_path / "mesh.ply")


def test_glb_turns_z_to_y_and_stores_linear_colour(tmp_path: Path) -> None:
    mesh = tetrahedron()
    save_mesh_glb(mesh, tmp_path / "mesh.glb")
    loaded = read_glb(tmp_path / "mesh.glb")
    expected = np.stack([mesh.vertices[:, 0], mesh.vertices[:, 2], -mesh.vertices[:, 1]], axis=1)
    assert np.allclose(loaded.vertices, expected, atol=1e-6)
    assert np.array_equal(loaded.faces, mesh.faces.numpy())
    assert loaded.volume == pytest.approx(1.0)
    content = (tmp_path / "mesh.glb").read_bytes()
    assert b"KHR_materials_unlit" in content
    # sRGB 0.5 is 0.2140 linear: 54.6 of 255.
    assert bytes([0, 55, 0, 255]) in content


@pytest.mark.parametrize("up", [(0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.6, 0.0, 0.8)])
def test_glb_takes_up_to_y_without_mirroring(tmp_path: Path, up: tuple[float, float, float]) -> None:
    mesh = tetrahedron()
    save_mesh_glb(mesh, tmp_path / "mesh.glb", up=up)
    loaded = read_glb(tmp_path / "mesh.glb")
    height = mesh.vertices.double().numpy() @ np.array(up)
    assert np.allclose(loaded.vertices[:, 1], height, atol=1e-6)
    assert loaded.volume == pytest.approx(1.0)


def test_glb_rejects_an_empty_mesh(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one face"):
        save_mesh_glb(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)), tmp_path / "mesh.glb")
