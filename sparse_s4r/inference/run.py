"""From a scene folder and a checkpoint to a prediction folder."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from sparse_s4r.checkpoint import Checkpoint, load_checkpoint, restore_network
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.prediction_format import PredictionInfo, save_prediction
from sparse_s4r.data.scene_format import ScanName, Scene, open_scene
from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.geometry.mesh_files import save_mesh_glb, save_mesh_ply
from sparse_s4r.inference.pictures import uncertainty_mesh
from sparse_s4r.inference.predict import predict_scene
from sparse_s4r.inference.weights import (
    default_weights,
    describe_weights,
    expect_color,
    suitability_warnings,
    trained_voxel_size,
)
from sparse_s4r.structures import ObservationGrid, ScenePrediction, SparseTSDF
from sparse_s4r.structures.errors import DataError
from sparse_s4r.structures.memory import peak_memory_bytes


@dataclass(frozen=True)
class PredictionSummary:
    """What ``prediction.json`` says.

    Attributes:
        voxels_in: Voxels of the scan that it was made of.
        voxels_out: Voxels of the prediction.
        voxels_completed: Those of them that this scan did not have.
        seconds: Time of the network, without reading and writing.
        peak_memory_bytes: Most memory that the process held since it started; on CUDA, that the device allocated for
            the prediction.
        network: "sparse", or "dense" for the baseline, which goes in overlapping chunks and uses no engine.
        engine: Sparse engine.
        device: Where the network ran.
        voxel_size: Metres.
        checkpoint: SHA-256 of the checkpoint.
        weights: Which weights these are, for the reader.
        trained_voxel_size: Metres, of the scenes that the weights were trained on; None where they do not say it.
        warnings: What speaks against these weights on this scene.
        scan: Which of the scene's scans it was made of: "input", or "target", that of all training frames.
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
    weights: str = ""
    trained_voxel_size: float | None = None
    warnings: tuple[str, ...] = ()
    scan: ScanName = "input"


def run_prediction(
    scene_folder: Path,
    checkpoint_path: Path | None,
    out: Path,
    engine: str | None = None,
    uncertainty: bool = False,
    keep_probability: float | None = None,
    scan: ScanName = "input",
) -> PredictionSummary:
    """Predict a whole scene and write ``out``: prediction.safetensors, prediction.json, mesh.ply, mesh.glb.

    Args:
        scene_folder: Made by ``s4r import``.
        checkpoint_path: Made by ``s4r train`` or ``s4r refine``; None: the shipped weights.
        out: Must not exist.
        engine: Sparse engine other than the training's.
        uncertainty: Write uncertainty.glb as well, the mesh coloured by how sure the network is of its surface.
        keep_probability: Occupancy probability from which cells are kept, instead of the weights' own: lower finds
            more surface and guesses more.
        scan: Which of the scene's scans the network takes in, with what its frames saw: the "input" frames', or the
            "target" one of all training frames, in which there is less to complete.

    Raises:
        DataError, CheckpointError: See their messages; nothing is written then.
    """
    scene = open_scene(scene_folder)
    path = default_weights() if checkpoint_path is None else checkpoint_path
    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = restore_network(checkpoint, engine, keep_probability).to(device)
    taken = scene.load_scan(scan)
    expect_color(checkpoint, scene, taken)
    observation = scene.load_observation(scan) if config.model.use_free_space else None
    with new_folder(out) as folder:
        prediction, seconds = _timed(network, taken, observation, checkpoint, device)
        completed = 0 if prediction.observed is None else int((~prediction.observed).sum())
        _write_prediction(prediction, checkpoint, scene, path, folder, uncertainty)
        summary = PredictionSummary(
            voxels_in=len(taken),
            voxels_out=len(prediction),
            voxels_completed=completed,
            seconds=round(seconds, 3),
            peak_memory_bytes=peak_memory_bytes(device),
            network=config.model.network,
            engine=engine or config.engine,
            device=str(device),
            voxel_size=taken.grid.voxel_size,
            checkpoint=checkpoint.digest,
            weights=describe_weights(checkpoint, path, shipped=checkpoint_path is None),
            trained_voxel_size=trained_voxel_size(checkpoint),
            warnings=suitability_warnings(checkpoint, scene),
            scan=scan,
        )
        (folder / "prediction.json").write_text(json.dumps(asdict(summary), indent=2) + "\n")
    return summary


def _timed(
    network: nn.Module,
    scan: SparseTSDF,
    observation: ObservationGrid | None,
    checkpoint: Checkpoint,
    device: torch.device,
) -> tuple[ScenePrediction, float]:
    """The prediction of a scan and the seconds it took; peak memory of a CUDA device counts from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    keep_observed = checkpoint.config.model.keep_observed
    prediction = predict_scene(network, scan, observation, keep_observed, calibration=checkpoint.calibration)
    return prediction, time.perf_counter() - started


def _write_prediction(
    prediction: ScenePrediction, checkpoint: Checkpoint, scene: Scene, path: Path, folder: Path, uncertainty: bool
) -> None:
    names = checkpoint.config.model.class_names or ()
    up = tuple(float(value) for value in scene.up)
    info = PredictionInfo(names, (up[0], up[1], up[2]), checkpoint.digest, checkpoint.calibration)
    save_prediction(prediction, info, folder)
    mesh = extract_mesh(prediction)
    if not len(mesh.faces):
        raise DataError(
            f"{path}: the network predicts no surface for {scene.path}; train it longer, or look at the losses of "
            "its run"
        )
    save_mesh_ply(mesh, folder / "mesh.ply")
    save_mesh_glb(mesh, folder / "mesh.glb")
    if not uncertainty:
        return
    if mesh.probability is None:
        raise DataError(f"{path}: the dense baseline gives no probabilities; predict without --uncertainty")
    save_mesh_glb(uncertainty_mesh(mesh), folder / "uncertainty.glb")
