"""Writes SDF and COLLADA files by string formatting, from the published schemas; imports nothing of the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Triangle = Sequence[Sequence[float]]


def write_dae(
    path: Path,
    corners: np.ndarray,
    uv: np.ndarray | None = None,
    unit: float = 1.0,
    up: str = "Z_UP",
    matrix: np.ndarray | None = None,
    image: str = "",
    diffuse: str = "0.2 0.4 0.6 1",
    head: str = "",
    polylist: bool = False,
) -> None:
    """COLLADA 1.4.1 with one geometry: ``corners`` (T, 3, 3) in the file's own units and axes, one material."""
    count = len(corners)
    points = " ".join(f"{v:.9g}" for v in corners.reshape(-1))
    texcoords = "" if uv is None else " ".join(f"{v:.9g}" for v in uv.reshape(-1))
    index = " ".join(f"{i} {i}" if uv is not None else f"{i}" for i in range(3 * count))
    uv_source = (
        f'<source id="uv"><float_array id="uv-a" count="{6 * count}">{texcoords}</float_array><technique_common>'
        f'<accessor source="#uv-a" count="{3 * count}" stride="2"><param name="S" type="float"/>'
        '<param name="T" type="float"/></accessor></technique_common></source>'
    )
    uv_input = '<input semantic="TEXCOORD" source="#uv" offset="1" set="0"/>'
    tag = "polylist" if polylist else "triangles"
    vcount = f"<vcount>{' '.join(['3'] * count)}</vcount>" if polylist else ""
    rows = " ".join(f"{v:.9g}" for v in (np.eye(4) if matrix is None else matrix).reshape(-1))
    images = f'<library_images><image id="img"><init_from>{image}</init_from></image></library_images>' if image else ""
    params = (
        '<newparam sid="surf"><surface type="2D"><init_from>img</init_from></surface></newparam>'
        '<newparam sid="samp"><sampler2D><source>surf</source></sampler2D></newparam>'
    )
    shown = '<texture texture="samp" texcoord="UV"/>' if image else f"<color>{diffuse}</color>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""<?xml version="1.0" encoding="utf-8"?>{head}
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><created>2020-01-01T00:00:00Z</created><modified>2020-01-01T00:00:00Z</modified>
<unit meter="{unit}" name="unit"/><up_axis>{up}</up_axis></asset>{images}
<library_effects><effect id="fx"><profile_COMMON>{params if image else ""}<technique sid="t"><lambert><diffuse>{shown}
</diffuse></lambert></technique></profile_COMMON></effect></library_effects>
<library_materials><material id="mat"><instance_effect url="#fx"/></material></library_materials>
<library_geometries><geometry id="geo" name="shape"><mesh>
<source id="pos"><float_array id="pos-a" count="{9 * count}">{points}</float_array><technique_common>
<accessor source="#pos-a" count="{3 * count}" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>{uv_source if uv is not None else ""}
<vertices id="ver"><input semantic="POSITION" source="#pos"/></vertices>
<{tag} material="m" count="{count}"><input semantic="VERTEX" source="#ver" offset="0"/>
{uv_input if uv is not None else ""}{vcount}<p>{index}</p></{tag}></mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="scene"><node id="node"><matrix>{rows}</matrix>
<instance_geometry url="#geo"><bind_material><technique_common><instance_material symbol="m" target="#mat">
<bind_vertex_input semantic="UV" input_semantic="TEXCOORD" input_set="0"/></instance_material></technique_common>
</bind_material></instance_geometry></node></visual_scene></library_visual_scenes>
<scene><instance_visual_scene url="#scene"/></scene></COLLADA>""",
        encoding="utf-8",
    )


def write_image(path: Path, quarters: Sequence[tuple[int, int, int]], size: int = 32) -> None:
    """An image of four colours: upper left, upper right, lower left, lower right."""
    pixels = np.zeros((size, size, 3), dtype=np.uint8)
    half = size // 2
    for index, color in enumerate(quarters):
        row, column = divmod(index, 2)
        pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def visual(geometry: str, name: str = "visual", pose: str = "", extra: str = "") -> str:
    """A ``<visual>``."""
    return f'<visual name="{name}"><pose>{pose}</pose><geometry>{geometry}</geometry>{extra}</visual>'


def box(size: str) -> str:
    """A ``<box>``."""
    return f"<box><size>{size}</size></box>"


def mesh(uri: str, scale: str = "1 1 1") -> str:
    """A ``<mesh>``."""
    return f"<mesh><uri>{uri}</uri><scale>{scale}</scale></mesh>"


def model(name: str, inside: str, pose: str = "0 0 0 0 0 0", link_pose: str = "") -> str:
    """A ``<model>`` with one link."""
    link = f'<link name="link"><pose>{link_pose}</pose>{inside}</link>'
    return f'<model name="{name}"><static>true</static><pose>{pose}</pose>{link}</model>'


def include(uri: str, name: str = "", pose: str = "") -> str:
    """An ``<include>``."""
    named = f"<name>{name}</name>" if name else ""
    placed = f"<pose>{pose}</pose>" if pose else ""
    return f"<include><uri>{uri}</uri>{named}{placed}</include>"


def write_world(folder: Path, inside: str, head: str = "") -> Path:
    """A world file in ``folder``/worlds."""
    path = folder / "worlds" / "test.world"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'<?xml version="1.0"?>{head}<sdf version="1.6"><world name="w">{inside}</world></sdf>')
    return path


def write_model(folder: Path, name: str, inside: str, config: bool = True) -> None:
    """A model folder in ``folder``/models with model.config and model.sdf; ``inside`` is a ``<model>``."""
    place = folder / "models" / name
    place.mkdir(parents=True, exist_ok=True)
    (place / "model.sdf").write_text(f'<?xml version="1.0"?><sdf version="1.6">{inside}</sdf>')
    if config:
        (place / "model.config").write_text(
            f'<?xml version="1.0"?><model><name>{name}</name><sdf version="1.6">model.sdf</sdf></model>'
        )


def flat(width: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A level rectangle about the origin as two triangles, with texture coordinates from 0 to 1."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * np.array([width, height, 1]) / 2
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    order = [[0, 1, 2], [0, 2, 3]]
    return corners[order], uv[order]


# Two rooms of 3 m x 4 m side by side, parted by a wall with a doorway, with a table and a ball.
def two_rooms() -> str:
    """Models of a small flat: x from -3.1 to 3.1, y from -2.1 to 2.1, floor at 0, walls 2.6 m high, no ceiling."""
    walls = (
        ("6.2 0.1 2.6", "0 -2.05 1.3"),
        ("6.2 0.1 2.6", "0 2.05 1.3"),
        ("0.1 4 2.6", "-3.05 0 1.3"),
        ("0.1 4 2.6", "3.05 0 1.3"),
        ("0.1 1.5 2.6", "0 -1.25 1.3"),
        ("0.1 1.5 2.6", "0 1.25 1.3"),
        ("0.1 1 0.5", "0 0 2.35"),
    )
    shell = "".join(
        visual(box(size), f"part{i}", f"{at} 0 0 0", "<material><diffuse>0.8 0.7 0.6 1</diffuse></material>")
        for i, (size, at) in enumerate(walls)
    )
    floor = visual(box("6.2 4.2 0.1"), pose="0 0 -0.05 0 0 0")
    table = visual(box("1 0.6 0.05"), "top", "0 0 0.7 0 0 0") + visual(box("0.1 0.1 0.68"), "leg", "0 0 0.34 0 0 0")
    ball = visual("<sphere><radius>0.2</radius></sphere>")
    return (
        model("HouseWall_01", shell)
        + model("Floor_01", floor)
        + model("Table_01", table, "-1.6 0.6 0 0 0 0.5")
        + model("Ball_01", ball, "1.5 -1 0.2 0 0 0")
    )
