"""Write PNG files whose bytes depend on the pixels only: the chunks are IHDR, sRGB, IDAT and IEND.

PNG files that Blender writes also contain the render time. Format: W3C Portable Network Graphics (Third Edition).
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INDEX_LEVEL = 6


def encode_png(picture: np.ndarray) -> bytes:
    """Encode a picture as the bytes of a PNG file: uint8 (H, W, 3) as RGB, or uint16 (H, W) as 16-bit grey."""
    height, width = picture.shape[:2]
    if picture.dtype == np.uint16 and picture.ndim == 2:
        depth, colour, step = 16, 0, 2
        rows = np.ascontiguousarray(picture, ">u2").view(np.uint8)
        srgb = b""
        packer = zlib.compressobj(_INDEX_LEVEL)
    elif picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        depth, colour, step = 8, 2, 3
        rows = picture.reshape(height, width * 3)
        srgb = _chunk(b"sRGB", b"\0")
        # In noise nothing repeats: run lengths and Huffman codes alone give smaller files, five times as fast.
        packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    else:
        raise ValueError(f"expected a picture as uint8 (H, W, 3) or uint16 (H, W), got {picture.dtype} {picture.shape}")
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    if depth == 8:
        # Filter 1 (Sub): each byte minus the same channel of the pixel to its left.
        filtered[:, 0] = 1
        filtered[:, 1 : 1 + step] = rows[:, :step]
        np.subtract(rows[:, step:], rows[:, :-step], out=filtered[:, 1 + step :])
    else:
        # Filter 2 (Up): rows of an index mask repeat.
        filtered[:, 0] = 2
        filtered[0, 1:] = rows[0]
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = packer.compress(filtered.tobytes()) + packer.flush()
    return _SIGNATURE + _chunk(b"IHDR", header) + srgb + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
