"""Meshes on disk: PLY with label and observed per vertex, and GLB for viewers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from torch import Tensor

from sparse_s4r.structures import IGNORE_LABEL, Mesh

_PLY_TYPES = {"f4": "float", "u1": "uchar", "i4": "int"}


def save_mesh_ply(mesh: Mesh, path: Path) -> None:
    """Write a binary little-endian PLY.

    Vertex properties: ``x y z`` (float, metres) and, where the mesh has them, ``red green blue`` (uchar),
    ``label`` (uchar class), ``observed`` (uchar, 1 = the input scan had the surface) and ``probability`` (float).
    Faces: ``vertex_indices``.

    Args:
        mesh: The mesh.
        path: File to write.

    Raises:
        ValueError: A label outside [0, 255].
    """
    columns = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    values = [mesh.vertices.cpu().float().numpy()]
    if mesh.color is not None:
        columns += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        values.append(_bytes(mesh.color))
    if mesh.labels is not None:
        if len(mesh.labels) and (int(mesh.labels.min()) < 0 or int(mesh.labels.max()) > IGNORE_LABEL):
            raise ValueError(f"labels: expected classes in [0, {IGNORE_LABEL}], got up to {int(mesh.labels.max())}")
        columns.append(("label", "u1"))
        values.append(mesh.labels.cpu().numpy()[:, None])
    if mesh.observed is not None:
        columns.append(("observed", "u1"))
        values.append(mesh.observed.cpu().numpy()[:, None])
    if mesh.probability is not None:
        columns.append(("probability", "<f4"))
        values.append(mesh.probability.cpu().float().numpy()[:, None])
    vertices = np.empty(len(mesh.vertices), dtype=columns)
    for (name, _), column in zip(
        columns, np.concatenate([v.astype(np.float64) for v in values], axis=1).T, strict=True
    ):
        vertices[name] = column
    faces = np.empty(len(mesh.faces), dtype=[("count", "u1"), ("index", "<i4", (3,))])
    faces["count"], faces["index"] = 3, mesh.faces.cpu().numpy()
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property {_PLY_TYPES[kind.lstrip('<')]} {name}" for name, kind in columns]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header\n"]
    path.write_bytes("\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes())


def save_mesh_glb(mesh: Mesh, path: Path, up: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> None:
    """Write a binary glTF for viewers.

    The mesh is turned by the smallest rotation that takes ``up`` to glTF's +y; for +z this maps (x, y, z) to
    (x, z, -y). Colours are stored linear, as glTF demands, on an unlit material: a scan's colours hold their light.
    Labels and observed have no place in this format.

    Args:
        mesh: The mesh; its world has ``up`` upwards.
        path: File to write.
        up: Upward direction of the mesh's world.

    Raises:
        ValueError: A mesh without faces, which glTF cannot hold.
    """
    if len(mesh.faces) == 0:
        raise ValueError(f"mesh for {path}: expected at least one face, got none; the field has no surface")
    vertices = mesh.vertices.cpu().double().numpy() @ _rotation_to_y(up).T
    color = None if mesh.color is None else _bytes(_srgb_to_linear(mesh.color))
    shape = trimesh.Trimesh(vertices, mesh.faces.cpu().numpy(), vertex_colors=color, process=False)
    scene: Any = trimesh.Scene(shape)
    scene.export(path, file_type="glb", tree_postprocessor=_make_unlit)


def _bytes(color: Tensor) -> np.ndarray:
    result: np.ndarray = (color.detach().cpu().clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).numpy()
    return result


def _srgb_to_linear(color: Tensor) -> Tensor:
    """The transfer function of sRGB (IEC 61966-2-1), on values in [0, 1]."""
    color = color.detach().clamp(0.0, 1.0)
    return torch.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def _rotation_to_y(up: tuple[float, float, float]) -> np.ndarray:
    """The smallest rotation (3, 3) that takes ``up`` to +y."""
    source = np.asarray(up, dtype=np.float64)
    source = source / np.linalg.norm(source)
    cosine = source[1]
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = np.cross(source, [0.0, 1.0, 0.0])
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: np.ndarray = np.eye(3) + skew + skew @ skew / (1 + cosine)
    return rotation


def _make_unlit(tree: dict[str, Any]) -> None:
    material = {"pbrMetallicRoughness": {"metallicFactor": 0.0}, "extensions": {"KHR_materials_unlit": {}}}
    tree["materials"] = [{**material, "doubleSided": True}]
    tree["extensionsUsed"] = sorted({*tree.get("extensionsUsed", []), "KHR_materials_unlit"})
    for shape in tree["meshes"]:
        for primitive in shape["primitives"]:
            primitive["material"] = 0
