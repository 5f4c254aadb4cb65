import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparse_s4r.data.readers import stored as store
from sparse_s4r.data.readers.decode import decode_depth
from sparse_s4r.data.readers.stored import StoredImage, stored
from sparse_s4r.structures.errors import DataError

WIDTH, HEIGHT = 7, 5
VALUES = (np.arange(WIDTH * HEIGHT, dtype=np.uint16) * 1800).reshape(HEIGHT, WIDTH)
METRES = (VALUES / 10000).astype(np.float32)


@contextmanager
def little_memory(limit: int = 32 << 20) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def png(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def place(path: Path, data: bytes, before: int = 100) -> StoredImage:
    """``data`` in the middle of a file."""
    path.write_bytes(b"\xff" * before + data + b"\xfe" * 50)
    return StoredImage(path, before, len(data))


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("image", png(VALUES)),
        ("raw_uint16", VALUES.astype("<u2").tobytes()),
        ("zlib_uint16", zlib.compress(VALUES.astype("<u2").tobytes())),
    ],
)
def test_numbers_from_the_middle_of_a_file(tmp_path: Path, encoding: store.Encoding, data: bytes) -> None:
    part = place(tmp_path / "frames.bin", data)
    image = StoredImage(part.path, part.offset, part.length, encoding, (WIDTH, HEIGHT))
    assert np.array_equal(store.load_depth(image).numpy(), VALUES)
    assert store.image_size(image) == (WIDTH, HEIGHT)
    assert str(image) == f"{part.path} (bytes from 100)"
    wrong = StoredImage(part.path, part.offset, part.length, encoding, (WIDTH, HEIGHT + 1))
    with pytest.raises(DataError, match=r"frames\.bin \(bytes from 100\): expected"):
        store.load_depth(wrong)
    beyond = StoredImage(part.path, part.offset, 10_000, encoding, (WIDTH, HEIGHT))
    with pytest.raises(DataError, match=r"frames\.bin .*expected 10000 bytes from 100 on, got a file with"):
        store.load_depth(beyond)


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays(tmp_path: Path, order: str) -> None:
    for name, array in (("float", METRES), ("double", METRES.astype(np.float64)[..., None]), ("integer", VALUES)):
        np.save(tmp_path / f"{name}.npy", np.asarray(array, order=order))
        image = stored(tmp_path / f"{name}.npy")
        assert store.image_size(image) == (WIDTH, HEIGHT)
        assert np.array_equal(store.load_depth(image).numpy(), VALUES if name == "integer" else METRES)
    data = (tmp_path / "float.npy").read_bytes()
    (tmp_path / "float.npy").write_bytes(data[:-1])
    with pytest.raises(DataError, match=r"float\.npy: expected 7x5 numbers, got a truncated file"):
        store.load_depth(stored(tmp_path / "float.npy"))
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    with pytest.raises(DataError, match=r"text\.npy: expected an array of numbers"):
        store.image_size(stored(tmp_path / "text.npy"))
    np.save(tmp_path / "objects.npy", np.array([[{}]]), allow_pickle=True)
    with pytest.raises(DataError, match=r"objects\.npy: expected an array of numbers"):
        store.load_depth(stored(tmp_path / "objects.npy"))


@pytest.mark.parametrize("channel", ["Z", "R", "V"])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_exr_channels(tmp_path: Path, channel: str, kind: type) -> None:
    package = pytest.importorskip("OpenEXR")
    header = {"compression": package.ZIP_COMPRESSION, "type": package.scanlineimage}
    with package.File(header, {channel: METRES.astype(kind)}) as file:
        file.write(str(tmp_path / "depth.exr"))
    image = stored(tmp_path / "depth.exr")
    assert store.image_size(image) == (WIDTH, HEIGHT)
    assert np.array_equal(store.load_depth(image).numpy(), METRES.astype(kind).astype(np.float32))


