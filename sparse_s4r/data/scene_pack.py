"""Scene packs: a scene folder in one file, small enough to move to where there is a GPU and no raw data."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparse_s4r.data.label_set_files import belongs_to_label_set, packed_label_files
from sparse_s4r.data.output import new_folder
from sparse_s4r.data.scene import Scene, open_scene
from sparse_s4r.data.scene_document import DOCUMENT, FrameDocument, SceneDocument, is_plain_name, matrix3
from sparse_s4r.data.truth_file import TRUTH_NAME
from sparse_s4r.structures import RGBDFrame
from sparse_s4r.structures.errors import DataError

FIELDS = (
    "input.safetensors",
    "target.safetensors",
    "input_observation.safetensors",
    "target_observation.safetensors",
)
# Only in scenes whose true surface is known.
OPTIONAL_FIELDS = (TRUTH_NAME,)
ColorFormat = Literal["jpeg", "webp", "png"]
_MANIFEST = "pack.json"
_MANIFEST_LIMIT = 256 << 20
_MOST_FILES = 1_000_000
_BLOCK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["sparse_s4r scene pack"] = "sparse_s4r scene pack"
    version: Literal[1] = 1
    files: tuple[_Entry, ...]


@dataclass(frozen=True)
class PackOptions:
    """How images are stored.

    Attributes:
        image_width: Largest width, pixels; None keeps the scene's sizes.
        color: Format of colour images; "png" keeps them exact. Depth and labels are always PNG and exact.
        quality: Of JPEG and WebP, 1 to 100.

    Raises:
        ValueError: A width < 1, or a quality out of range.
    """

    image_width: int | None = None
    color: ColorFormat = "jpeg"
    quality: int = 90

    def __post_init__(self) -> None:
        if self.image_width is not None and self.image_width < 1:
            raise ValueError(f"image_width: expected pixels > 0, got {self.image_width}")
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")


@dataclass(frozen=True)
class PackSummary:
    """Sizes in bytes.

    Attributes:
        frames: Number of frames.
        scene: The scene folder.
        pack: The file.
        color: Colour images in the pack.
        depth: Depth and label images in the pack, those of label sets with them.
        fields: Scans and observations in the pack, compressed.
    """

    frames: int
    scene: int
    pack: int
    color: int
    depth: int
    fields: int


def pack_scene(scene_dir: Path, file: Path, options: PackOptions | None = None) -> PackSummary:
    """Write a scene folder as one file, which appears whole or not at all.

    Args:
        scene_dir: A scene folder.
        file: The file to make; must not exist.
        options: How images are stored.

    Raises:
        DataError: No scene there, a file of it is missing or damaged, or ``file`` exists.
    """
    options = options or PackOptions()
    scene = open_scene(scene_dir)
    if file.exists():
        raise DataError(f"{file}: expected a file that does not exist yet, got one that does; name another or move it")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            writer = _Writer(archive)
            frames = [_pack_frame(scene, frame, options, writer) for frame in scene.document.frames]
            for name in FIELDS:
                if not (scene.path / name).is_file():
                    raise DataError(f"{scene.path / name}: the file is missing from the scene; import the frames again")
                writer.add(name, (scene.path / name).read_bytes(), "fields", compress=True)
            for name in OPTIONAL_FIELDS:
                if (scene.path / name).is_file():
                    writer.add(name, (scene.path / name).read_bytes(), "fields", compress=True)
            for name, content in packed_label_files(scene, options.image_width):
                writer.add(name, content, "depth")
            document = scene.document.model_copy(update={"frames": tuple(frames)})
            text = json.dumps(document.model_dump(mode="json"), indent=1, allow_nan=False) + "\n"
            writer.add(DOCUMENT, text.encode(), "document", compress=True)
            writer.finish()
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
    whole = sum(path.stat().st_size for path in scene.path.rglob("*") if path.is_file())
    sizes = writer.sizes
    return PackSummary(
        len(frames), whole, file.stat().st_size, sizes.get("color", 0), sizes.get("depth", 0), sizes.get("fields", 0)
    )


def unpack_scene(file: Path, folder: Path) -> Scene:
    """Make the scene folder of a pack; it appears whole, with every checksum right, or not at all.

    Nothing is written but the files of a scene, under the names that a scene has, and no more bytes than the pack
    states.

    Args:
        file: A pack.
        folder: The folder to make; must not exist.

    Raises:
        DataError: No pack, one that is damaged or names other files, no room on the disk, or ``folder`` exists.
    """
    try:
        with zipfile.ZipFile(file) as archive, new_folder(folder) as target:
            manifest = _read_manifest(file, archive)
            total = sum(entry.size for entry in manifest.files)
            free = shutil.disk_usage(target).free
            if total > free:
                raise DataError(f"{file}: expected {total:,} bytes of room in {folder.parent}, got {free:,}")
            (target / "frames").mkdir()
            for entry in manifest.files:
                _extract(file, archive, entry, target)
            _expect_whole(file, open_scene(target))
    except DataError:
        raise
    # What the archive's reader raises on damaged input, beside its own error.
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError) as error:
        raise DataError(f"{file}: expected a scene pack, got a file that cannot be read as one ({error})") from error
    return open_scene(folder)


class _Writer:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.sizes: dict[str, int] = {}
        self._archive = archive
        self._entries: list[_Entry] = []

    def add(self, name: str, content: bytes, kind: str, compress: bool = False) -> None:
        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        # A fixed time: the same scene gives the same pack.
        info = zipfile.ZipInfo(name)
        info.external_attr = 0o644 << 16
        self._archive.writestr(info, content, method, 6 if compress else None)
        self.sizes[kind] = self.sizes.get(kind, 0) + self._archive.getinfo(name).compress_size
        self._entries.append(_Entry(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest()))

    def finish(self) -> None:
        text = _Manifest(files=tuple(self._entries)).model_dump_json(indent=1)
        self._archive.writestr(zipfile.ZipInfo(_MANIFEST), text, zipfile.ZIP_DEFLATED)


def _pack_frame(scene: Scene, frame: FrameDocument, options: PackOptions, writer: _Writer) -> FrameDocument:
    """Write the images of a frame, and give its entry in the packed scene.json."""
    width = None if options.image_width is None or frame.width <= options.image_width else options.image_width
    loaded = scene.load_frame(frame.name, width)
    suffix = {"jpeg": "jpg", "webp": "webp", "png": "png"}[options.color]
    stored = scene.path / frame.color
    if width is None and (options.color == "png" or stored.suffix.lower() in (".jpg", ".jpeg", ".webp")):
        # Already as asked for, or compressed once: a second time would only lose more.
        color_name, color = frame.color, stored.read_bytes()
    else:
        color_name, color = f"frames/{frame.name}.color.{suffix}", _encode(loaded, options)
    writer.add(color_name, color, "color")
    for name, save in ((frame.depth, _depth_bytes), (frame.labels, _label_bytes)):
        if name is not None:
            content = (scene.path / name).read_bytes() if width is None else save(loaded, scene.document)
            writer.add(name, content, "depth")
    camera = loaded.camera
    return frame.model_copy(
        update={
            "color": color_name,
            "intrinsics": matrix3(camera.intrinsics),
            "width": camera.width,
            "height": camera.height,
        }
    )


def _encode(frame: RGBDFrame, options: PackOptions) -> bytes:
    image = Image.fromarray((frame.color.clamp(0, 1) * 255).round().byte().numpy())
    target = io.BytesIO()
    if options.color == "jpeg":
        # Full colour resolution: edges of furniture are what colour tells.
        image.save(target, "JPEG", quality=options.quality, subsampling=0, optimize=True)
    elif options.color == "webp":
        image.save(target, "WEBP", quality=options.quality, method=4)
    else:
        image.save(target, "PNG")
    return target.getvalue()


def _depth_bytes(frame: RGBDFrame, document: SceneDocument) -> bytes:
    target = io.BytesIO()
    values = np.round(frame.depth.double().numpy() / document.depth_scale).astype(np.uint16)
    Image.fromarray(values).save(target, "PNG")
    return target.getvalue()


def _label_bytes(frame: RGBDFrame, document: SceneDocument) -> bytes:
    if frame.labels is None:
        raise DataError(f"frame {frame.name}: expected labels, got none")
    target = io.BytesIO()
    Image.fromarray(frame.labels.byte().numpy()).save(target, "PNG")
    return target.getvalue()


def _read_manifest(file: Path, archive: zipfile.ZipFile) -> _Manifest:
    """The list of files, which must be those of a scene and those of the archive."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if _MANIFEST not in names or len(names) > _MOST_FILES or len(set(names)) != len(names):
        raise DataError(f"{file}: expected a scene pack with {_MANIFEST} and each file once, got {len(names)} files")
    if archive.getinfo(_MANIFEST).file_size > _MANIFEST_LIMIT:
        raise DataError(f"{file}: {_MANIFEST}: expected at most {_MANIFEST_LIMIT:,} bytes, got more")
    try:
        manifest = _Manifest.model_validate_json(b"".join(_blocks(archive, _MANIFEST, _MANIFEST_LIMIT)))
    except ValidationError as error:
        problem = error.errors()[0]
        raise DataError(f"{file}: {_MANIFEST}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    listed = [entry.name for entry in manifest.files]
    for name in (*listed, *names):
        if name != _MANIFEST and not _belongs(name):
            raise DataError(f"{file}: expected only the files of a scene, got {name!r}; do not trust this pack")
    if sorted(listed) != sorted(name for name in names if name != _MANIFEST):
        raise DataError(f"{file}: expected the files that {_MANIFEST} lists, got others")
    for info in infos:
        if info.compress_type not in _METHODS or info.flag_bits & 0x1:
            raise DataError(f"{file}: {info.filename}: expected it plain or deflated, got another method")
    return manifest


def _belongs(name: str) -> bool:
    if name == DOCUMENT or name in (*FIELDS, *OPTIONAL_FIELDS) or belongs_to_label_set(name):
        return True
    return name.startswith("frames/") and is_plain_name(name.removeprefix("frames/"))


def _blocks(archive: zipfile.ZipFile, name: str, limit: int) -> Iterator[bytes]:
    """Content of an entry in blocks, one byte more than ``limit`` at most, whatever the archive says of its size."""
    left = limit + 1
    with archive.open(name) as stream:
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def _extract(file: Path, archive: zipfile.ZipFile, entry: _Entry, target: Path) -> None:
    digest, size = hashlib.sha256(), 0
    (target / entry.name).parent.mkdir(parents=True, exist_ok=True)
    with (target / entry.name).open("xb") as stream:
        for block in _blocks(archive, entry.name, entry.size):
            size += len(block)
            digest.update(block)
            stream.write(block)
    if size != entry.size or digest.hexdigest() != entry.sha256:
        raise DataError(
            f"{file}: {entry.name}: expected {entry.size:,} bytes with the stated checksum, got others; copy it again"
        )


def _expect_whole(file: Path, scene: Scene) -> None:
    named = [path for frame in scene.document.frames for path in (frame.color, frame.depth, frame.labels) if path]
    for name in (*named, *FIELDS):
        if not (scene.path / name).is_file():
            raise DataError(f"{file}: expected {name}, which its scene.json names, got none")
