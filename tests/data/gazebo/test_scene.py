from pathlib import Path

import numpy as np
import pytest

from sparse_s4r.data.gazebo.classes import load_classes, split_words
from sparse_s4r.data.gazebo.findings import Problem
from sparse_s4r.data.gazebo.scene import LoadedWorld, load_world
from sparse_s4r.data.gazebo.textures import Texture
from sparse_s4r.segmentation.taxonomy import load_taxonomy
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError
from tests.data.gazebo import writers
from tests.data.gazebo.writers import box, include, mesh, model, visual, write_model, write_world

QUARTERS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0))


def load(path: Path, taxonomy: str = "scannet20") -> LoadedWorld:
    return load_world(path, load_classes(taxonomy))


def look_down(world: LoadedWorld, points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Colour and height of what lies under points."""
    origins = np.array([[x, y, 5.0] for x, y in points])
    hits = world.scene.cast(origins, np.tile([0.0, 0.0, -1.0], (len(points), 1)))
    return world.scene.albedo(hits, np.full(len(points), 1e-3)), 5.0 - hits.distance


def textured_model(folder: Path, image: str = "../materials/textures/t.png") -> None:
    corners, uv = writers.flat(200, 100)
    place = folder / "models" / "Rug"
    writers.write_dae(place / "meshes" / "rug.dae", corners, uv, unit=0.01, image=image)
    writers.write_image(place / "materials" / "textures" / "t.png", QUARTERS)
    write_model(folder, "Rug", model("rug", visual(mesh("model://Rug/meshes/rug.dae"))))


@pytest.mark.parametrize(
    "image", ["../materials/textures/t.png", "file://C:\\Users\\me\\t.png", "../../../../photos/t.png"]
)
def test_a_texture_lies_the_right_way_round(tmp_path: Path, image: str) -> None:
    textured_model(tmp_path, image)
    world = load(write_world(tmp_path, include("model://Rug", pose="10 0 0.5 0 0 0")))
    # Seen from above with +y up, the picture is as it is on disk: a mirrored one would change places.
    color, height = look_down(world, [(9.5, 0.25), (10.5, 0.25), (9.5, -0.25), (10.5, -0.25)])
    np.testing.assert_allclose(color, np.array(QUARTERS) / 255, atol=0.01)
    np.testing.assert_allclose(height, 0.5, atol=1e-5)
    assert not world.findings.of(Problem.TEXTURE)


def test_a_turned_model_takes_its_texture_along(tmp_path: Path) -> None:
    textured_model(tmp_path)
    world = load(write_world(tmp_path, include("model://Rug", pose="0 0 0 0 0 1.5707963")))
    # A quarter turn to the left: the upper right corner comes to the upper left.
    color, _ = look_down(world, [(-0.25, 0.5)])
    np.testing.assert_allclose(color[0], np.array(QUARTERS[1]) / 255, atol=0.01)


def test_missing_textures_are_named_and_the_shape_stays(tmp_path: Path) -> None:
    textured_model(tmp_path, "gone.jpg")
    (tmp_path / "models" / "Rug" / "materials" / "textures" / "t.png").unlink()
    world = load(write_world(tmp_path, include("model://Rug")))
    color, _ = look_down(world, [(0.2, 0.2)])
    assert color[0].min() > 0.3
    assert "gone.jpg" in world.findings.of(Problem.TEXTURE)[0].subject


def test_damaged_textures_are_named(tmp_path: Path) -> None:
    textured_model(tmp_path)
    (tmp_path / "models" / "Rug" / "materials" / "textures" / "t.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    world = load(write_world(tmp_path, include("model://Rug")))
    assert "t.png" in world.findings.of(Problem.TEXTURE)[0].subject


def test_a_far_texture_is_averaged_and_a_near_one_is_not() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    texture = Texture(pixels)
    uv = np.array([[(10 + 0.5) / 64, 1 - (20 + 0.5) / 64]])
    np.testing.assert_allclose(texture.colors(uv, np.array([1.0]))[0], pixels[20, 10] / 255, atol=1e-5)
    np.testing.assert_allclose(texture.colors(uv + 3, np.array([1.0]))[0], pixels[20, 10] / 255, atol=1e-5)
    np.testing.assert_allclose(texture.colors(uv, np.array([64.0]))[0], pixels.mean(axis=(0, 1)) / 255, atol=0.01)


def test_obj_and_stl_meshes_are_read(tmp_path: Path) -> None:
    place = tmp_path / "models" / "Desk"
    (place / "meshes").mkdir(parents=True)
    (place / "meshes" / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 1\nv 1 0 1\nv 0 1 1\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    (place / "meshes" / "a.mtl").write_text("newmtl m\nmap_Kd t.png\n")
    writers.write_image(place / "materials" / "textures" / "t.png", [(255, 0, 0)] * 4)
    (place / "meshes" / "b.stl").write_text(
        "solid b\nfacet normal 0 0 1\nouter loop\nvertex 3 0 2\nvertex 4 0 2\nvertex 3 1 2\n"
        "endloop\nendfacet\nendsolid b\n"
    )
    (place / "meshes" / "c.obj").write_text("v 0 0 0\nf 1 2 9\n")
    uris = [visual(mesh(f"model://Desk/meshes/{name}")) for name in ("a.obj", "b.stl", "c.obj")]
    write_model(tmp_path, "Desk", model("desk", "".join(uris)))
    world = load(write_world(tmp_path, include("model://Desk")))
    color, height = look_down(world, [(0.2, 0.2), (3.2, 0.2)])
    np.testing.assert_allclose(height, [1.0, 2.0], atol=1e-5)
    np.testing.assert_allclose(color[0], [1, 0, 0], atol=0.01)
    assert "c.obj" in world.findings.of(Problem.GEOMETRY)[0].detail


def test_labels_come_from_names_and_unknown_ones_are_named(tmp_path: Path) -> None:
    inside = model("Floor_01", visual(box("4 4 0.1"))) + model("Qwzx_3", visual(box("1 1 2")), "1 1 0 0 0 0")
    inside += model("NightStand_01", visual(box("0.3 0.3 1")), "-1 1 0 0 0 0")
    world = load(write_world(tmp_path, inside), "matterport11")
    names = world.scene.class_names
    origins = np.array([[0.2, 0.2, 5.0], [1, 1, 5.0], [-1, 1, 5.0]])
    hits = world.scene.cast(origins, np.tile([0.0, 0.0, -1.0], (3, 1)))
    assert world.scene.labels[hits.triangle].tolist() == [names.index("floor"), IGNORE_LABEL, names.index("furniture")]
    assert [finding.subject for finding in world.findings.of(Problem.CLASS)] == ["Qwzx_3"]


def test_absurd_placements_are_dropped_with_a_line(tmp_path: Path) -> None:
    extra = (
        model("Chair_far", visual(box("1 1 1")), "60 0 0.5 3.14159 0 0")
        + model("Chair_under", visual(box("0.5 0.5 0.5")), "1 0 -0.8 0 0 0")
        + model("Sky", visual("<sphere><radius>500</radius></sphere>"))
        + model("ground_plane", visual("<plane><normal>0 0 1</normal><size>100 100</size></plane>"), "0 0 -0.02 0 0 0")
    )
    world = load(write_world(tmp_path, writers.two_rooms() + extra))
    dropped = {finding.subject: finding.detail for finding in world.findings.of(Problem.PLACEMENT)}
    assert set(dropped) == {"Chair_far", "Chair_under", "Sky"}
    assert "56.4 m away" in dropped["Chair_far"]
    assert "under the floor" in dropped["Chair_under"]
    lower, upper = world.scene.bounds
    # The plane is cut to the house and a metre around it.
    np.testing.assert_allclose(upper[:2], [4.1, 3.1], atol=0.02)
    np.testing.assert_allclose(lower[:2], [-4.1, -3.1], atol=0.02)


def test_a_world_without_anything_visible_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing"):
        load(write_world(tmp_path, include("model://Missing")))


@pytest.mark.parametrize("taxonomy", ["scannet15", "scannet20", "matterport11"])
def test_the_class_lists_are_those_of_the_taxonomies(taxonomy: str) -> None:
    assert load_classes(taxonomy).class_names == load_taxonomy(taxonomy).class_names


@pytest.mark.parametrize(
    ("name", "scannet", "matterport"),
    [
        ("TVCabinet_01", "otherfurniture", "furniture"),
        ("aws_robomaker_residential_KitchenTable_01", "table", "table"),
        ("ReadingDesk", "desk", "table"),
        ("DeskPortraitA_02", None, "objects"),
        ("tableware", None, "objects"),
        ("Refrigerator_01", "refrigerator", "furniture"),
        ("shower_curtain", "shower curtain", "objects"),
        ("RoomCeiling", None, "ceiling"),
        ("HouseWallB_01", "wall", "wall"),
        ("FoldingDoor_02", "door", "wall"),
        ("office_chair", "chair", "chair"),
        ("AirconditionerA_01", "otherfurniture", "furniture"),
        ("Curtain_01", "curtain", "window"),
    ],
)
def test_classes_of_usual_names(name: str, scannet: str | None, matterport: str | None) -> None:
    for taxonomy, expected in (("scannet20", scannet), ("matterport11", matterport)):
        classes = load_classes(taxonomy)
        label = classes.label(["link", name])
        assert label == (IGNORE_LABEL if expected is None else classes.class_names.index(expected))


def test_words_and_a_file_of_ones_own(tmp_path: Path) -> None:
    assert split_words("aws_TVCabinetB_01") == "aws tv cabinet b"
    assert load_classes("scannet15").label(["Chairman", "Qwzx"]) is None
    own = tmp_path / "own.yaml"
    own.write_text("taxonomies: {mine: [x, y]}\nrules:\n  - {names: 'qw.*', scannet: null, matterport: y}\n")
    assert load_classes("mine", own).label(["Qwzx_01"]) == 1
    own.write_text("taxonomies: {mine: [x]}\nrules:\n  - {names: 'q', scannet: null, matterport: z}\n")
    with pytest.raises(DataError, match="rule 0"):
        load_classes("mine", own)
    with pytest.raises(DataError, match="other"):
        load_classes("other", own)


def test_mutated_files_are_read_or_named(tmp_path: Path) -> None:
    textured_model(tmp_path)
    place = tmp_path / "models" / "Rug"
    (place / "meshes" / "a.obj").write_text("v 0 0 1\nv 1 0 1\nv 0 1 1\nf 1 2 3\n")
    write_model(
        tmp_path, "Rug", model("rug", visual(mesh("meshes/rug.dae")) + visual(mesh("meshes/a.obj")), "0 0 1 0 0 0")
    )
    world = write_world(tmp_path, include("model://Rug", "r", "0 0 0 0 0 1") + model("Floor", visual(box("2 2 0.1"))))
    files = [
        world,
        place / "model.sdf",
        place / "model.config",
        place / "meshes" / "rug.dae",
        place / "meshes" / "a.obj",
    ]
    files += [place / "materials" / "textures" / "t.png"]
    rng = np.random.default_rng(5)
    read, named = 0, []
    for file in files:
        whole = file.read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            for place_in_file in rng.integers(0, len(whole), int(rng.integers(1, 6))):
                damaged[place_in_file] = int(rng.choice([0, 45, 48, 57, 60, 62, 101, 255, int(rng.integers(256))]))
            file.write_bytes(bytes(damaged[: len(whole) if rng.random() < 0.7 else int(rng.integers(len(whole)))]))
            try:
                read += len(load(world).scene.triangles) > 0
            except DataError as error:
                named.append(str(error))
        file.write_bytes(whole)
    assert read > 100
    assert all("test.world" in message for message in named)
