"""How far a scan fused from a world's capture lies from the world's own triangles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sparse_s4r.data.gazebo.scene import WorldScene
from sparse_s4r.data.readers import open_capture
from sparse_s4r.geometry.fusion import fuse_frames
from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.structures import GridSpec, ScenePrediction


@dataclass(frozen=True)
class FusionCheck:
    """Distances of the vertices of the fused scan to the true surface, metres.

    Attributes:
        voxels: Voxels in the band of the scan.
        vertices: Vertices of its mesh.
        median: Median distance.
        percentile_95: Distance that 95 % stay below.
    """

    voxels: int
    vertices: int
    median: float
    percentile_95: float


def check_fusion(scene: WorldScene, capture: Path, voxel_size: float, depth_max: float = 6.0) -> FusionCheck:
    """Read a capture back as any other, fuse it, and compare the mesh of the scan with the world.

    Args:
        scene: The world that the capture shows.
        capture: Folder that ``capture_world`` wrote.
        voxel_size: Of the scan, metres.
        depth_max: Depth beyond which nothing is fused, metres.
    """
    frames = open_capture(capture, "generic")
    grid = GridSpec.around(torch.from_numpy(scene.bounds[0] - 0.5), voxel_size)
    scan = fuse_frames((frames.read_frame(index) for index in range(len(frames))), grid, depth_max)
    vertices = extract_mesh(ScenePrediction.from_scan(scan)).vertices.numpy()
    distance = scene.distance(vertices)
    return FusionCheck(
        len(scan), len(vertices), float(np.median(distance)), float(np.percentile(distance, 95)) if len(vertices) else 0
    )
