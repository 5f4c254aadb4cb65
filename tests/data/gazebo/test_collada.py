from pathlib import Path

import numpy as np
import pytest

from sparse_s4r.data.gazebo.collada import read_collada
from sparse_s4r.data.gazebo.surfaces import Surface
from sparse_s4r.structures.errors import DataError
from tests.data.gazebo import writers

CORNERS = np.array([[[0, 0, 0], [100, 0, 0], [0, 50, 25]], [[0, 0, 0], [0, 50, 25], [-10, 0, 5]]], dtype=float)


def read(path: Path) -> Surface:
    surfaces = read_collada(path, lambda name: None)
    assert len(surfaces) == 1
    return surfaces[0]


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.0254])
@pytest.mark.parametrize("polylist", [False, True])
def test_units_are_those_of_the_file(tmp_path: Path, unit: float, polylist: bool) -> None:
    writers.write_dae(tmp_path / "a.dae", CORNERS, unit=unit, polylist=polylist)
    np.testing.assert_allclose(read(tmp_path / "a.dae").triangles, CORNERS * unit, atol=1e-6)


@pytest.mark.parametrize(("up", "expected"), [("Z_UP", [1, 2, 3]), ("Y_UP", [1, -3, 2]), ("X_UP", [-2, -3, 1])])
def test_the_up_axis_becomes_z(tmp_path: Path, up: str, expected: list[float]) -> None:
    corners = np.array([[[1, 2, 3], [0, 0, 0], [1, 0, 0]]], dtype=float)
    writers.write_dae(tmp_path / "a.dae", corners, up=up)
    np.testing.assert_allclose(read(tmp_path / "a.dae").triangles[0, 0], expected, atol=1e-6)


def test_node_transforms_are_applied_before_the_unit(tmp_path: Path) -> None:
    matrix = np.array([[0, -2, 0, 10], [2, 0, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1.0]])
    writers.write_dae(tmp_path / "a.dae", CORNERS, unit=0.01, matrix=matrix)
    expected = (CORNERS @ matrix[:3, :3].T + matrix[:3, 3]) * 0.01
    np.testing.assert_allclose(read(tmp_path / "a.dae").triangles, expected, atol=1e-6)


def test_a_colour_is_kept_and_an_image_is_asked_for_by_its_name(tmp_path: Path) -> None:
    corners, uv = writers.flat(1, 1)
    writers.write_dae(tmp_path / "plain.dae", corners, diffuse="0.25 0.5 0.75 1")
    assert read(tmp_path / "plain.dae").color == (0.25, 0.5, 0.75)
    writers.write_dae(tmp_path / "image.dae", corners, uv, image="../materials/a b.png")
    asked: list[str] = []
    surfaces = read_collada(tmp_path / "image.dae", lambda name: asked.append(name))
    assert asked == ["../materials/a b.png"]
    assert surfaces[0].texture is None
    assert surfaces[0].uv is None


def test_entities_and_document_types_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    writers.write_dae(tmp_path / "a.dae", CORNERS, head=bomb)
    with pytest.raises(DataError, match="DOCTYPE"):
        read(tmp_path / "a.dae")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<p>0 1 2", "<p>0 1 99999"),
        ("<p>0 1 2", "<p>0 1 -7"),
        ("<p>0 1 2", "<p>0 1 x"),
        ('meter="1.0"', 'meter="-1"'),
        ('meter="1.0"', 'meter="nan"'),
        ("Z_UP", "W_UP"),
        ('source="#pos"', 'source="#nowhere"'),
        ('url="#geo"', 'url="#nowhere"'),
        ("</COLLADA>", ""),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "a.dae"
    writers.write_dae(path, CORNERS)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=r"a\.dae"):
        read(path)


def test_what_is_no_collada_is_named(tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("zip", b"PK\x03\x04" + bytes(60)), ("binary", bytes(range(256)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)
    with pytest.raises(DataError, match="missing"):
        read(tmp_path / "missing")
