"""One number for a prediction of a scan, by frames that it was not made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from sparse_s4r.evaluation.held_out import ViewErrors, view_errors
from sparse_s4r.render.raycaster import Raycaster
from sparse_s4r.structures import RGBDFrame, ScenePrediction


@dataclass(frozen=True)
class Score:
    """Renders of a prediction against frames; docs/refine.md.

    Attributes:
        total: Mean of ``within_5cm`` (counted twice), ``coverage`` and 1 - ``color_error``; higher is better.
        within_5cm: Share of the pixels with measured depth that are hit within 5 cm.
        coverage: Share of them that are hit.
        color_error: Root mean square difference of colour over hit pixels, in [0, 1]; None without colour, and
            then left out of ``total``.
    """

    total: float
    within_5cm: float
    coverage: float
    color_error: float | None


def score_prediction(prediction: ScenePrediction, frames: Sequence[RGBDFrame]) -> Score:
    """Render ``prediction`` at the cameras of ``frames``, at least one, and compare.

    Raises:
        ValueError: No frames.
    """
    raycaster = Raycaster()
    with torch.inference_mode():
        field = raycaster.prepare(prediction)
        device = prediction.tsdf.device
        on_device = [frame.to(device) for frame in frames]
        return score_of(view_errors([(raycaster.render(field, frame.camera), frame) for frame in on_device]))


def score_of(errors: ViewErrors) -> Score:
    """The score of view errors."""
    within, coverage = errors.depth_within_5cm, errors.coverage
    if errors.color_psnr is None:
        return Score((2 * within + coverage) / 3, within, coverage, None)
    # Nothing hit leaves no PSNR: as wrong as can be.
    color = 1.0 if math.isnan(errors.color_psnr) else 10 ** (-errors.color_psnr / 20)
    return Score((2 * within + coverage + 1 - min(1.0, color)) / 4, within, coverage, color)
