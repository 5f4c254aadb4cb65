import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from sparse_s4r.cli.pack import pack_command, unpack_command
from sparse_s4r.data.scene_format import SceneInfo, SceneScans, open_scene, write_scene
from sparse_s4r.data.scene_pack import PackOptions, pack_scene, unpack_scene
from sparse_s4r.structures import BLOCK, Camera, GridSpec, ObservationGrid, RGBDFrame, SparseTSDF
from sparse_s4r.structures.errors import DataError

GRID = GridSpec(0.02)


def make_scene(path: Path, width: int = 64, height: int = 48) -> list[RGBDFrame]:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    frames = []
    for index, name in enumerate(("a", "b b", "c")):
        smooth = np.stack([rows / height, columns / width, np.full(rows.shape, 0.3 * index)], axis=-1)
        intrinsics = torch.tensor([[50.0, 0, 31.5], [0, 50.0, 23.5], [0, 0, 1]], dtype=torch.float64)
        frames.append(
            RGBDFrame(
                name,
                Camera(intrinsics, torch.eye(4, dtype=torch.float64), width, height),
                torch.from_numpy(np.round(smooth * 255) / 255).float(),
                torch.from_numpy(rng.integers(0, 6000, rows.shape) / 1000).float(),
                torch.from_numpy(rng.integers(0, 3, rows.shape)),
            )
        )
    scan = SparseTSDF(
        GRID, torch.arange(60).reshape(20, 3), torch.linspace(-0.05, 0.05, 20), torch.ones(20), torch.zeros(20, 3)
    )
    observation = ObservationGrid(
        GRID,
        torch.zeros(1, 3, dtype=torch.int64),
        torch.tensor([255], dtype=torch.uint8),
        torch.ones(1, BLOCK**3).byte(),
    )
    info = SceneInfo("room", ("x", "y", "z"))
    splits = ("input", "target", "held_out")
    write_scene(path, info, list(zip(splits, frames, strict=True)), SceneScans(scan, scan, observation, observation))
    return frames


@pytest.fixture
def scene_dir(tmp_path: Path) -> Path:
    make_scene(tmp_path / "scene")
    return tmp_path / "scene"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_with_png_the_images_and_scans_come_back_byte_by_byte(scene_dir: Path, tmp_path: Path) -> None:
    pack_scene(scene_dir, tmp_path / "a.pack", PackOptions(color="png"))
    unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    assert contents(tmp_path / "back") == contents(scene_dir)


@pytest.mark.parametrize("color", ["jpeg", "webp"])
def test_compressed_colour_is_close_and_all_else_exact(scene_dir: Path, tmp_path: Path, color: str) -> None:
    summary = pack_scene(scene_dir, tmp_path / "a.pack", PackOptions(color="webp" if color == "webp" else "jpeg"))
    assert summary.pack == (tmp_path / "a.pack").stat().st_size
    assert summary.frames == 3
    assert summary.color + summary.depth + summary.fields < summary.pack
    before, after = open_scene(scene_dir), unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    assert after.document.made_by == before.document.made_by
    for name in before.frame_names():
        old, new = before.load_frame(name), after.load_frame(name)
        assert (old.color - new.color).abs().mean() < 0.02
        assert torch.equal(old.depth, new.depth)
        assert old.labels is not None
        assert new.labels is not None
        assert torch.equal(old.labels, new.labels)
        assert torch.equal(old.camera.intrinsics, new.camera.intrinsics)
    assert torch.equal(before.load_scan("input").tsdf, after.load_scan("input").tsdf)


def test_a_smaller_width_moves_the_intrinsics_along(scene_dir: Path, tmp_path: Path) -> None:
    pack_scene(scene_dir, tmp_path / "a.pack", PackOptions(image_width=32, color="png"))
    scene = unpack_scene(tmp_path / "a.pack", tmp_path / "back")
    frame, whole = scene.load_frame("b b"), open_scene(scene_dir).load_frame("b b")
    assert frame.color.shape == (24, 32, 3)
    # c' = (c + 0.5) / 2 - 0.5
    assert frame.camera.intrinsics.tolist() == [[25.0, 0, 15.5], [0, 25.0, 11.5], [0, 0, 1]]
    assert Image.open(tmp_path / "back" / "frames" / "b b.depth.png").size == (32, 24)
    # Depth and labels are picked, never mixed.
    assert set(frame.depth.unique().tolist()) <= set(whole.depth.unique().tolist())
    assert frame.labels is not None


