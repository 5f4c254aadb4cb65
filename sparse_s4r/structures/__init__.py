"""Value types: frozen dataclasses over torch tensors, the words in which the layers speak."""

from sparse_s4r.structures.camera import Camera
from sparse_s4r.structures.field import BLOCK, ObservationGrid, SparseTSDF, VoxelState
from sparse_s4r.structures.frame import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.grid import CELL, LEVELS, GridSpec
from sparse_s4r.structures.mesh import Mesh
from sparse_s4r.structures.report import LossReport
from sparse_s4r.structures.scene import LevelOccupancy, SampleBox, ScenePrediction, SceneSample
from sparse_s4r.structures.view import RenderedView

__all__ = [
    "BLOCK",
    "CELL",
    "IGNORE_LABEL",
    "LEVELS",
    "Camera",
    "GridSpec",
    "LevelOccupancy",
    "LossReport",
    "Mesh",
    "ObservationGrid",
    "RGBDFrame",
    "RenderedView",
    "SampleBox",
    "ScenePrediction",
    "SceneSample",
    "SparseTSDF",
    "VoxelState",
]
