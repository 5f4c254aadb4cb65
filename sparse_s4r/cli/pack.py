"""s4r pack and s4r unpack: scenes in one file each."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class ColorImages(str, Enum):
    """Formats of colour images in a pack."""

    jpeg = "jpeg"
    webp = "webp"
    png = "png"


def pack_command(
    scene: Annotated[Path, typer.Argument(help="Scene folder.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="File to make; must not exist.", show_default=False)],
    image_width: Annotated[
        int | None, typer.Option(min=16, help="Largest width of images, pixels; default: as they are.")
    ] = None,
    color: Annotated[ColorImages, typer.Option(help="Colour images; png keeps them exact.")] = ColorImages.jpeg,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Quality of jpeg and webp.")] = 90,
) -> None:
    """Put a scene with its frames into one file, to train on a machine without the raw data."""
    from sparse_s4r.data.scene_pack import PackOptions, pack_scene

    summary = pack_scene(scene, out, PackOptions(image_width, color.value, quality))
    typer.echo(
        f"{out}: {_megabytes(summary.pack)} of {_megabytes(summary.scene)}, {summary.frames} frames "
        f"({_megabytes(summary.color)} colour, {_megabytes(summary.depth)} depth and labels, "
        f"{_megabytes(summary.fields)} scans)"
    )


def unpack_command(
    pack: Annotated[Path, typer.Argument(help="File made by s4r pack.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", help="Scene folder to make; must not exist.", show_default=False)],
) -> None:
    """Make a scene folder of a pack, checking every file against its checksum."""
    from sparse_s4r.data.scene_pack import unpack_scene

    scene = unpack_scene(pack, out)
    typer.echo(f"{out}: scene {scene.name}, {len(scene.document.frames)} frames")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
