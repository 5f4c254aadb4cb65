"""What the raycaster returns for one camera."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparse_s4r.structures.camera import Camera


@dataclass(frozen=True)
class RenderedView:
    """Images of one camera; pixels without a hit are 0 (``voxel`` -1).

    Attributes:
        camera: The camera that was rendered.
        hit: (H, W) bool, True where the ray met the surface.
        depth: (H, W) float z-depth in metres.
        normal: (H, W, 3) float unit vector in the world, towards free space.
        color: (H, W, 3) float RGB in [0, 1], or None if the field has none.
        semantic_logits: (H, W, K) float, or None if the field has none.
        voxel: (H, W) int64 row of the voxel nearest to the hit, -1 for a miss.
        observed: (H, W) bool, True where the nearest voxel was in the input scan, False where it was completed and
            at a miss; None if the field does not tell.
    """

    camera: Camera
    hit: Tensor
    depth: Tensor
    normal: Tensor
    color: Tensor | None
    semantic_logits: Tensor | None
    voxel: Tensor
    observed: Tensor | None = None
