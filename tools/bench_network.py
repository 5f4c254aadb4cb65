"""The whole network as something to measure: a training step and the prediction of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from sparse_s4r.build import build_network, with_classes
from sparse_s4r.checkpoint import load_checkpoint, load_weights
from sparse_s4r.config import Config, load_config, make_config
from sparse_s4r.config_files import override
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.geometry.keys import pack_keys
from sparse_s4r.inference.chunked import CHUNK, chunk_boxes
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.models.dense_net import DenseNet, scan_box
from sparse_s4r.structures import ObservationGrid, SceneSample, SparseTSDF
from sparse_s4r.training.step import Sealed, TrainingStep
from sparse_s4r.training.trainer import make_trainer
from tools.bench_operations import DENSE_LIMIT, engine_name, held_to
from tools.bench_process import Call, OutOfReachError, Request
from tools.bench_rooms import tile_observation, tile_sample, tile_scan, tile_step
from tools.dense_memory import training_bytes

# A step before the terms of rendering count is not what a training consists of.
RENDERING = tuple(f"loss.{term}.start=0" for term in ("depth", "color", "semantic"))


def request_config(request: Request, scene: Scene) -> Config:
    """The configuration that ``request`` asks for: the checkpoint's or the defaults, and its settings on top."""
    settings = [*RENDERING, *request.settings]
    if request.engine == "dense":
        settings.append("model.network=dense")
    else:
        settings.append(f"engine={engine_name(request.engine)}")
    if request.checkpoint is None:
        config = load_config(None if request.config is None else Path(request.config), settings)
    else:
        values = load_checkpoint(Path(request.checkpoint)).config.model_dump(mode="json")
        override(values, settings)
        config = make_config(values, source=request.checkpoint)
    return with_classes(config, scene.class_names)


@contextmanager
def network_call(request: Request) -> Iterator[Call]:
    """The call that ``request`` asks for, within the engine's context.

    Raises:
        OutOfReachError: Not on a scene of this size, or not on this device.
    """
    scene = open_scene(Path(request.scene))
    config = request_config(request, scene)
    if request.engine == "dense-masked":
        _expect_room(config, scene.load_scan("input"))
    with held_to(request.engine):
        make = _training if request.operation == "training-step" else _prediction
        yield make(request, config, scene)


def _expect_room(config: Config, scan: SparseTSDF) -> None:
    lower, upper = scan_box(scan)
    # The masked grids are those of the dense network, and more of them.
    needed = training_bytes((upper - lower).tolist(), build_network(config).shape)
    if needed > DENSE_LIMIT:
        raise OutOfReachError(
            f"dense: a box of {(upper - lower).tolist()} voxels needs {needed / 2**30:.1f} GiB or more (computed), "
            f"over {DENSE_LIMIT >> 30} GiB"
        )


def _training(request: Request, config: Config, scene: Scene) -> Call:
    trainer = make_trainer(config, [scene])
    if trainer.fabric.device.type != request.device:
        raise OutOfReachError(f"a training here runs on {trainer.fabric.device.type}, not on {request.device}")
    if request.checkpoint is not None:
        load_weights(trainer.network, load_checkpoint(Path(request.checkpoint)).weights)
    sample = trainer.dataset.sample(0)
    if request.rooms > 1:
        sample = tile_sample(sample, request.rooms)
    sample = sample.to(trainer.fabric.device)
    model, optimizer = trainer.fabric.setup(TrainingStep(trainer.network, trainer.objective), trainer.optimizer)
    model.train()

    def step(given: SceneSample) -> None:
        total = model(Sealed([given]), 0)
        optimizer.zero_grad(set_to_none=True)
        trainer.fabric.backward(total)
        trainer.fabric.clip_gradients(model, optimizer, max_norm=config.train.clip_norm, error_if_nonfinite=False)
        optimizer.step()

    figures = {"floor_m2": _floor(sample.input.to("cpu"))}
    return Call(lambda: sample, step, len(sample.input), lambda: figures)


def _prediction(request: Request, config: Config, scene: Scene) -> Call:
    network = build_network(config).to(request.device).eval()
    if request.checkpoint is not None:
        load_weights(network, load_checkpoint(Path(request.checkpoint)).weights)
    scan = scene.load_scan("input")
    observation = scene.load_observation("input") if config.model.use_free_space else None
    if request.rooms > 1:
        step = tile_step(scene.load_observation("input"))
        scan = tile_scan(scan, request.rooms, step)
        observation = None if observation is None else tile_observation(observation, request.rooms, step)
    figures = {"floor_m2": _floor(scan)}
    parts = [scan]
    if isinstance(network, DenseNet):
        parts, chunks, chunks_run = _parts(scan, request.chunks)
        figures |= {"chunks": chunks, "chunks_run": chunks_run}

    def run(given: tuple[list[SparseTSDF], ObservationGrid | None]) -> list[object]:
        found = [predict_scene(network, part, given[1], config.model.keep_observed) for part in given[0]]
        figures["voxels_out"] = sum(len(one) for one in found)
        return list(found)

    return Call(lambda: (parts, observation), run, len(scan), lambda: figures)


def _parts(scan: SparseTSDF, most: int) -> tuple[list[SparseTSDF], int, int]:
    """The scan, or of more than ``most`` chunks (0: no limit) an even choice; how many there are, and how many chosen.

    What lies in one chunk is a scan that the network predicts in one chunk.
    """
    boxes = list(chunk_boxes(scan, CHUNK))
    if not most or len(boxes) <= most:
        return [scan], len(boxes), len(boxes)
    chosen = [boxes[int((number + 0.5) * len(boxes) / most)] for number in range(most)]
    inside = [((scan.coordinates >= lower) & (scan.coordinates < upper)).all(dim=1) for lower, upper in chosen]
    return [scan.select(keep) for keep in inside], len(boxes), most


def _floor(scan: SparseTSDF) -> float:
    """Area in square metres of the columns of 32 voxels that hold a voxel: what a floor plan would show."""
    column = scan.coordinates * torch.tensor([1, 1, 0])
    return len(torch.unique(pack_keys(column >> 5))) * (32 * scan.grid.voxel_size) ** 2
