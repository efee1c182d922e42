"""Write triangles in every file format that is read, byte by byte, without code of the readers."""

import json
import struct
from collections.abc import Sequence

import numpy as np

CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
# Counter-clockwise from outside.
SIDES = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = np.array([t for a, b, c, d in SIDES for t in ((a, b, c), (a, c, d))])


def binary_stl(points: np.ndarray, header: bytes = b"solid but binary") -> bytes:
    """points: (T, 3, 3)."""
    body = b"".join(struct.pack("<12fH", 0, 0, 1, *t.ravel(), 7) for t in points)
    return header.ljust(80, b" ") + struct.pack("<I", len(points)) + body


def ascii_stl(points: np.ndarray, name: str = "a housing") -> bytes:
    lines = [f"solid {name}"]
    for triangle in points.tolist():
        lines += ["facet normal 0 0 1", "  outer loop"]
        lines += [f"    vertex {x!r} {y!r} {z!r}" for x, y, z in triangle]
        lines += ["  endloop", "endfacet"]
    return "\n".join([*lines, f"endsolid {name}", ""]).encode()


def obj(vertices: np.ndarray, faces: Sequence[Sequence[int]], negative: bool = False) -> bytes:
    lines = ["# made by hand", "mtllib ../../outside.mtl", "o housing", "vt 0 0", "vn 0 0 1"]
    lines += [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    for number, face in enumerate(faces):
        shift = len(vertices) if negative else -1
        pattern = ("{}", "{}/1", "{}//1", "{}/1/1")[number % 4]
        lines.append("f " + " ".join(pattern.format(index - shift) for index in face))
    return "\n".join([*lines, ""]).encode()


def ply(vertices: np.ndarray, faces: Sequence[Sequence[int]], form: str) -> bytes:
    """Properties in an unusual order, others between, and an element before and after."""
    head = f"ply\nformat {form} 1.0\ncomment made by hand\nelement camera 2\nproperty short a\n"
    head += "property list uchar float b\n"
    head += f"element vertex {len(vertices)}\nproperty uchar red\nproperty double z\nproperty float x\n"
    head += f"property float y\nelement face {len(faces)}\nproperty uchar flag\n"
    head += "property list ushort uint vertex_index\nproperty float rest\n"
    head += "element edge 1\nproperty int c\nend_header\n"
    if form == "ascii":
        lines = ["5 2 1.5 2.5", "6 0"]
        lines += [f"9 {z!r} {x!r} {y!r}" for x, y, z in vertices.tolist()]
        lines += [f"1 {len(face)} {' '.join(map(str, face))} 0.5" for face in faces]
        return (head + "\n".join([*lines, "77", ""])).encode()
    order = "<" if form == "binary_little_endian" else ">"
    body = struct.pack(f"{order}hB2f", 5, 2, 1.5, 2.5) + struct.pack(f"{order}hB", 6, 0)
    body += b"".join(struct.pack(f"{order}Bdff", 9, z, x, y) for x, y, z in vertices.tolist())
    body += b"".join(struct.pack(f"{order}BH{len(f)}If", 1, len(f), *f, 0.5) for f in faces)
    return head.encode() + body + struct.pack(f"{order}i", 77)


def chunks(document: dict | bytes, binary: bytes) -> bytes:
    """A .glb file from its JSON and binary parts."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        body += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def glb_document(
    vertices: np.ndarray, triangles: np.ndarray, mode: int = 4, node: dict | None = None
) -> tuple[dict, bytes]:
    """The JSON and the binary part; indices are unsigned shorts behind the positions."""
    positions = vertices.astype("<f4").tobytes()
    indices = np.asarray(triangles).ravel().astype("<u2").tobytes()
    count = np.size(triangles)
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **(node or {})}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "mode": mode}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(vertices), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": count, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(positions)},
            {"buffer": 0, "byteOffset": len(positions), "byteLength": len(indices)},
        ],
        "buffers": [{"byteLength": len(positions) + len(indices)}],
    }
    return document, positions + indices


def glb(vertices: np.ndarray, triangles: np.ndarray, **options: object) -> bytes:
    return chunks(*glb_document(vertices, triangles, **options))


def every_format() -> dict[str, bytes]:
    """The cube in every format and dialect, by file name."""
    points = CUBE[TRIANGLES]
    files = {
        "binary.stl": binary_stl(points),
        "ascii.stl": ascii_stl(points),
        "quads.obj": obj(CUBE, SIDES),
        "negative.obj": obj(CUBE, SIDES, negative=True),
        "triangles.glb": glb(CUBE, TRIANGLES),
    }
    for form in ("ascii", "binary_little_endian", "binary_big_endian"):
        files[f"{form}.ply"] = ply(CUBE, SIDES, form)
    return files
