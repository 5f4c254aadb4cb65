"""The prediction of a part of a scene with the scan around it, as one field."""

from __future__ import annotations

import torch

from sparse_s4r.structures import SampleBox, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import DataError


def compose(prediction: ScenePrediction, scan: SparseTSDF, box: SampleBox) -> ScenePrediction:
    """``prediction`` with the voxels that ``scan`` has outside the prediction's box.

    Args:
        prediction: N voxels, all inside the box.
        scan: What is around them, on the same grid; moved to the prediction's device and type.
        box: Lower and upper (exclusive) voxel indices of the prediction.

    Returns:
        A field whose first N rows are those of the prediction, differentiable in its tensors; the others have logits
        of 0, which say nothing. Neither occupancy nor ``observed``.

    Raises:
        ValueError: Other grids.
        DataError: The prediction has colour and the scan has none.
    """
    if prediction.grid != scan.grid:
        raise ValueError(f"compose: expected both on one grid, got {prediction.grid} and {scan.grid}")
    lower, upper = (bound.to(scan.coordinates.device) for bound in box)
    outside = ~((scan.coordinates >= lower) & (scan.coordinates < upper)).all(dim=1)
    around = scan.select(outside).to(prediction.tsdf.device)
    color, logits = prediction.color, prediction.semantic_logits
    if color is not None:
        if around.color is None:
            raise DataError("virtual views: expected a scan with colour around the prediction, got one without")
        color = torch.cat([color, around.color.to(color)])
    if logits is not None:
        logits = torch.cat([logits, logits.new_zeros(len(around), logits.shape[1])])
    return ScenePrediction(
        prediction.grid,
        torch.cat([prediction.coordinates, around.coordinates]),
        torch.cat([prediction.tsdf, around.tsdf.to(prediction.tsdf)]),
        color,
        logits,
    )
