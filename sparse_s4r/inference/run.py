"""From a scene folder and a checkpoint to a prediction folder."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from sparse_s4r.checkpoint import load_checkpoint, restore_network
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.prediction_format import PredictionInfo, save_prediction
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.geometry.mesh_files import save_mesh_glb, save_mesh_ply
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.structures.errors import DataError
from sparse_s4r.structures.memory import peak_memory_bytes


@dataclass(frozen=True)
class PredictionSummary:
    """What ``prediction.json`` says.

    Attributes:
        voxels_in: Voxels of the input scan.
        voxels_out: Voxels of the prediction.
        voxels_completed: Those of them that the input scan did not have.
        seconds: Time of the network, without reading and writing.
        peak_memory_bytes: Most memory that the process held since it started; on CUDA, that the device allocated for
            the prediction.
        network: "sparse", or "dense" for the baseline, which goes in overlapping chunks and uses no engine.
        engine: Sparse engine.
        device: Where the network ran.
        voxel_size: Metres.
        checkpoint: SHA-256 of the checkpoint.
    """

    voxels_in: int
    voxels_out: int
    voxels_completed: int
    seconds: float
    peak_memory_bytes: int
    network: str
    engine: str
    device: str
    voxel_size: float
    checkpoint: str


def run_prediction(
    scene_folder: Path, checkpoint_path: Path, out: Path, engine: str | None = None
) -> PredictionSummary:
    """Predict a whole scene and write ``out``: prediction.safetensors, prediction.json, mesh.ply, mesh.glb.

    Args:
        scene_folder: Made by ``s4r import``.
        checkpoint_path: Made by ``s4r train``.
        out: Must not exist.
        engine: Sparse engine other than the training's.

    Raises:
        DataError, CheckpointError: See their messages; nothing is written then.
    """
    scene = open_scene(scene_folder)
    checkpoint = load_checkpoint(checkpoint_path)
    config = checkpoint.config
    names = config.model.class_names or ()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = restore_network(checkpoint, engine).to(device)
    scan = scene.load_scan("input")
    if config.model.color_encoder and scan.color is None:
        raise DataError(f"{scene_folder}: the checkpoint's network takes colour in, but the scene has none")
    observation = scene.load_observation("input") if config.model.use_free_space else None
    with new_folder(out) as folder:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        started = time.perf_counter()
        prediction = predict_scene(network, scan, observation, config.model.keep_observed)
        seconds = time.perf_counter() - started
        completed = 0 if prediction.observed is None else int((~prediction.observed).sum())
        up = tuple(float(value) for value in scene.up)
        save_prediction(prediction, PredictionInfo(names, (up[0], up[1], up[2]), checkpoint.digest), folder)
        mesh = extract_mesh(prediction)
        if not len(mesh.faces):
            raise DataError(
                f"{checkpoint_path}: the network predicts no surface for {scene_folder}; train it longer, or look at "
                "the losses of its run"
            )
        save_mesh_ply(mesh, folder / "mesh.ply")
        save_mesh_glb(mesh, folder / "mesh.glb")
        summary = PredictionSummary(
            voxels_in=len(scan),
            voxels_out=len(prediction),
            voxels_completed=completed,
            seconds=round(seconds, 3),
            peak_memory_bytes=peak_memory_bytes(device),
            network=config.model.network,
            engine=engine or config.engine,
            device=str(device),
            voxel_size=scan.grid.voxel_size,
            checkpoint=checkpoint.digest,
        )
        (folder / "prediction.json").write_text(json.dumps(asdict(summary), indent=2) + "\n")
    return summary