def test_exr_without_depth(tmp_path: Path) -> None:
    package = pytest.importorskip("OpenEXR")
    header = {"compression": package.ZIP_COMPRESSION, "type": package.scanlineimage}
    with package.File(header, {"A": METRES}) as file:
        file.write(str(tmp_path / "depth.exr"))
    with pytest.raises(DataError, match=r"depth\.exr: expected a depth channel named Z, .* got A"):
        store.load_depth(stored(tmp_path / "depth.exr"))


def test_members_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "all.zip"
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("depth/1.bin", b"12" + VALUES.tobytes())
        image = StoredImage(path, 2, None, "raw_uint16", (WIDTH, HEIGHT), "depth/1.bin")
        assert np.array_equal(store.load_depth(image).numpy(), VALUES)
    assert str(image) == f"{path}:depth/1.bin (bytes from 2)"
    data = bytearray(path.read_bytes())
    data[data.index(VALUES.tobytes()) + 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"all\.zip:depth/1\.bin: expected a whole archive, got a damaged one"):
        store.load_depth(image)
    with pytest.raises(DataError, match=r"all\.zip: expected a member depth/2\.bin"):
        store.read_bytes(StoredImage(path, member="depth/2.bin"))
    with pytest.raises(DataError, match=r"all\.zip:depth/1\.bin: expected 500 bytes from 0 on"):
        store.read_bytes(StoredImage(path, length=500, member="depth/1.bin"))


def test_lzfse_of_every_kind_of_block(tmp_path: Path) -> None:
    package = pytest.importorskip("lzfse")
    noise = np.random.default_rng(0).random((200, 300), dtype=np.float32)
    smooth = np.tile(np.linspace(0.5, 3, 300, dtype=np.float32), (200, 1))
    for values, kinds in ((noise, (b"bvx2", b"bvx-")), (smooth, (b"bvx2",)), (noise[:2, :3], (b"bvx-", b"bvxn"))):
        data = package.compress(values.tobytes())
        assert data[:4] in kinds
        path = tmp_path / "depth"
        path.write_bytes(data)
        height, width = values.shape
        image = StoredImage(path, encoding="lzfse_float32", size=(width, height))
        assert np.array_equal(store.load_depth(image).numpy(), values)
        with pytest.raises(DataError, match=r"depth: expected .* bytes of unpacked data, got LZFSE blocks of"):
            store.load_depth(StoredImage(path, encoding="lzfse_float32", size=(width, height + 1)))


def test_float_depth_that_is_no_measurement(tmp_path: Path) -> None:
    values = METRES + 1
    values[0, :4] = [np.nan, np.inf, -np.inf, -1]
    np.save(tmp_path / "depth.npy", values)
    depth = decode_depth(stored(tmp_path / "depth.npy"), 0.5)
    assert depth[0, :4].tolist() == [0, 0, 0, 0]
    assert np.array_equal(depth.numpy()[1:], values[1:] / 2)


def test_confidence_below_the_limit(tmp_path: Path) -> None:
    levels = np.ones((HEIGHT, WIDTH), np.uint8)
    levels[2:], levels[4] = 2, 0
    (tmp_path / "confidence").write_bytes(levels.tobytes())
    (tmp_path / "depth.png").write_bytes(png(VALUES + 1))
    confidence = StoredImage(tmp_path / "confidence", encoding="raw_uint8", size=(WIDTH, HEIGHT))
    for limit, kept in ((0, levels >= 0), (1, levels >= 1), (2, levels == 2)):
        depth = decode_depth(stored(tmp_path / "depth.png"), 0.001, (), confidence, limit)
        assert np.array_equal(depth.numpy() > 0, kept)
    other = StoredImage(tmp_path / "confidence", encoding="raw_uint8", size=(HEIGHT, WIDTH))
    with pytest.raises(DataError, match=r"confidence: expected the size of depth\.png, 7x5, got 5x7"):
        decode_depth(stored(tmp_path / "depth.png"), 0.001, (), other)


