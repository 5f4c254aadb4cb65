from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_s4r.cli.synth import taxonomy_map
from sparse_s4r.data.homes.capture import HomeOptions
from sparse_s4r.data.homes.frames import open_home
from sparse_s4r.data.homes.materials import plain
from sparse_s4r.data.homes.production import make_homes, plan_jobs
from sparse_s4r.data.homes.sensor import EXACT
from sparse_s4r.data.homes.solids import box
from sparse_s4r.structures.errors import DataError
from tests.data.homes.test_surface_truth import GREY, empty_room
from tools.synth_contact_sheet import overhead, read_homes, write_histogram, write_sheets


def test_sheets_and_histogram(tmp_path: Path) -> None:
    options = HomeOptions(0, 24, 18, 60.0, 0.2, EXACT, "homes")
    done = list(make_homes(plan_jobs(tmp_path / "homes", 3, 1, 0), options, taxonomy_map("homes")))
    homes = read_homes(tmp_path / "homes")
    assert [home.seed for home in homes] == [0, 1, 2]
    write_histogram(homes, tmp_path)
    counted = json.loads((tmp_path / "histogram.json").read_text())
    total = sum(sum(home.summary.class_area) for home in done)
    assert sum(counted["square_metres"].values()) == pytest.approx(total, abs=0.3)
    assert counted["rooms"] == 3
    assert Image.open(tmp_path / "histogram.png").size[0] > 500
    paths = write_sheets(homes, tmp_path, views=1, rows=1, columns=2)
    assert [Image.open(path).size for path in paths] == [(960, 180)] * 2
    with pytest.raises(DataError, match="expected folders home-"):
        read_homes(tmp_path)


def test_from_above_one_sees_what_stands_there_and_no_ceiling() -> None:
    red = plain((0.9, 0.1, 0.1))
    scene = open_home(empty_room(box((0.5, 0.4, 0.25), (0.6, 0.4, 0.5), red, "cabinet"), size=(2.0, 1.5, 2.4)))
    image = overhead(scene, (200, 150)).astype(int)
    reddish = image[..., 0] > 2 * image[..., 1]
    rows, columns = np.nonzero(reddish)
    # The image's middle is the room's, 1.03 centimetres a pixel; up in the picture is +y.
    assert columns.mean() == pytest.approx(99.5 + (0.5 - 1.0) / 0.0103, abs=1.5)
    assert rows.mean() == pytest.approx(74.5 - (0.4 - 0.75) / 0.0103, abs=1.5)
    assert reddish.sum() == pytest.approx(0.6 * 0.4 / 0.0103**2, rel=0.05)
    assert GREY.base != red.base
