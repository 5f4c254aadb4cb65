"""The operations that the engines are compared in, one by one."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparse_s4r.sparse import morton
from sparse_s4r.sparse.backend import use_backend
from sparse_s4r.sparse.builtin import BuiltinVoxels
from sparse_s4r.sparse.factory import make_voxels
from sparse_s4r.sparse.kernel_map import neighbours
from sparse_s4r.sparse.minkowski import MinkowskiVoxels
from sparse_s4r.sparse.minkowski_maps import MinkowskiSites
from sparse_s4r.sparse.sites import Sites
from sparse_s4r.sparse.tensor import VoxelTensor
from tools.bench_process import Call, OutOfReachError, Request
from tools.bench_scene import BenchScene

# What each is, for the table's legend. The kernel maps have no channels; others are measured at one number of
# channels but for the convolution, which is measured at several.
OPERATIONS = {
    "map-stored": "3^3 kernel map from raw coordinates, voxels in the package's order",
    "map-shuffled": "the same, voxels in random order",
    "conv3": "3^3 convolution, its map being known",
    "down2": "convolution k2 s2, its map being known",
    "up2-generative": "transposed convolution k2 s2 onto all children",
    "up2-generative-map": "the same, and the 3^3 kernel map of its result",
    "up2-onto": "transposed convolution k2 s2 onto known voxels, its map being known",
    "prune-half": "keep a random half of the voxels",
    "lookup-half": "features of that half at all voxels, zeros elsewhere, the relation not being known",
}
NETWORK_OPERATIONS = {
    "training-step": "forward, loss with one rendered view, backward, clipping, optimiser step; whole scene",
    "prediction": "predict_scene on the incomplete scan; whole scene",
}
MAPS = ("map-stored", "map-shuffled")
# A call beyond this takes minutes on a CPU.
DENSE_LIMIT = 2 << 30


def offers(engine: str, operation: str) -> bool:
    """Whether ``engine`` has ``operation`` at all."""
    if engine == "spconv":
        return operation == "conv3"
    # A masked grid finds a neighbour by its place.
    return engine != "dense-masked" or operation not in (*MAPS, "up2-generative-map")


def engine_name(engine: str) -> str:
    """The package's name of ``engine``; "torch" is the builtin one held to its reference."""
    return "builtin" if engine == "torch" else engine


def held_to(engine: str) -> AbstractContextManager[object]:
    """The context in which ``engine`` runs."""
    return use_backend("torch") if engine == "torch" else nullcontext()


def build_map(voxels: VoxelTensor) -> object:
    """Build what a 3^3 convolution on ``voxels`` needs beside features and weights."""
    if isinstance(voxels, BuiltinVoxels):
        return neighbours(voxels.sites, 3)
    if isinstance(voxels, MinkowskiVoxels):
        return _minkowski_map(voxels.sites)
    raise TypeError(f"voxels: expected those of an engine with kernel maps, got {type(voxels).__name__}")


def _minkowski_map(sites: MinkowskiSites) -> object:
    return sites.manager.itself.kernel_map(sites.key, sites.key, stride=1, kernel_size=3)


@contextmanager
def operation_call(request: Request) -> Iterator[Call]:
    """The call that ``request`` asks for, within the engine's context.

    Raises:
        OutOfReachError: Not for a scene of this size, or not on this device.
    """
    scene = BenchScene(Path(request.scene))
    torch.manual_seed(0)
    cells = (scene.shuffled if request.operation == "map-shuffled" else scene.cells).to(request.device)
    backward = request.direction == "forward+backward"
    with torch.set_grad_enabled(backward), held_to(request.engine):
        if request.engine == "spconv":
            yield _spconv(request, cells)
        elif request.operation in MAPS:
            yield Call(lambda: cells, _cold_map(request.engine), len(cells))
        else:
            _expect_room(request, cells)
            yield _Features(request, cells).call()


def _cold_map(engine: str) -> Callable[[Tensor], object]:
    if engine_name(engine) == "builtin":
        return lambda cells: neighbours(Sites.of(cells, 1), 3)
    return lambda cells: _minkowski_map(_expect_unique(MinkowskiSites.of(cells, 1)))


def _expect_unique(sites: MinkowskiSites | None) -> MinkowskiSites:
    if sites is None:
        raise RuntimeError("expected unique voxels, got repeated ones")
    return sites


