"""PNG files: same pixels as Pillow reads, only the needed chunks, same bytes each time."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blender_scripts.scene.png import encode_png
from tests.soak import times

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    found, offset = [], 8
    while offset < len(content):
        (size,) = struct.unpack_from(">I", content, offset)
        name, data = content[offset + 4 : offset + 8], content[offset + 8 : offset + 8 + size]
        assert struct.unpack_from(">I", content, offset + 8 + size)[0] == zlib.crc32(name + data)
        found.append((name, data))
        offset += size + 12
    return found


@settings(max_examples=times(60))
@given(sizes, st.integers(0, 2**32 - 1))
def test_colour_pictures_come_back(size: tuple[int, int], seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    content = encode_png(picture)
    image = Image.open(io.BytesIO(content))
    assert image.mode == "RGB" and image.size == size[::-1]
    assert np.array_equal(decoded(content), picture)


@settings(max_examples=times(60))
@given(sizes, st.integers(0, 2**32 - 1), st.sampled_from([2, 300, 65536]))
def test_masks_come_back_with_all_16_bits(size: tuple[int, int], seed: int, levels: int) -> None:
    mask = np.random.default_rng(seed).integers(0, levels, size, np.uint16)
    content = encode_png(mask)
    assert Image.open(io.BytesIO(content)).mode in ("I;16", "I")
    assert np.array_equal(decoded(content), mask)


def test_the_chunks_are_those_that_pixels_need() -> None:
    assert [name for name, _ in chunks(encode_png(np.zeros((3, 5, 3), np.uint8)))] == [
        b"IHDR",
        b"sRGB",
        b"IDAT",
        b"IEND",
    ]
    grey = chunks(encode_png(np.zeros((3, 5), np.uint16)))
    assert [name for name, _ in grey] == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", grey[0][1]) == (5, 3, 16, 0, 0, 0, 0)


def test_same_pixels_same_bytes_however_they_lie_in_memory() -> None:
    source = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert encode_png(source) == encode_png(np.asfortranarray(source)) == encode_png(source[::-1][::-1])
    mask = source[..., 0].astype(np.uint16) * 257
    assert encode_png(mask) == encode_png(np.asfortranarray(mask)) == encode_png(mask.T.copy().T)


def test_the_input_is_left_as_it_was() -> None:
    picture = np.full((4, 4, 3), 7, np.uint8)
    encode_png(picture)
    assert np.all(picture == 7)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.int16),
        np.zeros((4, 4), np.int64),
    ],
    ids=lambda picture: f"{picture.dtype} {picture.shape}",
)
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"^expected a picture as uint8 \(H, W, 3\) or uint16 \(H, W\), got "):
        encode_png(picture)
