"""What may be chosen on the command line of an import."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Layout(str, Enum):
    """Layouts of captures: the ``FORMATS`` of the readers, which --help must not wait for."""

    auto = "auto"
    generic = "generic"
    scannet = "scannet"
    matterport = "matterport"
    sevenscenes = "sevenscenes"
    tum = "tum"
    replica = "replica"
    open3d = "open3d"
    nerfstudio = "nerfstudio"
    record3d = "record3d"
    arkitscenes = "arkitscenes"
    hololens = "hololens"


class Up(str, Enum):
    """Axes of the capture's world."""

    auto = "auto"
    x = "x"
    minus_x = "-x"
    y = "y"
    minus_y = "-y"
    z = "z"
    minus_z = "-z"


class Keep(str, Enum):
    """How the frames of the incomplete scan are chosen."""

    random = "random"
    block = "block"


class Labels(str, Enum):
    """Where labels come from."""

    auto = "auto"
    none = "none"
    geometry = "geometry"


FormatOption = Annotated[Layout, typer.Option("--format", help="Layout of the capture; auto recognises it, says why.")]
KeepOption = Annotated[
    float | None,
    typer.Option(help="Share of the frames that feed the incomplete scan; 0.5 if not given.", show_default=False),
]
CoverOption = Annotated[
    float | None,
    typer.Option(
        help="Instead of --keep: add frames at random until the incomplete scan holds about this share of the fuller "
        "scan's surface.",
        show_default=False,
    ),
]
KeepModeOption = Annotated[Keep, typer.Option(help="Leave out frames at random, or one block of consecutive frames.")]
LabelsOption = Annotated[Labels, typer.Option(help="auto: those that the capture has, if any; geometry: from shapes.")]
LabelImagesOption = Annotated[
    Path | None, typer.Option(help="Folder of label images NAME.png made elsewhere; needs --taxonomy.")
]
TaxonomyOption = Annotated[
    str | None,
    typer.Option(
        help="Classes of the labels. Of ScanNet: scannet15, scannet20 or nyu40; of Matterport3D: matterport11 or "
        "eigen13; of --label-images: a shipped one such as scannet15, or a YAML file."
    ),
]
KeyframesOption = Annotated[
    bool, typer.Option("--keyframes", help="Use the sharpest frames that are far enough apart; for videos.")
]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Stop at frames that cannot be used instead of leaving them out.")
]
MaxSkippedOption = Annotated[
    float, typer.Option(help="Largest share of frames that may be left out because they cannot be used.")
]
JobsOption = Annotated[
    int | None,
    typer.Option(help="Threads that decode and write frames; as many as processors, at most 8, if not given."),
]
