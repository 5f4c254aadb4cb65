"""A Matterport3D house of the box room, from the data set's own description of its files."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.captures import room_color, room_depth, room_poses

SIZE = (96, 80)
# As matterport_camera_intrinsics has it: OpenCV axes, the origin at the top left.
CAMERA = np.array([[70.0, 0, 45.5], [0, 71.5, 33.25], [0, 0, 1]])
OTHER_CAMERA = np.array([[69.0, 0, 49.0], [0, 68.5, 44.75], [0, 0, 1]])
# Takes a camera that looks along -z, with y up, to one that looks along z, with y down.
GL = np.diag([1.0, -1, -1, 1])
PANORAMAS = ("03a8325e3b054e3fad7e1e7091f9d283", "8f17854feb134826ae42e16b303e04ed")
HOUSE = "D7N2EKCX4Sj"


def conf_text(newline: str = "\n", announced: int | None = None) -> str:
    """The .conf file: two panoramas, one camera each, three turns."""
    lines = ["dataset matterport", f"n_images {6 if announced is None else announced}"]
    lines += ["depth_directory undistorted_depth_images", "color_directory undistorted_color_images", ""]
    for panorama, name in enumerate(PANORAMAS):
        fx, _, cx, _, fy, cy, *_ = camera_of(panorama).ravel().tolist()
        # All images have their origin at the bottom left, so that cy counts rows from the lowest.
        lines.append(f"intrinsics_matrix {fx:g} 0 {cx:g}  0 {fy:g} {SIZE[1] - 1 - cy:g} 0 0 1 ")
        for turn in range(3):
            matrix = room_poses(6)[3 * panorama + turn] @ GL
            numbers = " ".join(f"{value:g}" for value in matrix.ravel())
            lines.append(f"scan {name}_d{panorama}_{turn}.png {name}_i{panorama}_{turn}.jpg {numbers} ")
        lines.append("")
    return newline.join(lines)


def camera_of(panorama: int) -> np.ndarray:
    return CAMERA if panorama == 0 else OTHER_CAMERA


def write_house(folder: Path, newline: str = "\n", announced: int | None = None, house: bool = True) -> Path:
    """The house's folder with colour, depth and cameras, and the regions if ``house``."""
    for part in ("undistorted_color_images", "undistorted_depth_images", "undistorted_camera_parameters"):
        (folder / part).mkdir(parents=True)
    for panorama, name in enumerate(PANORAMAS):
        for turn in range(3):
            pose, k = room_poses(6)[3 * panorama + turn], camera_of(panorama)
            color = Image.fromarray(room_color(pose, k, *SIZE))
            color.save(
                folder / "undistorted_color_images" / f"{name}_i{panorama}_{turn}.jpg", quality=97, subsampling=0
            )
            depth = np.rint(room_depth(pose, k, *SIZE) * 4000).astype(np.uint16)
            Image.fromarray(depth).save(folder / "undistorted_depth_images" / f"{name}_d{panorama}_{turn}.png")
    conf = folder / "undistorted_camera_parameters" / f"{HOUSE}.conf"
    conf.write_bytes(conf_text(newline, announced).encode())
    if house:
        write_regions(folder)
    return folder


def write_regions(folder: Path) -> None:
    """house_segmentations/<house>.house: two regions on a level, a portal, a panorama in each, and other lines."""
    box = "-2 -1.5 0 2 1.5 2.5"
    lines = ["ASCII 1.1", f"H {HOUSE} - 6 2 4 1 2 1 1 2 1 1  0 0 0 0 0  {box}  0 0 0 0 0"]
    lines += [f"L 0 2 - 0 0 0  {box}  0 0 0 0 0"]
    lines += [f"R {index} 0 0 0 {use}  0 0 0  {box}  2.5  0 0 0 0" for index, use in enumerate("kb")]
    lines += [f"P 0 0 1 -  {box}  0 0 0 0", f"S 0 0 0 -  0 0 0  0 0 1  {box}  0 0 0 0 0"]
    lines += ["V 0 0 -  -2 -1.5 0  0 0 1  0 0 0"]
    lines += [f"P {name} {index} {1 - index} 0  0 0 1.3  0 0 0 0 0" for index, name in enumerate(PANORAMAS)]
    lines += ["C 0 3 ceiling 17 ceiling 0 0 0 0 0", "O 0 0 0  0 0 1  1 0 0  0 1 0  1 1 1  0 0 0 0 0 0 0 0"]
    (folder / "house_segmentations").mkdir()
    (folder / "house_segmentations" / f"{HOUSE}.house").write_text("\n".join(lines) + "\n")


