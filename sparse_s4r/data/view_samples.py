"""Where the depth samples of a scene's views lie: which views can see enough of a box, without looking at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse_s4r.data.crops import inside
from sparse_s4r.structures import GridSpec, RGBDFrame, SampleBox

# Voxels by which a box is widened: samples this far from it may still count as near to what it holds.
_MARGIN = 9


@dataclass(frozen=True)
class ViewSamples:
    """The valid depth samples of all views.

    Attributes:
        voxels: (S, 3) int32 voxels that hold the samples.
        view: (S,) int64 number of the view of each.
        counts: (F,) int64 number of samples of each view.
    """

    voxels: Tensor
    view: Tensor
    counts: Tensor

    @classmethod
    def of(cls, frames: Sequence[RGBDFrame], grid: GridSpec) -> ViewSamples:
        """Of small pictures: all of their valid samples are kept."""
        voxels = [grid.indices(frame.camera.unproject(frame.depth)[frame.depth > 0]).int() for frame in frames]
        counts = torch.tensor([len(part) for part in voxels])
        return cls(torch.cat(voxels), torch.repeat_interleave(torch.arange(len(frames)), counts), counts)

    def best(self, box: SampleBox, count: int, minimum: float) -> list[int]:
        """Up to ``count`` views with the largest share of samples in or next to ``box``, of those above ``minimum``.

        A view's overlap with what lies in the box is at most this share.
        """
        within = inside(self.voxels, (box[0] - _MARGIN, box[1] + _MARGIN))
        found = torch.bincount(self.view[within], minlength=len(self.counts))
        share = found / self.counts.clamp(min=1)
        order = torch.argsort(share, descending=True, stable=True)[:count]
        return [int(view) for view in order if share[view] >= minimum and found[view] > 0]