def _expect_room(request: Request, cells: Tensor) -> None:
    if request.engine != "dense-masked":
        return
    size = (cells[:, 1:].amax(0) - cells[:, 1:].amin(0) + 1).tolist()
    # Input, its copy with channels first, and result; as much again for the gradients.
    values = request.channels * (6 if request.direction == "forward+backward" else 3)
    needed = size[0] * size[1] * size[2] * values * 4
    if needed > DENSE_LIMIT:
        box = " x ".join(map(str, size))
        raise OutOfReachError(
            f"dense: a box of {box} cells needs {needed / 2**30:.1f} GiB (computed), more than {DENSE_LIMIT >> 30} GiB"
        )


class _Features:
    """Operations on features, through the methods that all engines have."""

    def __init__(self, request: Request, cells: Tensor) -> None:
        self.request = request
        self.engine = engine_name(request.engine)
        self.cells = cells
        coarse = torch.unique(cells.long() >> torch.tensor([0, 1, 1, 1], device=cells.device), dim=0)
        self.coarse_cells = coarse[torch.argsort(morton.encode(coarse, 2))].int()
        self.keep = torch.rand(len(cells), device=cells.device) < 0.5

    def call(self) -> Call:
        """The one that the request names."""
        make = getattr(self, "_" + self.request.operation.replace("-", "_"))
        prepare, run = make()
        return Call(prepare, run, len(self.cells))

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(size=shape, device=self.cells.device)

    def _weight(self, taps: int) -> Tensor:
        channels = self.request.channels
        return self._random(taps, channels, channels) / math.sqrt(taps * channels)

    def _fine(self) -> VoxelTensor:
        return make_voxels(self.engine, self.cells, self._random(len(self.cells), self.request.channels), 1)

    def _coarse(self) -> VoxelTensor:
        features = self._random(len(self.coarse_cells), self.request.channels)
        return make_voxels(self.engine, self.coarse_cells, features, 2)

    def _conv3(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        voxels, weight = self._fine(), self._weight(27)
        if self.request.direction == "forward":
            return lambda: voxels, lambda given: given.conv(weight)
        leaf, weight = voxels.features.requires_grad_(), weight.requires_grad_()
        gradient = self._random(*leaf.shape)
        return (
            lambda: voxels.with_features(leaf),
            lambda given: torch.autograd.grad(given.conv(weight).features, (leaf, weight), gradient),
        )

    def _down2(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        voxels, weight = self._fine(), self._weight(8)
        return lambda: voxels, lambda given: given.down(weight)

    def _up2_generative(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        weight = self._weight(8)
        return self._coarse, lambda given: given.up(weight)

    def _up2_generative_map(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        weight = self._weight(8)

        def run(given: VoxelTensor) -> object:
            raised = given.up(weight)
            return raised, build_map(raised)

        return self._coarse, run

    def _up2_onto(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        voxels, weight = self._fine(), self._weight(8)
        coarse = voxels.down(weight)
        return lambda: coarse, lambda given: given.up(weight, voxels)

    def _prune_half(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        return self._fine, lambda given: given.prune(self.keep)

    def _lookup_half(self) -> tuple[Callable[[], Any], Callable[[Any], object]]:
        def prepare() -> tuple[VoxelTensor, VoxelTensor]:
            voxels = self._fine()
            return voxels, voxels.prune(self.keep)

        return prepare, lambda given: given[0].lookup(given[1])


def _spconv(request: Request, cells: Tensor) -> Call:
    """spconv's submanifold convolution, its map being known."""
    if request.direction != "forward" and torch.version.cuda is None:
        raise OutOfReachError("spconv's gradients need a torch built with CUDA")
    spconv = importlib.import_module("spconv.pytorch")
    local = cells - torch.tensor([0, *cells[:, 1:].amin(0).tolist()], dtype=torch.int32, device=cells.device)
    shape = (local[:, 1:].amax(0) + 1).tolist()
    channels = request.channels
    features = torch.randn(len(cells), channels, device=cells.device)
    layer = spconv.SubMConv3d(channels, channels, 3, bias=False, indice_key="map").to(cells.device)
    voxels = spconv.SparseConvTensor(features, local, shape, 1)
    if request.direction == "forward":
        return Call(lambda: voxels, layer, len(cells))
    gradient, leaf = torch.randn_like(features), features.requires_grad_()

    def run(given: Any) -> object:
        return torch.autograd.grad(layer(given.replace_feature(leaf)).features, (leaf, layer.weight), gradient)

    return Call(lambda: voxels, run, len(cells))
