"""The scene format, docs/scene-format.md: the names with which other layers read and write scene folders."""

from sparse_s4r.data.scene import SPLITS, ScanName, Scene, open_scene
from sparse_s4r.data.scene_document import Split
from sparse_s4r.data.scene_writer import DEPTH_SCALE, SceneInfo, SceneScans, SceneWriter, depth_range, write_scene

__all__ = [
    "DEPTH_SCALE",
    "SPLITS",
    "ScanName",
    "Scene",
    "SceneInfo",
    "SceneScans",
    "SceneWriter",
    "Split",
    "depth_range",
    "open_scene",
    "write_scene",
]
