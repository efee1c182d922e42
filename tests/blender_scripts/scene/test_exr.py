"""Reading OpenEXR files, which are written here by hand from the published layout."""

import struct
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.scene.exr import read_exr

MAGIC = struct.pack("<ii", 20000630, 2)
TYPES = {"u4": 0, "f2": 1, "f4": 2}


def attribute(name: str, kind: str, data: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data


def exr(
    channels: dict[str, np.ndarray],
    window: tuple[int, int] = (0, 0),
    compression: int = 0,
    magic: bytes = MAGIC,
    descending: bool = False,
) -> bytes:
    """A scan-line file; `window` is the data window's left top corner."""
    height, width = next(iter(channels.values())).shape
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<i4B2i", TYPES[picture.dtype.str[1:]], 0, 0, 0, 0, 1, 1)
        for name, picture in sorted(channels.items())
    )
    left, top = window
    box = struct.pack("<4i", left, top, left + width - 1, top + height - 1)
    header = magic + attribute("channels", "chlist", listed + b"\0")
    header += attribute("compression", "compression", bytes([compression]))
    header += attribute("dataWindow", "box2i", box) + attribute("displayWindow", "box2i", box)
    header += attribute("lineOrder", "lineOrder", bytes([descending]))
    header += attribute("pixelAspectRatio", "float", struct.pack("<f", 1.0))
    header += attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0))
    header += attribute("screenWindowWidth", "float", struct.pack("<f", 1.0)) + b"\0"
    blocks = []
    for y in range(height):
        data = b"".join(picture[y].tobytes() for _, picture in sorted(channels.items()))
        blocks.append(struct.pack("<ii", top + y, len(data)) + data)
    order = range(height)[::-1] if descending else range(height)
    start, offsets = len(header) + 8 * height, {}
    body = b""
    for y in order:
        offsets[y] = start + len(body)
        body += blocks[y]
    return header + b"".join(struct.pack("<Q", offsets[y]) for y in range(height)) + body


def read(folder: Path, content: bytes) -> dict[str, np.ndarray]:
    path = folder / "x.exr"
    path.write_bytes(content)
    return read_exr(path)


def picture(kind: str, seed: int = 0, size: tuple[int, int] = (5, 7)) -> np.ndarray:
    return (np.random.default_rng(seed).random(size) * 1000).astype(kind)


@pytest.mark.parametrize("kind", ["<f4", "<f2", "<u4"])
def test_one_channel_of_every_type(tmp_path: Path, kind: str) -> None:
    written = picture(kind)
    found = read(tmp_path, exr({"V": written}))
    assert set(found) == {"V"} and found["V"].dtype == written.dtype
    assert np.array_equal(found["V"], written)


def test_channels_of_several_types_are_told_apart(tmp_path: Path) -> None:
    written = {
        "R": picture("<f4", 1),
        "G": picture("<f2", 2),
        "B": picture("<f4", 3),
        "ViewLayer.Depth.Z": picture("<u4", 4),
    }
    found = read(tmp_path, exr(written))
    assert set(found) == set(written)
    for name, values in written.items():
        assert np.array_equal(found[name], values)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (40, 60)])
@pytest.mark.parametrize("descending", [False, True])
def test_sizes_windows_and_line_orders(tmp_path: Path, size: tuple[int, int], descending: bool) -> None:
    written = {"R": picture("<f4", 1, size), "A": picture("<f2", 2, size)}
    found = read(tmp_path, exr(written, window=(-3, 11), descending=descending))
    for name, values in written.items():
        assert np.array_equal(found[name], values)


def test_what_is_read_is_writable_and_outlives_the_file(tmp_path: Path) -> None:
    found = read(tmp_path, exr({"R": picture("<f4")}))
    (tmp_path / "x.exr").unlink()
    found["R"] += 1.0
    assert np.all(found["R"] >= 1.0)


WRONG = {
    "no EXR": (exr({"R": picture("<f4")}, magic=struct.pack("<ii", 123, 2)), "expected a single-part scan-line EXR"),
    "tiles": (
        exr({"R": picture("<f4")}, magic=struct.pack("<ii", 20000630, 0x202)),
        "got magic 20000630, version 0x202",
    ),
    "several parts": (exr({"R": picture("<f4")}, magic=struct.pack("<ii", 20000630, 0x1002)), "version 0x1002"),
    "deep data": (exr({"R": picture("<f4")}, magic=struct.pack("<ii", 20000630, 0x802)), "version 0x802"),
    "zip": (exr({"R": picture("<f4")}, compression=3), "expected no compression, got method 3"),
}


@pytest.mark.parametrize(("content", "says"), WRONG.values(), ids=WRONG)
def test_other_kinds_of_file_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith("x.exr: ")


def test_lines_out_of_place_are_refused(tmp_path: Path) -> None:
    content = exr({"R": picture("<f4", size=(2, 2))})
    # The second line claims to be the first.
    broken = content[:-16] + struct.pack("<i", 0) + content[-12:]
    with pytest.raises(ValueError, match="expected 2 scan lines"):
        read(tmp_path, broken)


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    content = exr({"R": picture("<f4"), "G": picture("<f2")})
    for end in range(0, len(content) - 1, 9):
        with pytest.raises(ValueError, match=r"^x\.exr: expected "):
            read(tmp_path, content[:end])
