"""Cut a part out of a capture in plan view, so that one building gives places to learn from and places never seen.

Kept are the frames whose camera stands in the box; depth and labels of what lies outside of it are removed, and so is
the truth of a world of the simulator. Colour stays whole: a camera that stands inside may look out.

Example: python tools/cut_capture.py captures/house --box -2.55 -20 20 20 --out captures/house-train
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from sparse_s4r.data.images import save_color, save_depth, save_labels
from sparse_s4r.data.labelled_pictures import PlanBox
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.readers import Capture, open_capture
from sparse_s4r.structures import IGNORE_LABEL, RGBDFrame
from sparse_s4r.structures.errors import DataError, UserError

_DEPTH_SCALE = 0.00025
_TRUTH = "truth.safetensors"


def cut_frame(frame: RGBDFrame, box: PlanBox) -> tuple[Tensor, Tensor | None]:
    """Depth (H, W) and labels (H, W) of a frame without what lies outside ``box``."""
    inside = box.contains(frame.camera.unproject(frame.depth.double())) & (frame.depth > 0)
    labels = None if frame.labels is None else torch.where(inside, frame.labels, IGNORE_LABEL)
    return torch.where(inside, frame.depth, 0.0), labels


def cut_capture(source: Path, box: PlanBox, out: Path) -> int:
    """Write the part of capture ``source`` inside ``box`` to ``out``, in the generic layout; returns its frames.

    Raises:
        DataError: ``out`` exists, no camera stands in the box, or frames with different intrinsics.
    """
    capture = open_capture(source, "auto")
    with new_folder(out) as folder:
        for name in ("color", "depth", "labels", "poses"):
            (folder / name).mkdir()
        count = sum(_write(capture.read_frame(index), box, folder) for index in range(len(capture)))
        if count == 0:
            raise DataError(
                f"{source}: expected cameras in the box {box.lower} to {box.upper}, got none; see its poses"
            )
        described = {"depth_scale": _DEPTH_SCALE, "up": "z", "class_names": capture.class_names}
        (folder / "capture.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        _write_intrinsics(capture, folder)
        if (source / _TRUTH).is_file():
            _cut_truth(source / _TRUTH, box, folder / _TRUTH)
    return count


def _write(frame: RGBDFrame, box: PlanBox, folder: Path) -> bool:
    if not bool(box.contains(frame.camera.center.double())):
        return False
    depth, labels = cut_frame(frame, box)
    save_color(folder / "color" / f"{frame.name}.png", frame.color)
    save_depth(folder / "depth" / f"{frame.name}.png", depth, _DEPTH_SCALE)
    if labels is not None:
        save_labels(folder / "labels" / f"{frame.name}.png", labels)
    np.savetxt(folder / "poses" / f"{frame.name}.txt", frame.camera.camera_to_world.numpy(), fmt="%.9f")
    return True


def _write_intrinsics(capture: Capture, folder: Path) -> None:
    """One file for all frames; ``capture`` has at least one."""
    matrices = [capture.read_frame(index).camera.intrinsics for index in (0, len(capture) - 1)]
    if not torch.equal(matrices[0], matrices[1]):
        raise DataError(f"{capture.name}: expected the same intrinsics in all frames, got different ones")
    np.savetxt(folder / "intrinsics.txt", matrices[0].numpy(), fmt="%.9g")


def _cut_truth(source: Path, box: PlanBox, target: Path) -> None:
    with safe_open(str(source), framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    origin = torch.tensor([float(value) for value in metadata["origin"].split()], dtype=torch.float64)
    centers = origin + (tensors["coordinates"].double() + 0.5) * float(metadata["voxel_size"])
    keep = box.contains(centers)
    save_file({name: values[keep].contiguous() for name, values in tensors.items()}, str(target), metadata)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--box", type=float, nargs=4, required=True, metavar=("X0", "Y0", "X1", "Y1"), help="metres")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    x0, y0, x1, y1 = given.box
    try:
        count = cut_capture(given.capture, PlanBox((x0, y0), (x1, y1)), given.out)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"wrote {given.out}: {count} frames")


if __name__ == "__main__":
    main()