def test_masks_and_labels(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[1] = 255
    (tmp_path / "mask.png").write_bytes(png(mask))
    assert torch.equal(store.load_mask(stored(tmp_path / "mask.png")), torch.from_numpy(mask > 0))
    (tmp_path / "labels.png").write_bytes(png(VALUES))
    assert np.array_equal(store.load_labels(stored(tmp_path / "labels.png"), 65535).numpy(), VALUES)
    with pytest.raises(DataError, match=r"labels\.png: expected labels in \[0, 255\], got 0 to 61200"):
        store.load_labels(stored(tmp_path / "labels.png"))
    with pytest.raises(DataError, match=r"labels\.png: expected a black and white mask"):
        store.load_mask(stored(tmp_path / "labels.png"))


def huge_png() -> bytes:
    """A sound header of 60000 x 60000 pixels before a few bytes of data."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 16, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    body = b"IDAT" + zlib.compress(bytes(1000))
    return start + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def huge_npy() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (30000, 30000)})
    return stream.getvalue() + bytes(100)


@pytest.mark.parametrize("kind", ["color", "depth", "labels", "mask"])
def test_an_image_of_another_size_is_not_decoded(tmp_path: Path, kind: str) -> None:
    mode = {"color": "RGB", "depth": "I;16", "labels": "L", "mask": "L"}[kind]
    Image.new(mode, (6000, 6000)).save(tmp_path / "large.png")
    image = StoredImage(tmp_path / "large.png", size=(WIDTH, HEIGHT))
    load = {"color": store.load_color, "depth": store.load_depth, "labels": store.load_labels, "mask": store.load_mask}
    # Pillow's own pixels escape tracemalloc; that nothing was decoded shows in a file cut off behind its header.
    (tmp_path / "large.png").write_bytes((tmp_path / "large.png").read_bytes()[:2000])
    with pytest.raises(DataError, match=r"large\.png: expected an image of 7x5 as declared, got 6000x6000"):
        load[kind](image)


@pytest.mark.parametrize(
    ("name", "data"), [("depth.png", huge_png()), ("depth.npy", huge_npy()), ("depth.bin", b"")], ids=str
)
def test_headers_that_claim_gigabytes_allocate_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    raw = StoredImage(tmp_path / name, encoding="raw_float32", size=(60000, 60000))
    with little_memory(), pytest.raises(DataError, match=rf"{name}: expected an image of 1 to .* pixels|limit of"):
        store.load_depth(raw if name == "depth.bin" else stored(tmp_path / name))


def test_bombs_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zlib.compress(bytes(32 << 20))
    (tmp_path / "bomb").write_bytes(bomb)
    small = 4 << 20
    with little_memory(small), pytest.raises(DataError, match=r"bomb: expected 70 bytes .* uint16 numbers, got 71"):
        store.load_depth(StoredImage(tmp_path / "bomb", encoding="zlib_uint16", size=(WIDTH, HEIGHT)))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(32 << 20))
    monkeypatch.setattr(store, "_MAX_BYTES", 1 << 20)
    with little_memory(small), pytest.raises(DataError, match=r"bomb\.zip:a: expected .* at most 1048576 in all"):
        store.read_bytes(StoredImage(tmp_path / "bomb.zip", member="a"))


def test_a_length_of_gigabytes_in_a_small_file(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(bytes(100))
    with little_memory(), pytest.raises(DataError, match=r"small .*expected 2147483648 bytes from 8 on"):
        store.load_color(StoredImage(tmp_path / "small", 8, 1 << 31))


@pytest.mark.parametrize("name", ["gone.png", "a\0b.png", "x" * 300 + ".png"])
def test_names_without_a_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for image in (stored(path), StoredImage(path, 4), StoredImage(path, encoding="npy")):
        with pytest.raises(DataError):
            store.load_depth(image)
        with pytest.raises(DataError):
            store.image_size(image)
    with pytest.raises(DataError, match="does not exist"):
        store.image_size(StoredImage(tmp_path / name, size=(3, 3)))
