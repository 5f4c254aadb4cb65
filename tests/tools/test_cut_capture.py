"""Parts of captures cut out in plan view."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse_s4r.data.labelled_pictures import PlanBox
from sparse_s4r.data.readers import open_capture
from sparse_s4r.data.synthetic import make_room
from sparse_s4r.data.synthetic_capture import write_capture
from sparse_s4r.data.synthetic_path import make_trajectory
from sparse_s4r.structures import IGNORE_LABEL
from sparse_s4r.structures.errors import DataError
from tools.cut_capture import cut_capture


def test_what_lies_outside_is_removed(tmp_path: Path) -> None:
    room = make_room(seed=1)
    cameras = make_trajectory(room, 8, seed=1, width=32, height=24)
    write_capture(room, cameras, tmp_path / "whole")
    border = float(torch.stack([camera.center for camera in cameras])[:, 0].median())
    box = PlanBox((border, -50.0), (50.0, 50.0))
    count = cut_capture(tmp_path / "whole", box, tmp_path / "part")

    whole, part = open_capture(tmp_path / "whole"), open_capture(tmp_path / "part")
    inside = [index for index in range(8) if float(cameras[index].center[0]) >= border]
    assert count == len(part) == len(inside)
    assert 0 < count < 8
    assert part.class_names == whole.class_names
    removed = 0
    for row, index in enumerate(inside):
        before, after = whole.read_frame(index), part.read_frame(row)
        # Where each pixel's surface is, by hand: K^-1 (u, v, 1) times depth, turned and shifted.
        v, u = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
        rays = (
            torch.stack([u, v, torch.ones_like(u)], -1).double() @ torch.linalg.inv(before.camera.intrinsics.double()).T
        )
        pose = before.camera.camera_to_world.double()
        x = (rays * before.depth.double().unsqueeze(-1) @ pose[:3, :3].T + pose[:3, 3])[..., 0]
        keep = (x >= border) & (before.depth > 0)
        torch.testing.assert_close(after.depth, torch.where(keep, before.depth, 0.0), atol=2e-4, rtol=0)
        assert after.labels is not None
        assert before.labels is not None
        assert torch.equal(after.labels, torch.where(keep, before.labels, IGNORE_LABEL))
        assert torch.equal(after.color, before.color)
        removed += int((~keep).sum())
    assert removed > 0


def test_a_box_without_cameras_is_refused(tmp_path: Path) -> None:
    room = make_room(seed=1)
    write_capture(room, make_trajectory(room, 2, seed=1, width=16, height=12), tmp_path / "whole")
    with pytest.raises(DataError, match="expected cameras in the box"):
        cut_capture(tmp_path / "whole", PlanBox((90.0, 90.0), (91.0, 91.0)), tmp_path / "part")
    assert not (tmp_path / "part").exists()
