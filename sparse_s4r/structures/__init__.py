"""Value types: frozen dataclasses over torch tensors, the words in which the layers speak."""

from sparse_s4r.structures.calibration import Calibration
from sparse_s4r.structures.camera import Camera
from sparse_s4r.structures.field import BLOCK, ObservationGrid, SparseTSDF, VoxelState
from sparse_s4r.structures.frame import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.grid import CELL, LEVELS, GridSpec
from sparse_s4r.structures.labelled import LabelledField
from sparse_s4r.structures.mesh import Mesh
from sparse_s4r.structures.motion import SampleBox, SampleMotion
from sparse_s4r.structures.report import LossReport
from sparse_s4r.structures.scene import LevelOccupancy, ScenePrediction, SceneSample
from sparse_s4r.structures.truth import SceneTruth
from sparse_s4r.structures.view import RenderedView

__all__ = [
    "BLOCK",
    "CELL",
    "IGNORE_LABEL",
    "LEVELS",
    "Calibration",
    "Camera",
    "GridSpec",
    "LabelledField",
    "LevelOccupancy",
    "LossReport",
    "Mesh",
    "ObservationGrid",
    "RGBDFrame",
    "RenderedView",
    "SampleBox",
    "SampleMotion",
    "ScenePrediction",
    "SceneSample",
    "SceneTruth",
    "SparseTSDF",
    "VoxelState",
]
