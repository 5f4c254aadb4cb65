"""The box of cells on which the dense engine works."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """A box of cells of ``stride`` voxels, the same for every scene of a batch.

    Attributes:
        batch: Number of scenes.
        lower: Cell at the lower corner.
        shape: Number of cells per axis.
        stride: Edge of a cell in voxels.
    """

    batch: int
    lower: tuple[int, int, int]
    shape: tuple[int, int, int]
    stride: int

    @classmethod
    def around(cls, coordinates: Tensor, stride: int, levels: int, bounds: tuple[Tensor, Tensor] | None = None) -> Box:
        """The smallest box that can be halved down to cells of 2^levels voxels.

        Args:
            coordinates: (N, 4) int64 cells [batch, x, y, z] of ``stride`` voxels that it must contain.
            stride: Edge of a cell in voxels.
            levels: Number of halvings counted from stride 1.
            bounds: Voxels at the lower and, exclusive, upper corner, (3,) integer each; None: of the cells.

        Raises:
            ValueError: A cell lies outside ``bounds``.
        """
        snap = max(2**levels // stride, 1)
        cells = coordinates[:, 1:]
        if bounds is not None:
            lower, upper = (bound.to(cells) for bound in bounds)
            lower, upper = lower.div(stride, rounding_mode="floor"), -(-upper).div(stride, rounding_mode="floor")
            if len(cells) and not bool(((cells >= lower) & (cells < upper)).all()):
                raise ValueError(f"box: expected all cells in {lower.tolist()} to {upper.tolist()}, got some outside")
        elif len(cells):
            lower, upper = cells.amin(dim=0), cells.amax(dim=0) + 1
        else:
            lower = upper = cells.new_zeros(3)
        lower = lower.div(snap, rounding_mode="floor") * snap
        upper = -(-upper).div(snap, rounding_mode="floor") * snap
        x, y, z = lower.tolist()
        width, height, depth = (upper - lower).clamp(min=snap).tolist()
        batch = int(coordinates[:, 0].max()) + 1 if len(coordinates) else 1
        return cls(batch, (x, y, z), (width, height, depth), stride)

    def halved(self) -> Box:
        """The same box in cells of twice the edge; ValueError if it does not consist of such cells."""
        if any(value % 2 for value in (*self.lower, *self.shape)):
            raise ValueError(
                f"down: expected a box of whole cells of stride {2 * self.stride}, got lower {self.lower} and shape "
                f"{self.shape} at stride {self.stride}; make the voxels with more levels"
            )
        x, y, z = (value // 2 for value in self.lower)
        width, height, depth = (value // 2 for value in self.shape)
        return Box(self.batch, (x, y, z), (width, height, depth), 2 * self.stride)

    def doubled(self) -> Box:
        """The same box in cells of half the edge; ValueError at stride 1."""
        if self.stride == 1:
            raise ValueError("up: expected cells of stride 2 or more, got stride 1; there are no finer cells")
        x, y, z = (2 * value for value in self.lower)
        width, height, depth = (2 * value for value in self.shape)
        return Box(self.batch, (x, y, z), (width, height, depth), self.stride // 2)

    def cells(self, device: torch.device) -> Tensor:
        """All cells (B X Y Z, 4) int64 [batch, x, y, z], row-major."""
        axes = [torch.arange(self.batch, device=device)]
        axes += [
            torch.arange(start, start + size, device=device) for start, size in zip(self.lower, self.shape, strict=True)
        ]
        return torch.cartesian_prod(*axes)

    def positions(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Row-major positions (N,) int64 of cells (N, 4), 0 for those outside, and whether they lie inside, (N,)."""
        shape = torch.tensor((self.batch, *self.shape), device=coordinates.device)
        local = coordinates - torch.tensor((0, *self.lower), device=coordinates.device)
        inside = ((local >= 0) & (local < shape)).all(dim=1)
        position = local[:, 0]
        for axis in range(1, 4):
            position = position * shape[axis] + local[:, axis]
        return torch.where(inside, position, 0), inside
