"""Which frames choose and which report."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse_s4r.data.scene import Scene
from sparse_s4r.data.scene_document import FrameDocument, SceneDocument
from sparse_s4r.refine.frames import evenly, judging_frames, without_training_on
from sparse_s4r.structures.errors import DataError


def make_scene(splits: str) -> Scene:
    """A handle of a scene without files: a letter per frame, i(nput), t(arget) or h(eld out); names count from 0."""
    words = {"i": "input", "t": "target", "h": "held_out"}
    frames = tuple(
        FrameDocument.model_construct(name=str(number), split=words[letter]) for number, letter in enumerate(splits)
    )
    document = SceneDocument.model_construct(
        name="made", class_names=None, voxel_size=0.02, origin=(0.0, 0.0, 0.0), truncation_voxels=3.0,
        up=(0.0, 0.0, 1.0), frames=frames,
    )  # fmt: skip
    return Scene(Path("made"), document)


def test_half_of_the_held_out_frames_choose_and_half_report() -> None:
    frames = judging_frames(make_scene("hhhhhhiitt"), most=8)
    assert frames.choosing == ("1", "3", "5")
    assert frames.reporting == ("0", "2", "4")
    assert not frames.in_scan


def test_of_many_held_out_frames_the_others_report() -> None:
    frames = judging_frames(make_scene("h" * 40 + "i"), most=4)
    assert frames.choosing == ("5", "15", "25", "35")
    assert len(frames.reporting) == 36
    assert not set(frames.choosing) & set(frames.reporting)


def test_few_held_out_frames_report_and_frames_of_the_fuller_scan_choose() -> None:
    frames = judging_frames(make_scene("hhh" + "i" * 6 + "t" * 8), most=8)
    assert frames.reporting == ("0", "1", "2")
    # A quarter of the eight outside the input.
    assert frames.choosing == ("11", "15")
    assert frames.in_scan


def test_without_frames_beyond_the_input_some_of_it_choose() -> None:
    frames = judging_frames(make_scene("iiiii"), most=8)
    assert (frames.choosing, frames.reporting, frames.in_scan) == (("2",), (), True)


def test_a_scene_with_a_single_frame_is_refused() -> None:
    with pytest.raises(DataError, match="expected at least 2 training frames"):
        judging_frames(make_scene("hi"), most=8)


def test_choosing_frames_take_no_part_in_the_training() -> None:
    scene = make_scene("iitth")
    training = without_training_on(scene, ["1", "2"])
    assert training.frame_names("input", "target") == ("0", "3")
    assert training.frame_names("held_out") == ("1", "2", "4")
    # The scene itself stays as it was.
    assert scene.frame_names("input", "target") == ("0", "1", "2", "3")


def test_even_spacing() -> None:
    names = [str(number) for number in range(10)]
    assert evenly(names, 1) == ("5",)
    assert evenly(names, 2) == ("2", "7")
    assert evenly(names, 10) == tuple(names)
