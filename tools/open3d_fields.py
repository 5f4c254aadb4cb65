"""A field of the package in Open3D: as a voxel block grid that it ray-casts, and as a mesh that it ray-casts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import open3d as o3d
import torch
from torch import Tensor

from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.structures import BLOCK, Camera, ScenePrediction

_FLOAT = o3d.core.float32
# Beyond this many back faces along one ray a mesh counts as a miss.
_LAYERS = 64
# How far behind a back face its ray goes on, metres: more than float32 loses of ten metres.
_BEHIND = 1e-4
_RANGE_FACTOR = 8
# Edge of an image, pixels, whose buffer is large enough for all others.
_ROOM = 1024


@dataclass(frozen=True)
class BlockGridViews:
    """What Open3D's voxel block grid shows; images of the camera's size, pixels without a hit are 0.

    Attributes:
        depth: (H, W) float32 metres.
        normal: (H, W, 3) float32 in its own axes, or None.
        color: (H, W, 3) float32 RGB, or None.
    """

    depth: Tensor
    normal: Tensor | None
    color: Tensor | None


class BlockGridCaster:
    """``VoxelBlockGrid.ray_cast`` of the very voxels of a prediction.

    Open3D fuses and meshes as if the value of voxel i lay at ``i * voxel_size``, and its ray cast reads the voxel
    whose cube from there upwards holds the sample, without interpolation. So what it shows lies off by up to a voxel;
    on average it fits values at the middle of the cube.

    Args:
        prediction: The field; float32 there.
        block: Edge of a block in voxels.
        absent: The distance, in truncations, of voxels that an active block has and the prediction lacks; they have
            no weight, so no hit is on them. 0 is on neither side of a surface. 1, free space, makes longer steps,
            and a ray that comes from behind a surface takes it for a front.
        middle: Whether to lay the values at the middle of the cubes, which favours the ray cast, instead of where
            Open3D itself lays them.
    """

    def __init__(
        self, prediction: ScenePrediction, block: int = BLOCK, absent: float = 0.0, middle: bool = False
    ) -> None:
        self.grid = prediction.grid
        self.has_color = prediction.color is not None
        self.volume = _fill(prediction, block, absent)
        self.keys = self.volume.hashmap().key_tensor()
        self._make_room()
        shift = 0.0 if middle else 0.5 * self.grid.voxel_size
        self.shift = torch.tensor(self.grid.origin, dtype=torch.float64) + shift

    def cast(self, camera: Camera, near: float, far: float, attributes: tuple[str, ...] = ("depth",)) -> BlockGridViews:
        """Render ``camera``; ``attributes`` of "depth", "normal" and "color"."""
        pose = camera.camera_to_world.double().clone()
        pose[:3, 3] -= self.shift
        arguments = (
            self.keys,
            o3d.core.Tensor(camera.intrinsics.double().numpy()),
            o3d.core.Tensor(torch.linalg.inv(pose).numpy()),
            camera.width,
            camera.height,
            list(attributes),
            1.0,
            near,
            far,
            0.5,
            self.grid.truncation_voxels,
            range_factor(camera),
        )
        with o3d.utility.VerbosityContextManager(o3d.utility.VerbosityLevel.Error):
            images = self.volume.ray_cast(*arguments)
        shown = {name: torch.from_numpy(images[name].numpy()).clone() for name in attributes}
        return BlockGridViews(shown["depth"].squeeze(-1), shown.get("normal"), shown.get("color"))

    def _make_room(self) -> None:
        """Let Open3D make its buffer for parts of blocks' outlines large enough for any later view.

        It makes it in the first call, in proportion to that call's image, and keeps it. A view that needs more is
        rendered with holes, and reads what was never written: it may crash. One block in a large image fits for sure.
        """
        intrinsics = np.array([[_ROOM, 0.0, _ROOM / 2], [0.0, _ROOM, _ROOM / 2], [0.0, 0.0, 1.0]])
        self.volume.ray_cast(
            self.keys[:1],
            o3d.core.Tensor(intrinsics),
            o3d.core.Tensor(np.eye(4)),
            _ROOM,
            _ROOM,
            ["depth"],
            range_map_down_factor=1,
        )


def range_factor(camera: Camera) -> int:
    """Pixels per cell of Open3D's map of depth ranges: 8 or the next smaller one that divides the image.

    Otherwise it reads beyond that map at the right and lower edge.
    """
    both = math.gcd(camera.width, camera.height)
    return max(factor for factor in range(1, _RANGE_FACTOR + 1) if both % factor == 0)


def _fill(prediction: ScenePrediction, block: int, absent: float) -> o3d.t.geometry.VoxelBlockGrid:
    coordinates = prediction.coordinates.long()
    cell = torch.div(coordinates, block, rounding_mode="floor")
    blocks, inverse = torch.unique(cell, dim=0, return_inverse=True)
    names, channels = ("tsdf", "weight"), (1, 1)
    if prediction.color is not None:
        names, channels = (*names, "color"), (*channels, 3)  # type: ignore[assignment]
    types = (_FLOAT,) * len(names)
    volume = o3d.t.geometry.VoxelBlockGrid(names, types, channels, prediction.grid.voxel_size, block, len(blocks))
    slots, _ = volume.hashmap().activate(o3d.core.Tensor(blocks.int().numpy()))
    local = coordinates - cell * block
    # x fastest.
    inside = local[:, 0] + block * (local[:, 1] + block * local[:, 2])
    rows = torch.from_numpy(slots.numpy().astype(np.int64))[inverse] * block**3 + inside
    # Views of the library's memory, which is not cleared when it is handed out.
    tsdf, weight = (torch.from_numpy(volume.attribute(name).numpy()).reshape(-1) for name in names[:2])
    tsdf.fill_(absent)
    weight.zero_()
    tsdf[rows] = (prediction.tsdf.detach() / prediction.grid.truncation).float()
    weight[rows] = 1.0
    if prediction.color is not None:
        color = torch.from_numpy(volume.attribute("color").numpy()).reshape(-1, 3)
        # The library divides colours by 255 on the way out.
        color[rows] = 255.0 * prediction.color.detach().float()
    return volume


class MeshCaster:
    """The zero level as triangles, and Open3D's ray cast of those: the judge.

    A cube of eight voxel centres has triangles only if all eight are present. Vertices are exact on the edges of the
    cubes; inside a cube triangles are flat where the interpolated surface is curved.

    Args:
        prediction: The field.
    """

    def __init__(self, prediction: ScenePrediction) -> None:
        mesh = extract_mesh(prediction)
        self.triangles = len(mesh.faces)
        self.scene = o3d.t.geometry.RaycastingScene()
        self.scene.add_triangles(
            o3d.core.Tensor(mesh.vertices.numpy()), o3d.core.Tensor(mesh.faces.numpy().astype(np.uint32))
        )

    def cast(self, camera: Camera, near: float, far: float) -> Tensor:
        """Depth (H, W) float64 metres of the first triangle that faces the camera, 0 for none between the limits."""
        direction = camera.ray_directions().double().view(-1, 3)
        depth = direction.new_zeros(len(direction))
        ray = torch.arange(len(direction))
        start = torch.full_like(depth, near)
        for _ in range(_LAYERS):
            if not len(ray):
                break
            begin = camera.center.double() + start.unsqueeze(1) * direction[ray]
            rays = torch.cat([begin, direction[ray]], dim=1).float()
            found = self.scene.cast_rays(o3d.core.Tensor(rays.numpy()))
            at = start + torch.from_numpy(found["t_hit"].numpy()).double()
            facing = (torch.from_numpy(found["primitive_normals"].numpy()).double() * direction[ray]).sum(1) < 0
            inside = torch.isfinite(at) & (at <= far)
            seen = inside & facing
            depth[ray[seen]] = at[seen]
            # Normals need not be facing or not: one along the ray is neither, and the ray goes on.
            more = inside & ~facing
            ray, start = ray[more], at[more] + _BEHIND
        return depth.view(camera.height, camera.width)
