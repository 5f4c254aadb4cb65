"""Label scans by votes of virtual views, and of the real ones: predictions of scenes, to be judged beside others.

    python tools/lift_virtual.py scenes/* --segmenter shipped --taxonomy matterport11 --out predictions/virtual
    python tools/evaluate_rooms.py scenes/* --method "virtual views=predictions/virtual" --out results/rooms

Every scene gets a folder of its name in OUT, which must not be there yet, with prediction.safetensors, mesh.ply and
prediction.json. With --views 0 the real views vote alone, with --no-real the virtual ones. Labels of --scan target are
judged by tools/evaluate_protocols.py --full OUT; the paper's row "VMF" is that with --views 0.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from sparse_s4r.data.output import new_folder
from sparse_s4r.data.prediction_format import PredictionInfo, save_prediction
from sparse_s4r.data.scene_format import ScanName, Scene, open_scene
from sparse_s4r.evaluation.virtual_lifting import VotedScan, VotingOptions, vote_labels
from sparse_s4r.geometry.mesh_extraction import extract_mesh
from sparse_s4r.geometry.mesh_files import save_mesh_ply
from sparse_s4r.render.virtual_options import VirtualViewOptions
from sparse_s4r.segmentation.catalog import make_image_segmenter, trained_digest
from sparse_s4r.structures.errors import DataError, UserError


def main(arguments: Sequence[str] | None = None) -> None:
    """Label every scene, and say how many views voted."""
    given = _parser().parse_args(arguments)
    try:
        options = VotingOptions(
            given.views, not given.no_real, given.seed, VirtualViewOptions(min_hits=given.min_hits, tries=20)
        )
    except ValueError as error:
        raise SystemExit(str(error)) from error
    scan: ScanName = given.scan
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        segmenter = make_image_segmenter(given.segmenter, given.taxonomy, given.label_map, device)
        digest = trained_digest(segmenter)
        scenes = {given.out / folder.resolve().name: open_scene(folder) for folder in given.scenes}
        for out in scenes:
            if out.exists():
                raise DataError(
                    f"{out}: expected a folder that does not exist yet; name another with --out, or move it"
                )
        for out, scene in scenes.items():
            started = time.perf_counter()
            voted = vote_labels(scene, segmenter, scan, options)
            seconds = time.perf_counter() - started
            record = {
                "segmenter": given.segmenter,
                "taxonomy": given.taxonomy,
                "digest": digest,
                "scan": scan,
                "asked_views": given.views,
                "virtual_views": voted.virtual_views,
                "wide_views": voted.wide_views,
                "real_views": voted.real_views,
                "voted": voted.voted,
                "seed": given.seed,
                "min_hits": given.min_hits,
                "seconds": round(seconds, 1),
            }
            write(voted, segmenter.class_names, scene, record, out)
            print(
                f"{out}: {voted.virtual_views} of {given.views} virtual views, {voted.wide_views} wide ones at real "
                f"cameras and {voted.real_views} real views voted for {voted.voted:.1%} of "
                f"{len(voted.prediction):,} voxels, {seconds:.0f} s"
            )
    except UserError as error:
        raise SystemExit(str(error)) from error


def write(voted: VotedScan, class_names: tuple[str, ...], scene: Scene, record: dict[str, object], out: Path) -> None:
    """Write a prediction folder, whole or not at all: docs/prediction-format.md; no checkpoint made it."""
    up = tuple(float(value) for value in scene.up)
    out.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(out) as folder:
        save_prediction(voted.prediction, PredictionInfo(class_names, (up[0], up[1], up[2]), ""), folder)
        save_mesh_ply(extract_mesh(voted.prediction), folder / "mesh.ply")
        (folder / "prediction.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders")
    parser.add_argument("--segmenter", default="shipped", help="shipped, mseg:CHECKPOINT or hf:MODEL")
    parser.add_argument("--taxonomy", default="matterport11", help="classes; those of the scenes' labels")
    parser.add_argument("--label-map", type=Path, help="from the segmenter's classes to the taxonomy's")
    parser.add_argument("--scan", choices=("input", "target"), default="input", help="which scan, and its frames")
    parser.add_argument("--views", type=int, default=60, help="virtual views per scene")
    parser.add_argument("--no-real", action="store_true", help="real views do not vote")
    parser.add_argument("--min-hits", type=float, default=0.6, help="least share of a virtual view that sees the scan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the predictions")
    return parser


if __name__ == "__main__":
    main()
