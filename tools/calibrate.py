"""Fit what a network's probabilities need to mean what they say, and write it into the weights file.

    python tools/calibrate.py val-0 val-1 val-2 val-3 --checkpoint sparse_s4r/weights/rooms.safetensors \
        --picture docs/images/calibration.png

The first half of the scenes fits, the other half reports, or those of --report. Fitted are a temperature and a bias of
the occupancy logit, over the completed voxels, and a temperature of the class logits. Scenes with their true surface
(made homes) judge all voxels and their classes; others judge occupancy in the space that their frames saw, which is
another question: the two kinds cannot be mixed. Use rooms that the network was not trained on. docs/weights.md says
what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r.checkpoint import load_checkpoint, restore_network
from sparse_s4r.data.scene_format import open_scene
from sparse_s4r.evaluation.calibration import fit_binary, fit_temperature, reliability
from sparse_s4r.inference.scored_voxels import ScoredVoxels, score_voxels, together
from sparse_s4r.structures import Calibration
from sparse_s4r.structures.errors import DataError, UserError
from sparse_s4r.weights_file import load_weights_file, save_weights_file
from tools.plot_calibration import Diagram, plot_calibration

# More class logits than this are thinned: a temperature needs no million of them.
_MOST = 500_000


@dataclass(frozen=True)
class Row:
    """Expected calibration error of one probability over some voxels, before and after."""

    what: str
    voxels: int
    share_right: float
    before: float
    after: float


def main() -> None:
    """Fit, report and write what the command line says."""
    options = _parse()
    try:
        _run(options)
    except UserError as error:
        sys.exit(f"calibrate: {error}")


def _run(options: argparse.Namespace) -> None:
    fitting, reporting = _share_out(options.scenes, options.report)
    content = load_weights_file(options.checkpoint)
    parts = [_scored(options.checkpoint, scenes) for scenes in (fitting, reporting)]
    # Raises unless both were judged alike.
    together(parts)
    calibration = fit_calibration(parts[0])
    rows, diagrams = report_calibration(parts[1], calibration)
    print(f"fitted on {len(fitting)} scenes: {json.dumps(asdict(calibration))}")
    for row in rows:
        print(
            f"{row.what:22s} {row.voxels:>10,} voxels, {row.share_right:.1%} right, "
            f"ECE {row.before:.4f} before, {row.after:.4f} after"
        )
    if options.picture:
        plot_calibration(diagrams, options.picture)
    names = [[Path(scene).name for scene in part] for part in (fitting, reporting)]
    figures = {"fitted_on": names[0], "reported_on": names[1], "ece": [asdict(row) for row in rows]}
    made_by = {**content.made_by, "calibration": figures}
    save_weights_file(replace(content, calibration=calibration, made_by=made_by), options.out or options.checkpoint)
    print(f"wrote {options.out or options.checkpoint}")


def fit_calibration(voxels: ScoredVoxels) -> Calibration:
    """Temperatures and bias that make the probabilities of ``voxels`` most likely.

    Occupancy is fitted to completed voxels: of observed ones the input scan says that they are there.

    Raises:
        DataError: No completed voxels, or all of one kind.
    """
    completed = ~voxels.observed
    truth = voxels.occupied[completed]
    if not len(truth) or bool(truth.all()) or not bool(truth.any()):
        raise DataError("scenes: expected right and wrong completed voxels to fit to, got one kind; name more scenes")
    temperature, bias = fit_binary(voxels.logits[completed], truth)
    if voxels.class_logits is None or voxels.labels is None or not len(voxels.labels):
        return Calibration(temperature, bias)
    thin = slice(None, None, 1 + len(voxels.labels) // _MOST)
    return Calibration(temperature, bias, fit_temperature(voxels.class_logits[thin], voxels.labels[thin]))


def report_calibration(voxels: ScoredVoxels, calibration: Calibration) -> tuple[list[Row], list[Diagram]]:
    """How far probabilities are off, before and after, on voxels that were not fitted to."""
    before = Calibration().occupancy(voxels.logits)
    after = torch.where(voxels.observed, before, calibration.occupancy(voxels.logits))
    rows: list[Row] = []
    diagrams: list[Diagram] = []
    for what, mask in (("occupancy, completed", ~voxels.observed), ("occupancy, observed", voxels.observed)):
        _add(rows, diagrams, what, (before[mask], after[mask]), voxels.occupied[mask])
    if voxels.class_logits is not None and voxels.labels is not None:
        right = voxels.class_logits.argmax(dim=1) == voxels.labels
        pair = Calibration().confidence(voxels.class_logits), calibration.confidence(voxels.class_logits)
        _add(rows, diagrams, "label", pair, right)
    return rows, diagrams


def _add(rows: list[Row], diagrams: list[Diagram], what: str, pair: tuple[Tensor, Tensor], right: Tensor) -> None:
    if not len(right):
        return
    before, after = (reliability(probability, right) for probability in pair)
    rows.append(Row(what, len(right), float(right.double().mean()), before.ece, after.ece))
    diagrams.append(Diagram(what, before, after))


def _scored(checkpoint_path: Path, scenes: Sequence[Path]) -> ScoredVoxels:
    checkpoint = load_checkpoint(checkpoint_path)
    network = restore_network(checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    return together([score_voxels(network, checkpoint.config.model, open_scene(scene)) for scene in scenes])


def _share_out(scenes: list[Path], report: list[Path]) -> tuple[list[Path], list[Path]]:
    if report:
        reported = {scene.resolve() for scene in report}
        fitting = [scene for scene in scenes if scene.resolve() not in reported]
        if not fitting:
            raise DataError("scenes: expected some besides those of --report to fit on, got none")
        return fitting, report
    half = len(scenes) // 2
    if not half:
        raise DataError(f"scenes: expected at least 2, to fit on one and report on another, got {len(scenes)}")
    return scenes[: len(scenes) - half], scenes[len(scenes) - half :]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, nargs="+", help="scene folders that took no part in the training")
    parser.add_argument("--report", type=Path, nargs="+", default=[], help="scenes to report on; then all others fit")
    parser.add_argument("--checkpoint", type=Path, required=True, help="weights file, see tools/export_weights.py")
    parser.add_argument("--out", type=Path, help="weights file to write; default: the same")
    parser.add_argument("--picture", type=Path, help="reliability diagram, PNG")
    return parser.parse_args()


if __name__ == "__main__":
    main()
