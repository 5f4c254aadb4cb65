"""A scene folder to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.sparse import morton


@dataclass(frozen=True)
class BenchScene:
    """A scene folder to measure on; sizes are those of its incomplete scan, which is what a network takes in."""

    folder: Path

    @cached_property
    def scene(self) -> Scene:
        """The opened folder."""
        return open_scene(self.folder)

    @cached_property
    def cells(self) -> Tensor:
        """Voxels (N, 4) int32 [batch, x, y, z] in the order in which the package keeps them."""
        cells = torch.nn.functional.pad(self.scene.load_scan("input").coordinates, (1, 0))
        return cells[torch.argsort(morton.encode(cells, 1))].int()

    @property
    def shuffled(self) -> Tensor:
        """The same voxels in random order, the same in every run."""
        order = torch.randperm(len(self.cells), generator=torch.Generator().manual_seed(0))
        return self.cells[order]

    @cached_property
    def pairs(self) -> int:
        """Pairs (voxel, voxel within its 3^3 cube): the products that a 3^3 convolution must form."""
        x, y, z = (self.cells[:, 1:].long() - self.cells[:, 1:].amin(0).long() + 1).unbind(1)
        rows, columns = int(z.max()) + 2, int(y.max()) + 2
        keys = torch.sort((x * columns + y) * rows + z).values
        reach = torch.arange(-1, 2)
        deltas = torch.cartesian_prod(reach, reach, reach) @ torch.tensor([columns * rows, rows, 1])
        # The other half of the cube mirrors this one.
        half = sum(int(_found(keys, keys + int(delta)).sum()) for delta in deltas[:13])
        return len(keys) + 2 * half

    @cached_property
    def coarse(self) -> int:
        """Cells of two voxels that hold one."""
        return len(torch.unique(self.cells.long() >> torch.tensor([0, 1, 1, 1]), dim=0))

    def describe(self) -> str:
        """One line for the table's head."""
        size = self.scene.grid.voxel_size
        return (
            f"{self.folder}: {len(self.cells):,} voxels of {100 * size:g} cm in the incomplete scan, "
            f"{self.pairs / len(self.cells):.1f} in each 3^3 cube"
        )


def _found(ascending: Tensor, keys: Tensor) -> Tensor:
    place = torch.searchsorted(ascending, keys).clamp_(max=len(ascending) - 1)
    return ascending[place] == keys
