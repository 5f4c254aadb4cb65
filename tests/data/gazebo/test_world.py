from pathlib import Path

import numpy as np
import pytest

from sparse_s4r.data.gazebo.findings import Findings, Problem
from sparse_s4r.data.gazebo.sdf_shapes import Kind, MeshShape, Primitive, primitive_triangles
from sparse_s4r.data.gazebo.world import World, read_world
from sparse_s4r.structures.errors import DataError
from tests.data.gazebo import writers
from tests.data.gazebo.writers import box, include, mesh, model, visual, write_model, write_world


def read(path: Path, *models: Path) -> tuple[World, Findings]:
    findings = Findings()
    return read_world(path, findings, models), findings


def rotation(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Turns about the fixed axes x, then y, then z, written out."""
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(a), np.sin(a)) for a in (roll, pitch, yaw))
    x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return z @ y @ x


def matrix(*numbers: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation(*numbers[3:])
    pose[:3, 3] = numbers[:3]
    return pose


def text(*numbers: float) -> str:
    return " ".join(map(str, numbers))


def test_poses_of_model_link_and_visual_are_chained(tmp_path: Path) -> None:
    at = [(1, 2, 3, 0.1, 0.2, 0.3), (0.5, 0, 0, 0, 0, 1.0), (0, 0.25, 0, 0.4, 0, 0)]
    inside = visual(box("1 2 3"), pose=text(*at[2]))
    world, _ = read(write_world(tmp_path, model("m", inside, text(*at[0]), text(*at[1]))))
    expected = matrix(*at[0]) @ matrix(*at[1]) @ matrix(*at[2])
    np.testing.assert_allclose(world.visuals[0].pose, expected, atol=1e-12)
    assert world.visuals[0].shape == Primitive(Kind.BOX, (1.0, 2.0, 3.0))


def test_an_include_replaces_the_models_own_pose_and_nested_ones_add_up(tmp_path: Path) -> None:
    own, given, outer = (9, 9, 9, 0, 0, 1), (1, 0, 0, 0, 0, 0.5), (0, 2, 0, 0, 0, -0.25)
    write_model(tmp_path, "Chair_01", model("chair", visual(box("1 1 1")), text(*own)))
    nested = f'<model name="set"><pose>{text(*outer)}</pose>{include("model://Chair_01", pose=text(*given))}</model>'
    world, findings = read(write_world(tmp_path, include("model://Chair_01") + nested))
    np.testing.assert_allclose(world.visuals[0].pose, matrix(*own), atol=1e-12)
    np.testing.assert_allclose(world.visuals[1].pose, matrix(*outer) @ matrix(*given), atol=1e-12)
    assert world.visuals[1].instance == "set"
    assert "Chair_01" in world.visuals[1].names
    assert findings.lines() == ()


def test_relative_frames_degrees_and_quaternions(tmp_path: Path) -> None:
    links = (
        '<link name="a"><pose degrees="true">0 0 1 0 0 90</pose></link>'
        f'<link name="b"><pose relative_to="a">1 0 0 0 0 0</pose>{visual(box("1 1 1"))}</link>'
        f'<link name="c"><pose rotation_format="quat_xyzw">0 0 0 0 0 0.7071067811865476 0.7071067811865476</pose>'
        f"{visual(box('1 1 1'))}</link>"
    )
    world, _ = read(write_world(tmp_path, f'<model name="m">{links}</model>'))
    expected = matrix(0, 0, 1, 0, 0, np.pi / 2) @ matrix(1, 0, 0, 0, 0, 0)
    np.testing.assert_allclose(world.visuals[0].pose, expected, atol=1e-12)
    np.testing.assert_allclose(world.visuals[1].pose, matrix(0, 0, 0, 0, 0, np.pi / 2), atol=1e-12)


@pytest.mark.parametrize("uri", ["model://Bed/meshes/a.dae", "file://models/Bed/meshes/a.dae", "meshes/a.dae"])
def test_ways_to_name_a_mesh(tmp_path: Path, uri: str) -> None:
    writers.write_dae(tmp_path / "models" / "Bed" / "meshes" / "a.dae", writers.flat(1, 1)[0])
    write_model(tmp_path, "Bed", model("bed", visual(mesh(uri, "1 2 3"))))
    world, findings = read(write_world(tmp_path, include("model://Bed")))
    shape = world.visuals[0].shape
    assert isinstance(shape, MeshShape)
    assert shape.path == (tmp_path / "models" / "Bed" / "meshes" / "a.dae").resolve()
    assert shape.scale == (1.0, 2.0, 3.0)
    assert findings.lines() == ()


def test_models_elsewhere_are_found_through_model_paths_alone(tmp_path: Path) -> None:
    write_model(tmp_path / "far", "Lamp", model("lamp", visual(box("1 1 1"))))
    path = write_world(tmp_path / "near", include("model://Lamp"))
    world, findings = read(path)
    assert world.visuals == ()
    assert "Lamp" in findings.of(Problem.MODEL)[0].subject
    world, findings = read(path, tmp_path / "far" / "models")
    assert len(world.visuals) == 1
    with pytest.raises(DataError, match="nowhere"):
        read(path, tmp_path / "nowhere")


def test_what_is_missing_or_unknown_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    inside = (
        include("model://Missing")
        + include("https://fuel.example.org/Chair")
        + model("bad_pose", visual(box("1 1 1")), "0 0 nan 0 0 0")
        + model("bad_box", visual(box("1 1")) + visual(box("1 1 -1")) + visual("<image/>"))
        + model("no_mesh", visual(mesh("model://None/a.dae")))
        + '<actor name="walker"/>'
        + model("good", visual(box("1 1 1")))
    )
    world, findings = read(write_world(tmp_path, inside))
    assert [found.instance for found in world.visuals] == ["good"]
    report = "\n".join(findings.lines())
    for name in ("model://Missing", "https://fuel.example.org/Chair", "bad_pose", "<image>", "model://None/a.dae"):
        assert name in report
    assert "walker" in report
    assert len(findings.of(Problem.MODEL)) == 3
    assert len(findings.of(Problem.GEOMETRY)) == 4


def test_paths_that_leave_the_world_are_named_and_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.dae"
    writers.write_dae(secret, writers.flat(1, 1)[0])
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    (home / "models" / "link.dae").symlink_to(secret)
    uris = ["file://../../../secret.dae", f"file://{secret}", "model://../../secret.dae", "model://link.dae"]
    world, findings = read(write_world(home, "".join(model(f"m{i}", visual(mesh(u))) for i, u in enumerate(uris))))
    assert world.visuals == ()
    assert {finding.subject for finding in findings.of(Problem.OUTSIDE)} == set(uris)


def test_a_world_with_entities_is_refused_and_so_is_a_model(tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    head = f'<!DOCTYPE sdf [<!ENTITY x SYSTEM "file://{outside}">]>'
    with pytest.raises(DataError, match="DOCTYPE"):
        read(write_world(tmp_path, "<model name='a'>&x;</model>", head))
    write_model(tmp_path, "Evil", model("evil", visual(box("1 1 1"))))
    file = tmp_path / "models" / "Evil" / "model.sdf"
    file.write_text(file.read_text().replace("<sdf", f"{head}<sdf", 1))
    world, findings = read(write_world(tmp_path, include("model://Evil")))
    assert world.visuals == ()
    assert "DOCTYPE" in findings.lines()[0]


def test_circles_and_floods_of_includes_end(tmp_path: Path) -> None:
    write_model(tmp_path, "A", f'<model name="a">{include("model://B")}</model>')
    write_model(tmp_path, "B", f'<model name="b">{include("model://A")}</model>')
    world, findings = read(write_world(tmp_path, include("model://A")))
    assert world.visuals == ()
    assert "circle" in findings.lines()[0]
    for level in range(6):
        inside = "".join(include(f"model://L{level + 1}", f"i{i}") for i in range(10))
        write_model(tmp_path, f"L{level}", f'<model name="l">{inside}</model>')
    write_model(tmp_path, "L6", model("l", ""))
    with pytest.raises(DataError, match="includes"):
        read(write_world(tmp_path, include("model://L0")))
    pair = (("a", "b"), ("b", "a"))
    frames = "".join(f'<link name="{a}"><pose relative_to="{b}">0 0 0 0 0 0</pose></link>' for a, b in pair)
    _, findings = read(write_world(tmp_path, f'<model name="m">{frames}</model>'))
    assert "lean" in findings.lines()[0]


@pytest.mark.parametrize("content", ["", "<sdf/>", "<other><world/></other>", "<sdf><world></sdf>", "\x00\x01"])
def test_what_is_no_world_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.world").write_text(content)
    with pytest.raises(DataError, match=r"a\.world"):
        read(tmp_path / "a.world")


def test_the_newest_file_of_a_model_counts(tmp_path: Path) -> None:
    write_model(tmp_path, "M", model("m", visual(box("1 1 1"))))
    folder = tmp_path / "models" / "M"
    (folder / "new.sdf").write_text(f'<sdf version="1.7">{model("m", visual(box("2 2 2")))}</sdf>')
    (folder / "model.config").write_text(
        '<model><sdf version="1.10">new.sdf</sdf><sdf version="1.9">model.sdf</sdf>'
        '<sdf version="9">../x.sdf</sdf></model>'
    )
    world, _ = read(write_world(tmp_path, include("model://M")))
    assert world.visuals[0].shape == Primitive(Kind.BOX, (2.0, 2.0, 2.0))


@pytest.mark.parametrize(
    ("primitive", "lower", "upper", "area"),
    [
        (Primitive(Kind.BOX, (1, 2, 3)), (-0.5, -1, -1.5), (0.5, 1, 1.5), 22.0),
        (Primitive(Kind.SPHERE, (2, 2, 2)), (-2, -2, -2), (2, 2, 2), 16 * np.pi),
        (Primitive(Kind.CYLINDER, (1, 1, 3)), (-1, -1, -1.5), (1, 1, 1.5), 8 * np.pi),
        (Primitive(Kind.CAPSULE, (1, 1, 2)), (-1, -1, -2), (1, 1, 2), 8 * np.pi),
        (Primitive(Kind.ELLIPSOID, (1, 1, 0.5)), (-1, -1, -0.5), (1, 1, 0.5), 8.672),
        (Primitive(Kind.PLANE, (2, 4, 0)), (-1, -2, 0), (1, 2, 0), 8.0),
        (Primitive(Kind.PLANE, (2, 2, 0), (1, 0, 0)), (0, -1, -1), (0, 1, 1), 4.0),
    ],
)
def test_primitives_have_their_size_and_area(
    primitive: Primitive, lower: tuple[float, ...], upper: tuple[float, ...], area: float
) -> None:
    triangles = primitive_triangles(primitive)
    corners = triangles.reshape(-1, 3)
    np.testing.assert_allclose(corners.min(axis=0), lower, atol=5e-3)
    np.testing.assert_allclose(corners.max(axis=0), upper, atol=5e-3)
    sides = triangles[:, 1:] - triangles[:, :1]
    found = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum() / 2
    assert found == pytest.approx(area, rel=0.01)
