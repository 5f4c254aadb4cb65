"""The page: self-contained, well-formed, and nothing of its texts is taken for markup."""

from __future__ import annotations

import base64
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sparse_s4r.viewer.report import Curve, Figures, Part, Picture, write_report


class Reader(HTMLParser):
    """Checks that tags close in order, and gathers texts and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def test_the_page_shows_what_it_was_given(tmp_path: Path) -> None:
    pixels = torch.arange(2 * 3 * 3, dtype=torch.uint8).view(2, 3, 3)
    part = Part(
        "Views",
        "Two sentences. <b>&amp;",
        (Picture(pixels, 'a "small" picture'),),
        Figures(("name", "größe"), (("one", "1 < 2"),)),
        (Curve("loss", (3.0, 1.0, 2.0)),),
        (("sofa & co", (1, 2, 3)),),
    )
    write_report("A <title>", [part], tmp_path / "report.html")
    page = read(tmp_path / "report.html")
    for text in (
        "A <title>",
        "Two sentences. <b>&amp;",
        "1 < 2",
        "größe",
        "sofa & co",
        'a "small" picture',
        "loss: 3 to 2",
    ):
        assert text in page.texts
    images = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 1
    kind, data = images[0].split(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels.numpy())
    # Nothing is loaded from anywhere.
    assert not re.search(r"(?:src|href)=\"(?!data:)", (tmp_path / "report.html").read_text(encoding="utf-8"))


def points_of(page: Reader) -> list[list[float]]:
    (line,) = (attributes["points"] or "" for tag, attributes in page.tags if tag == "polyline")
    return [[float(value) for value in point.split(",")] for point in line.split()]


def test_curves_fill_their_frame(tmp_path: Path) -> None:
    write_report("t", [Part("p", "", curves=(Curve("loss", (3.0, 1.0, 2.0)),))], tmp_path / "r.html")
    assert points_of(read(tmp_path / "r.html")) == [[0, 0], [110, 110], [220, 55]]


def test_curves_of_one_value_or_the_same(tmp_path: Path) -> None:
    for values in ((2.0,), (2.0, 2.0)):
        write_report("t", [Part("p", "", curves=(Curve("loss", values),))], tmp_path / "r.html")
        points = points_of(read(tmp_path / "r.html"))
        assert len(points) == len(values)
        assert all(math.isfinite(value) for point in points for value in point)


def test_an_empty_page(tmp_path: Path) -> None:
    write_report("nothing", [], tmp_path / "r.html")
    assert "nothing" in read(tmp_path / "r.html").texts
