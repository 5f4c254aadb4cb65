"""Predictions of scenes as one picture: what went in, what came out, what all frames saw; from above, no ceilings.

Example: python tools/show_predictions.py scenes/* --predictions predictions --out rooms.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import torch
from matplotlib import pyplot
from matplotlib.patches import Patch
from torch import Tensor

from sparse_s4r.data.prediction_format import load_prediction_of
from sparse_s4r.data.scene_format import Scene, open_scene
from sparse_s4r.evaluation.rooms import Method
from sparse_s4r.render.pictures import class_palette
from sparse_s4r.structures import ScenePrediction
from sparse_s4r.viewer.overview import Overview, overview, overview_camera

# Ceilings hide rooms: what lies within this distance of a scan's top, metres, is left out.
_CEILING = 0.35
_TITLES = ("input", "its colour", "prediction: grey seen, orange completed", "its colour", "its labels", "all frames")


def rows_of(scene: Scene, prediction: ScenePrediction, azimuth: float) -> list[Tensor | None]:
    """The pictures of ``_TITLES``; None for an attribute that is not there."""
    fuller = scene.load_scan("target")
    centers = fuller.grid.centers(fuller.coordinates)
    camera = overview_camera(centers, 480, 400, azimuth)
    height = float(torch.quantile(centers[:: max(1, len(centers) // 100_000), 2], 0.995)) - _CEILING

    def view(field: ScenePrediction) -> Overview:
        return overview(field.select(field.grid.centers(field.coordinates)[:, 2] < height), camera)

    seen, whole = (view(ScenePrediction.from_scan(scan)) for scan in (scene.load_scan("input"), fuller))
    out = view(prediction)
    return [seen.shape, seen.color, out.shape, out.color, out.labels, whole.color]


def show(scenes: Sequence[Path], method: Method, azimuth: float, file: Path) -> None:
    """Write the picture: a row per scene, and a legend of the classes."""
    figure, axes = pyplot.subplots(
        len(scenes), len(_TITLES), figsize=(3.2 * len(_TITLES), 2.75 * len(scenes)), layout="constrained", squeeze=False
    )
    names: tuple[str, ...] = ()
    for row, path in zip(axes, scenes, strict=True):
        scene = open_scene(path)
        prediction, info = load_prediction_of(method.folder(scene), scene, other_classes=True)
        names = info.class_names
        for axis, picture in zip(row, rows_of(scene, prediction, azimuth), strict=True):
            axis.axis("off")
            if picture is not None:
                axis.imshow(picture.cpu().numpy())
    for axis, title in zip(axes[0], _TITLES, strict=True):
        axis.set_title(title, fontsize=10)
    palette = class_palette(len(names)).double() / 255
    patches = [Patch(color=tuple(color.tolist()), label=name) for color, name in zip(palette, names, strict=False)]
    figure.legend(handles=patches, loc="outside lower center", ncols=max(1, len(names)), fontsize=9)
    figure.savefig(file, dpi=80)
    pyplot.close(figure)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="+", type=Path, help="scene folders")
    parser.add_argument("--predictions", type=Path, required=True, help="folder with one prediction per scene")
    parser.add_argument("--azimuth", type=float, default=215.0, help="where the camera stands, degrees from +x to +y")
    parser.add_argument("--out", type=Path, required=True, help="PNG or JPEG to write")
    given = parser.parse_args()
    show(given.scenes, Method("prediction", given.predictions), given.azimuth, given.out)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
