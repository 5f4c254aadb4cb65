"""What a camera would see of a scan: how much, how far away, and how much of it from behind."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import Camera, ScenePrediction


@dataclass(frozen=True)
class ViewQuality:
    """Measures of one view.

    Attributes:
        hits: Share of pixels that see a surface, in [0, 1].
        behind: Share of pixels whose ray leaves a surface through its back before it meets a front, in [0, 1].
        median_depth: Median z-depth of the pixels that see a surface, metres; 0 where none does.
    """

    hits: float
    behind: float
    median_depth: float


class ViewJudge:
    """Renders small pictures of a field and of its inside.

    The raycaster looks through back faces, so a view from behind a wall looks sound in its pictures. The back faces
    of a field are the front faces of its negative: both are rendered, and a back face counts where it comes first.

    Args:
        prediction: What the cameras look at.
        far: Largest z-depth, metres.
    """

    def __init__(self, prediction: ScenePrediction, far: float) -> None:
        self._raycaster = Raycaster(near=0.0, far=far)
        tsdf = prediction.tsdf.detach()
        shape = ScenePrediction(prediction.grid, prediction.coordinates, tsdf)
        inverse = ScenePrediction(prediction.grid, prediction.coordinates, -tsdf)
        self._front, self._back = self._raycaster.prepare(shape), self._raycaster.prepare(inverse)

    @torch.no_grad()
    def judge(self, camera: Camera) -> ViewQuality:
        """Measure the view of ``camera`` at the size of its picture."""
        front, back = self._raycaster.render(self._front, camera), self._raycaster.render(self._back, camera)
        behind = back.hit & (~front.hit | (back.depth < front.depth))
        return ViewQuality(
            float(front.hit.double().mean()),
            float(behind.double().mean()),
            float(front.depth[front.hit].median()) if bool(front.hit.any()) else 0.0,
        )

    @torch.no_grad()
    def depth_at(self, camera: Camera, column: float, row: float) -> float:
        """Z-depth in metres of the surface along the ray through (column, row); 0 for none, or one seen from behind."""
        intrinsics = camera.intrinsics.clone()
        intrinsics[0, 2] -= column
        intrinsics[1, 2] -= row
        one_pixel = Camera(intrinsics, camera.camera_to_world, 1, 1)
        depth = float(self._raycaster.render(self._front, one_pixel).depth[0, 0])
        behind = float(self._raycaster.render(self._back, one_pixel).depth[0, 0])
        return 0.0 if 0 < behind < depth else depth