def test_the_same_scene_gives_the_same_pack(scene_dir: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pack_scene(scene_dir, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_is_overwritten_and_no_half_pack_stays(scene_dir: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "a.pack"
    target.parent.mkdir()
    target.write_text("mine")
    with pytest.raises(DataError, match="does not exist yet"):
        pack_scene(scene_dir, target)
    assert target.read_text() == "mine"
    target.unlink()
    (scene_dir / "frames" / "c.depth.png").unlink()
    with pytest.raises(DataError, match=r"c\.depth\.png"):
        pack_scene(scene_dir, target)
    assert list(target.parent.iterdir()) == []


def rewrite(pack: Path, change: Callable[[dict[str, bytes]], None], manifest: bool = True) -> None:
    """A pack with other contents; with ``manifest``, its list and checksums are made to fit them."""
    with zipfile.ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files.pop("pack.json")
    listed = dict(files)
    change(files)
    if manifest:
        listed = files
    entries = [
        {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in listed.items()
    ]
    described = {"format": "sparse_s4r scene pack", "version": 1, "files": entries}
    with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.writestr("pack.json", json.dumps(described))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "/tmp/evil.txt",
        "frames/../../evil.txt",
        "frames/sub/evil",
        "evil.py",
        "C:\\evil",
        "frames/.hidden",
    ],
)
@pytest.mark.parametrize("manifest", [True, False])
def test_names_outside_a_scene_are_refused(scene_dir: Path, tmp_path: Path, name: str, manifest: bool) -> None:
    pack = tmp_path / "a.pack"
    pack_scene(scene_dir, pack)
    rewrite(pack, lambda files: files.update({name: b"evil"}), manifest)
    before = contents(tmp_path)
    with pytest.raises(DataError, match="expected only the files of a scene"):
        unpack_scene(pack, tmp_path / "deep" / "back")
    assert contents(tmp_path) == before


def test_changed_missing_and_additional_files_are_found(scene_dir: Path, tmp_path: Path) -> None:
    pack = tmp_path / "a.pack"
    pack_scene(scene_dir, pack)
    whole = pack.read_bytes()
    changes: list[tuple[str, Callable[[dict[str, bytes]], None], bool]] = [
        ("checksum", lambda files: files.update({"input.safetensors": b"x" * len(files["input.safetensors"])}), False),
        ("stated", lambda files: files.update({"input.safetensors": files["input.safetensors"] + b"x"}), False),
        ("lists", lambda files: files.pop("target.safetensors") and None, False),
        ("lists", lambda files: files.update({"frames/more": b""}), False),
        ("target.safetensors", lambda files: files.pop("target.safetensors") and None, True),
        ("depth", lambda files: files.pop("frames/a.depth.png") and None, True),
    ]
    for message, change, manifest in changes:
        pack.write_bytes(whole)
        rewrite(pack, change, manifest)
        with pytest.raises(DataError, match=message):
            unpack_scene(pack, tmp_path / "back")
        assert not (tmp_path / "back").exists()


def test_a_file_that_grows_beyond_what_is_stated_is_cut_off(scene_dir: Path, tmp_path: Path) -> None:
    pack = tmp_path / "a.pack"
    pack_scene(scene_dir, pack)
    # 200 MB of zeros in 200 kB, where some hundred bytes are stated.
    rewrite(pack, lambda files: files.update({"input.safetensors": bytes(200_000_000)}), manifest=False)
    assert pack.stat().st_size < 1_000_000
    with pytest.raises(DataError, match=r"input\.safetensors"):
        unpack_scene(pack, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_more_than_the_disk_holds_is_refused_before_anything_is_written(scene_dir: Path, tmp_path: Path) -> None:
    pack = tmp_path / "a.pack"
    pack_scene(scene_dir, pack)
    with zipfile.ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    described = json.loads(files["pack.json"])
    described["files"][0]["size"] = 1 << 60
    files["pack.json"] = json.dumps(described).encode()
    with zipfile.ZipFile(pack, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(DataError, match="room"):
        unpack_scene(pack, tmp_path / "back")


def test_damaged_archives_give_a_named_error(scene_dir: Path, tmp_path: Path) -> None:
    pack = tmp_path / "a.pack"
    pack_scene(scene_dir, pack)
    whole = pack.read_bytes()
    rng = np.random.default_rng(1)
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        unpack_scene(tmp_path / "empty", tmp_path / "back")
    with pytest.raises(DataError, match="gone"):
        unpack_scene(tmp_path / "gone", tmp_path / "back")
    refused: list[str] = []
    for _ in range(120):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] ^= int(rng.integers(1, 256))
        pack.write_bytes(bytes(damaged[: int(rng.integers(len(whole) // 2, len(whole) + 1))]))
        target = tmp_path / f"back{len(refused)}"
        try:
            unpack_scene(pack, target)
        except DataError as error:
            refused.append(str(error))
    assert len(refused) >= 110
    assert all("a.pack" in message or "back" in message for message in refused)
    # Only what was whole stands there.
    assert len(list(tmp_path.glob("back*"))) == min(1, 120 - len(refused))


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="quality"):
        PackOptions(quality=0)
    with pytest.raises(ValueError, match="image_width"):
        PackOptions(image_width=0)


def test_the_commands_state_sizes(scene_dir: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command("pack")(pack_command)
    app.command("unpack")(unpack_command)
    packed = CliRunner().invoke(app, ["pack", str(scene_dir), "--out", str(tmp_path / "a.pack"), "--color", "png"])
    assert packed.exit_code == 0, packed.output
    assert "MB, 3 frames" in packed.output
    back = CliRunner().invoke(app, ["unpack", str(tmp_path / "a.pack"), "--out", str(tmp_path / "back")])
    assert back.exit_code == 0, back.output
    assert "scene room, 3 frames" in back.output
    assert contents(tmp_path / "back") == contents(scene_dir)
