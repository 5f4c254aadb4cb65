"""Turn a training's checkpoint into a weights file that predictions and trainings start from.

    python tools/export_weights.py runs/rooms/checkpoint.pt --out sparse_s4r/weights/rooms.safetensors \
        --voxel-size 0.02 --note data="60 made homes" --note licence=MIT

The file holds the network's weights, the configuration and what --voxel-size and --note say; neither optimiser nor
code. docs/weights.md describes it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sparse_s4r import __version__
from sparse_s4r.checkpoint import load_checkpoint, restore_network
from sparse_s4r.models.scene_net import SceneNet
from sparse_s4r.structures.errors import CheckpointError, UserError
from sparse_s4r.weights_file import WeightsFile, save_weights_file


def main() -> None:
    """Export what the command line says."""
    options = _parse()
    try:
        made_by = {"sparse_s4r": __version__, "voxel_size": options.voxel_size, **_notes(options.note)}
        size = export_weights(options.checkpoint, options.out, made_by, options.half, options.keep_probability)
    except UserError as error:
        sys.exit(f"export_weights: {error}")
    print(f"wrote {options.out}: {size / 1e6:.1f} MB")


def export_weights(
    checkpoint_path: Path, out: Path, made_by: dict[str, object], half: bool, keep_probability: float | None = None
) -> int:
    """Write the weights of a checkpoint; returns the file's size in bytes.

    Raises:
        CheckpointError: ``out`` exists, or the checkpoint is damaged or does not fit its configuration.
    """
    if out.exists():
        raise CheckpointError(f"{out}: expected a file that does not exist yet; name another, or remove it")
    checkpoint = load_checkpoint(checkpoint_path)
    network = restore_network(checkpoint, keep_probability=keep_probability)
    config = checkpoint.config
    if isinstance(network, SceneNet):
        model = config.model.model_copy(update={"keep_probability": network.shape.keep_probability})
        config = config.model_copy(update={"model": model})
    content = WeightsFile(
        config,
        checkpoint.weights,
        checkpoint.step,
        {**checkpoint.made_by, **made_by},
        checkpoint.calibration,
        half=half,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_weights_file(content, out)
    return out.stat().st_size


def _notes(notes: list[str]) -> dict[str, str]:
    pairs = [note.partition("=") for note in notes]
    wrong = [name for name, separator, _ in pairs if not (name and separator)]
    if wrong:
        raise UserError(f"--note {wrong[0]}: expected key=value, e.g. --note licence=MIT")
    return {name: value for name, _, value in pairs}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="checkpoint.pt of s4r train, or another weights file")
    parser.add_argument("--out", type=Path, required=True, help="NAME.safetensors to write; must not exist")
    parser.add_argument("--voxel-size", type=float, required=True, help="of the scenes that it was trained on, metres")
    parser.add_argument("--note", action="append", default=[], help="key=value to keep in the file, any number")
    parser.add_argument("--keep-probability", type=float, help="from which cells are kept, chosen on validation scenes")
    parser.add_argument("--half", action="store_true", help="store matrices as float16: half the size")
    return parser.parse_args()


if __name__ == "__main__":
    main()
