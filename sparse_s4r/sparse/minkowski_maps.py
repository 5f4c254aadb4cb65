"""MinkowskiEngine's coordinate maps: sets of cells by key, and their relations, each found once.

MinkowskiEngine itself is imported when the first map is made, never before.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import os
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparse_s4r.sparse.morton import level_of
from sparse_s4r.structures.errors import UserError

_HINT = "install it with `make minkowski`, or use engine=builtin"
# (stride, string id): how MinkowskiEngine names a map within one manager.
_Name = tuple[int, str]
_serials = itertools.count()
_forked = False


def _note_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


@functools.cache
def load_engine() -> Any:
    """The module MinkowskiEngine.

    Raises:
        UserError: It is not installed, or does not load.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    try:
        with warnings.catch_warnings():
            # That it was built for the CPU alone, or that it sets the variable which is put right below.
            warnings.simplefilter("ignore")
            return importlib.import_module("MinkowskiEngine")
    except ModuleNotFoundError as error:
        if error.name != "MinkowskiEngine":
            raise UserError(f'engine: "minkowski": MinkowskiEngine does not load ({error}); {_HINT}') from error
        raise UserError(f'engine: "minkowski" needs MinkowskiEngine, which is not installed; {_HINT}') from error
    except Exception as error:
        raise UserError(f'engine: "minkowski": MinkowskiEngine does not load ({error}); {_HINT}') from error
    finally:
        if threads is None:
            os.environ.pop("OMP_NUM_THREADS", None)


@functools.cache
def kernel_generator(edge: int, stride: int, expand: bool = False) -> Any:
    """MinkowskiEngine's description of a cubic kernel; with ``expand`` a transposed one makes its output's cells."""
    return load_engine().KernelGenerator(
        kernel_size=edge, stride=stride, dilation=1, expand_coordinates=expand, dimension=3
    )


@functools.cache
def convolution_mode() -> Any:
    """MinkowskiEngine's own choice between its ways to convolve."""
    load_engine()
    return importlib.import_module("MinkowskiEngineBackend._C").ConvolutionMode.DEFAULT


class Manager:
    """One coordinate manager of MinkowskiEngine, with names for its maps that never meet.

    It keeps every coordinate map and kernel map that was made in it until it goes itself, which is when the last
    set of cells or autograd graph that uses it goes.

    Args:
        device: Where the coordinates are.

    Raises:
        UserError: MinkowskiEngine is not there, or was built without CUDA and the device is one.
    """

    def __init__(self, device: torch.device) -> None:
        engine = load_engine()
        if device.type == "cuda" and not engine.is_cuda_available():
            raise UserError(
                'engine: "minkowski" is built for the CPU alone and the voxels are on a GPU; run `make minkowski` with '
                "a CUDA build of torch, or use engine=builtin"
            )
        kinds = engine.CoordinateMapType
        # Left alone, MinkowskiEngine sets OpenMP's threads to all cores whatever torch was told. A forked child has
        # none of its parent's threads, and OpenMP would wait for them for ever.
        threads = 1 if _forked else torch.get_num_threads()
        self.engine = engine
        self.serial = next(_serials)
        self.itself = engine.CoordinateManager(
            D=3, coordinate_map_type=kinds.CUDA if device.type == "cuda" else kinds.CPU, num_threads=threads
        )
        self.relations: dict[tuple[Any, ...], Any] = {}
        self._ids = itertools.count()

    def fresh_id(self) -> str:
        """A name that no map has: a strided map takes an existing one of its name for its own, whatever its cells."""
        return f"s4r-{next(self._ids)}"

    def insert(self, coordinates: Tensor, stride: int) -> tuple[Any, int]:
        """Key of a new map of ``coordinates`` (N, 4) int32 in voxels, rows as given, and the number of distinct ones.

        If that is less than N, the map is of no use.
        """
        key, (distinct, _) = self.itself.insert_and_map(coordinates.contiguous(), [stride] * 3, self.fresh_id())
        return key, len(distinct)

    def new_key(self) -> Any:
        """A key for MinkowskiEngine to fill in."""
        return self.engine.CoordinateMapKey(4)


@dataclass(frozen=True, eq=False)
class MinkowskiSites:
    """A set of cells as MinkowskiEngine has it.

    Attributes:
        manager: Where its map is.
        key: The map's key.
    """

    manager: Manager
    key: Any

    @classmethod
    def of(cls, cells: Tensor, stride: int) -> MinkowskiSites | None:
        """The set of ``cells`` (N, 4) integer of ``stride`` voxels in a manager of its own; None if one repeats."""
        manager = Manager(cells.device)
        scale = torch.tensor([1, stride, stride, stride], dtype=torch.int32, device=cells.device)
        key, distinct = manager.insert(cells.int() * scale, stride)
        return cls(manager, key) if distinct == len(cells) else None

    def __len__(self) -> int:
        return int(self.manager.itself.size(self.key))

    @functools.cached_property
    def name(self) -> _Name:
        """How the manager calls it."""
        strides, string_id = self.key.get_key()
        return strides[0], string_id

    @property
    def stride(self) -> int:
        """Edge of a cell in voxels."""
        return self.name[0]

    @functools.cached_property
    def in_voxels(self) -> Tensor:
        """(N, 4) int32 [batch, x, y, z], multiples of the stride."""
        coordinates: Tensor = self.manager.itself.get_coordinates(self.key)
        return coordinates

    @functools.cached_property
    def coordinates(self) -> Tensor:
        """(N, 4) int64 [batch, x, y, z] in cells."""
        cells = self.in_voxels.long()
        cells[:, 1:] >>= self.stride.bit_length() - 1
        return cells

    def same_as(self, other: MinkowskiSites) -> bool:
        """Whether both are the same map."""
        return self.manager is other.manager and self.name == other.name

    def coarse(self) -> MinkowskiSites:
        """The cells of twice the edge that contain mine; the same map at every call."""
        relations, relation = self.manager.relations, ("coarse", self.name)
        level_of(2 * self.stride)
        if relation not in relations:
            relations[relation] = self.manager.itself.stride(self.key, 2, self.manager.fresh_id())
        return MinkowskiSites(self.manager, relations[relation])

    def children_key(self) -> Any:
        """The key of all eight children of every cell; without a map until the first generative convolution."""
        relation = ("children", self.name)
        return self.manager.relations.setdefault(relation, self.manager.new_key())

    def select(self, keep: Tensor) -> MinkowskiSites:
        """The cells at ``keep`` (N,) bool, in the same order; the same map when it repeats the last selection.

        MinkowskiEngine's own pruning orders cells as they lie in its hash table. Inserting the kept coordinates
        costs the same and keeps their order.
        """
        relations, relation = self.manager.relations, ("kept", self.name)
        if relation not in relations or not torch.equal(relations[relation][0], keep):
            key, _ = self.manager.insert(self.in_voxels[keep], self.stride)
            relations[relation] = keep.clone(), key
        return MinkowskiSites(self.manager, relations[relation][1])

    def within(self, manager: Manager) -> MinkowskiSites:
        """The same cells and rows in ``manager``, which copies them once: a kernel map needs both ends in one."""
        if manager is self.manager:
            return self
        relation = ("copy", self.manager.serial, self.name)
        if relation not in manager.relations:
            manager.relations[relation], _ = manager.insert(self.in_voxels, self.stride)
        return MinkowskiSites(manager, manager.relations[relation])