# Triangles of the room by wall: the two of each have a segment of their own.
WALLS = ("west", "east", "south", "north", "floor", "ceiling")
# Object instances: raw label, and the walls that their segments make up. The north wall belongs to no object.
OBJECTS = (("wall", ("west", "east")), ('door /outside"s', ("south",)), ("rug", ("floor",)), ("storage", ("ceiling",)))
# Rows of category_mapping.tsv: raw_category, eigen13class.
CATEGORIES = (
    ("wall", "Wall"),
    ('door /outside"s', "Wall"),
    ("rug", "Floor"),
    ("book", "Books"),
    ("remove", "void"),
    ("storage", ""),
)


def room_mesh() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Corners (8, 3), triangles (12, 3) and the wall of each triangle."""
    corners = np.array([[x, y, z] for x in (-2.0, 2) for y in (-1.5, 1.5) for z in (0.0, 2.5)])
    triangles, walls = [], []
    for number, wall in enumerate(WALLS):
        axis, side = divmod(number, 2)
        on = [index for index in range(8) if (index >> (2 - axis)) & 1 == side]
        triangles += [[on[0], on[1], on[2]], [on[1], on[3], on[2]]]
        walls += [wall, wall]
    return corners, np.array(triangles), walls


def write_region(folder: Path, region: int = 0, chosen: tuple[str, ...] = WALLS) -> Path:
    """regionN.ply, regionN.fsegs.json and regionN.semseg.json of some of the room's walls."""
    corners, triangles, walls = room_mesh()
    kept = [index for index, wall in enumerate(walls) if wall in chosen]
    place = folder / "region_segmentations"
    place.mkdir(parents=True, exist_ok=True)
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(corners)}"]
    head += [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz")]
    head += [f"property uchar {name}" for name in ("red", "green", "blue")]
    head += [f"element face {len(kept)}", "property list uchar int vertex_indices"]
    head += [f"property int {name}" for name in ("material_id", "segment_id", "category_id")]
    data = "\n".join([*head, "end_header", ""]).encode()
    for corner in corners:
        data += struct.pack("<6f3B", *corner, 0, 0, 1, 200, 200, 200)
    for index in kept:
        data += struct.pack("<B3i3i", 3, *triangles[index].tolist(), index, 0, 1)
    (place / f"region{region}.ply").write_bytes(data)
    fsegs = {"params": {"kThresh": "0.01"}, "sceneId": f"{HOUSE}.region{region}", "segIndices": [100 + i for i in kept]}
    (place / f"region{region}.fsegs.json").write_text(json.dumps(fsegs))
    groups = [
        {
            "id": number,
            "objectId": number,
            "segments": [100 + index for index in kept if walls[index] in members],
            "label": label,
            "obb": {"centroid": [0, 0, 0]},
        }
        for number, (label, members) in enumerate(OBJECTS)
    ]
    semseg = {"sceneId": f"{HOUSE}.region{region}", "appId": "x", "segGroups": groups, "segmentsFile": "y"}
    (place / f"region{region}.semseg.json").write_text(json.dumps(semseg))
    return place


def write_categories(path: Path) -> Path:
    """category_mapping.tsv with the columns and the line ends of the published one."""
    head = ["index", "raw_category", "category", "count", "nyuId", "nyu40id", "eigen13id", "nyuClass", "nyu40class"]
    head += ["eigen13class", "ModelNet40", "mpcat40index", "mpcat40"]
    rows = [
        [str(index), raw, raw, "9", "", "", "", "", "", eigen, "", "1", "wall"]
        for index, (raw, eigen) in enumerate(CATEGORIES, start=1)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\r\n".join("\t".join(row) for row in [head, *rows]).encode())
    return path
