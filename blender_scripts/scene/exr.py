"""Read the uncompressed scan-line OpenEXR files that Blender writes: linear light as floats.

Format: "OpenEXR File Layout" (openexr.com), single part, scan lines, no compression.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_MAGIC = 20000630
_PIXEL_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """Read an EXR file; returns its channels by name, each (H, W).

    Raises:
        ValueError: the file is not an uncompressed single-part scan-line EXR with full-size channels.
    """
    try:
        return _read(path.read_bytes(), path.name)
    except (struct.error, IndexError, KeyError) as error:
        raise ValueError(f"{path.name}: expected a complete EXR, got: {error}") from error


def _read(data: bytes, name: str) -> dict[str, np.ndarray]:
    magic, version = struct.unpack_from("<ii", data, 0)
    if magic != _MAGIC or version & ~0xFF & ~0x400:
        raise ValueError(f"{name}: expected a single-part scan-line EXR, got magic {magic}, version {version:#x}")
    attributes, offset = _attributes(data, 8)
    if attributes["compression"] != b"\0":
        raise ValueError(f"{name}: expected no compression, got method {attributes['compression'][0]}")
    left, top, right, bottom = struct.unpack("<4i", attributes["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    channels = _channels(attributes["channels"])
    line_bytes = sum(width * kind.itemsize for _, kind in channels)
    first = offset + 8 * height
    if height < 1 or width < 1 or len(data) < first + height * (line_bytes + 8):
        raise ValueError(f"{name}: expected {height} scan lines of {line_bytes} bytes, got {len(data)} bytes in all")
    lines = np.frombuffer(data, np.uint8, height * (line_bytes + 8), first).reshape(height, line_bytes + 8)
    order = np.ascontiguousarray(lines[:, :4]).view("<i4").ravel() - top
    if not np.array_equal(np.sort(order), np.arange(height)):
        raise ValueError(f"{name}: expected {height} scan lines, each once, got other line numbers")
    result, start = {}, 8
    for channel, kind in channels:
        size = width * kind.itemsize
        picture = np.empty((height, width), kind)
        picture[order] = np.ascontiguousarray(lines[:, start : start + size]).view(kind)
        result[channel] = picture
        start += size
    return result


def _end(data: bytes, offset: int) -> int:
    """Offset of the zero byte that ends the text at `offset`."""
    end = data.find(0, offset)
    if end < 0:
        raise IndexError("a text in the header without its closing zero byte")
    return end


def _attributes(data: bytes, offset: int) -> tuple[dict[str, bytes], int]:
    found: dict[str, bytes] = {}
    while data[offset]:
        end = _end(data, offset)
        name = data[offset:end].decode("latin-1")
        end = _end(data, end + 1)
        (size,) = struct.unpack_from("<i", data, end + 1)
        found[name] = data[end + 5 : end + 5 + size]
        offset = end + 5 + size
    return found, offset + 1


def _channels(data: bytes) -> list[tuple[str, np.dtype]]:
    """Names and types of the channels, in the file's order, which is alphabetical."""
    found: list[tuple[str, np.dtype]] = []
    offset = 0
    while data[offset]:
        end = _end(data, offset)
        (kind,) = struct.unpack_from("<i", data, end + 1)
        found.append((data[offset:end].decode("latin-1"), _PIXEL_TYPES[kind]))
        offset = end + 17
    return found
