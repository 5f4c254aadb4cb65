"""The true surface of a scene, where it is known."""

from __future__ import annotations

from dataclasses import dataclass

from sparse_s4r.structures.labelled import LabelledField


@dataclass(frozen=True)
class SceneTruth(LabelledField):
    """The truth about every surface of a scene, seen or not, on the scene's grid.

    Attributes:
        field: Signed Euclidean distance to the true surface, metres, positive in the air of rooms; colour of the
            nearest surface point; ``weight`` is 1. A fused scan measures along the camera's axis, which is larger by
            one over the cosine off a surface that is seen at an angle; on the surface, both are zero.
        labels: (N,) int64 class of the nearest surface point, ``IGNORE_LABEL`` for none.
        band: Metres: every voxel that is nearer to the surface than this is in the field. Half a voxel where only those
            that the surface passes through are known; then what lies farther is not known to be no surface.

    Raises:
        ValueError: Labels of another number than the voxels, or a band <= 0.
    """

    band: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.band > 0:
            raise ValueError(f"SceneTruth.band: expected metres > 0, got {self.band}")
