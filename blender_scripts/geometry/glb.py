"""Read the triangles of a binary glTF file's scene, transformed by its nodes.

Format: Khronos, "glTF 2.0 Specification". Materials, morph targets and animations are ignored.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from blender_scripts.contract.cad_file import FileProblem
from blender_scripts.contract.errors import shown
from blender_scripts.geometry.welding import check_count

_JSON, _BIN = 0x4E4F534A, 0x004E4942
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_INDEX_TYPES = (5121, 5123, 5125)
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
# Extensions that compress or repeat geometry, and are not supported.
_REFUSED = {
    "KHR_draco_mesh_compression": "Draco compression",
    "EXT_meshopt_compression": "meshopt compression",
    "KHR_meshopt_compression": "meshopt compression",
    "EXT_mesh_gpu_instancing": "instancing (EXT_mesh_gpu_instancing)",
}
# Extensions that a file may require: they leave faces where they are, or are supported.
_HARMLESS = ("KHR_mesh_quantization", "KHR_materials_", "KHR_texture_", "KHR_lights_", "EXT_texture_")
_PLAIN = "glTF 2.0 without extensions that change the geometry"
_MOST_DEEP = 200

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_glb(content: bytes, name: str) -> Parts:
    """Read all meshes of the file's default scene, or of a file without scenes, as one mesh.

    Args:
        content: the file's bytes.
        name: the file's name, for messages.

    Returns:
        Vertices (V, 3), vertex indices (C,) of the faces' corners, and number of corners of each face (F,).

    Raises:
        FileProblem: the file is damaged, has no triangle or too many, is compressed, refers to other files, or has
            instancing, skins or sparse accessors.
    """
    document, binary = _chunks(content, name)
    return _Document(document, binary, name).scene()


def _chunks(content: bytes, name: str) -> tuple[dict[str, Any], bytes]:
    if len(content) < 20:
        raise FileProblem(name, "at least 20 bytes: a glTF header and one chunk", f"{len(content)} bytes")
    version, length = (int.from_bytes(content[at : at + 4], "little") for at in (4, 8))
    if version != 2:
        raise FileProblem(name, "glTF of version 2", f"version {version}")
    if length != len(content):
        raise FileProblem(name, f"a file of {length} bytes, as its header says", f"{len(content)} bytes")
    chunks: dict[int, bytes] = {}
    at = 12
    while at < length:
        size, kind = (int.from_bytes(content[at + 4 * i : at + 4 * i + 4], "little") for i in (0, 1))
        if at + 8 + size > length or (not chunks and kind != _JSON):
            expected = "a complete chunk, of type JSON at the file's beginning"
            raise FileProblem(f"{name} byte {at}", expected, f"a chunk of type {kind:#x} and {size} bytes")
        chunks.setdefault(kind, content[at + 8 : at + 8 + size])
        at += 8 + size
    try:
        document = json.loads(chunks[_JSON])
    except (ValueError, RecursionError) as error:
        raise FileProblem(f"{name} JSON", "valid JSON", shown(str(error))) from None
    if not isinstance(document, dict):
        raise FileProblem(f"{name} JSON", "a JSON object", shown(document))
    return document, chunks.get(_BIN, b"")


class _Document:
    """The file's JSON chunk; every value read from it is checked."""

    def __init__(self, data: dict[str, Any], binary: bytes, name: str) -> None:
        self.data, self.binary, self.name = data, binary, name
        self.triangles = 0
        required = self._array(data, "extensionsRequired", "JSON")
        for extension in required:
            if not isinstance(extension, str) or not extension.startswith(_HARMLESS):
                known = _REFUSED.get(extension) if isinstance(extension, str) else None
                found = known or f"the extension {shown(extension)}"
                raise self._wrong("extensionsRequired", _PLAIN, found)

    def _wrong(self, place: str, expected: str, got: str) -> FileProblem:
        return FileProblem(f"{self.name} {place}", expected, got)

    def _array(self, owner: dict[str, Any], key: str, place: str) -> list[Any]:
        value = owner.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(place, f"{key} as an array", shown(value))
        return value

    def _integer(self, owner: dict[str, Any], key: str, place: str, default: int | None = None) -> int:
        value = owner.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
            raise self._wrong(place, f"{key} as an integer of 0 or more", shown(value))
        return value

    def _entry(self, key: str, index: object, place: str) -> dict[str, Any]:
        """The index-th object of a top-level array of the JSON."""
        entries = self._array(self.data, key, "JSON")
        fits = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(entries)
        if not fits or not isinstance(entries[index], dict):  # type: ignore[call-overload]
            raise self._wrong(place, f"the index of an object in the array {key} (length {len(entries)})", shown(index))
        entry: dict[str, Any] = entries[index]  # type: ignore[call-overload]
        extensions = entry.get("extensions")
        self._refuse(extensions, place)
        return entry

    def _refuse(self, extensions: object, place: str) -> None:
        for extension in extensions if isinstance(extensions, dict) else ():
            if extension in _REFUSED:
                raise self._wrong(place, _PLAIN, _REFUSED[extension])

    def scene(self) -> Parts:
        """Return the triangles of the default scene (of all nodes if there is no scene), in the form of `read_glb`."""
        nodes = self._array(self.data, "nodes", "JSON")
        if self._array(self.data, "scenes", "JSON"):
            scene = self._entry("scenes", self.data.get("scene", 0), "scene")
            roots = self._array(scene, "nodes", "scene")
        else:
            below: list[Any] = []
            for number in range(len(nodes)):
                node = self._entry("nodes", number, "JSON")
                below += self._array(node, "children", f"node {number}")
            children = {child for child in below if isinstance(child, int)}
            roots = [number for number in range(len(nodes)) if number not in children]
        waiting = [(root, np.eye(4), 0) for root in reversed(roots)]
        seen: set[int] = set()
        points, corners = [np.zeros((0, 3))], [np.zeros(0, np.int64)]
        start = 0
        while waiting:
            number, above, depth = waiting.pop()
            node = self._entry("nodes", number, "node")
            place = f"node {number}"
            if number in seen or depth > _MOST_DEEP:
                raise self._wrong(place, f"a tree of nodes at most {_MOST_DEEP} deep", "a loop, or a deeper tree")
            seen.add(number)
            matrix = above @ self._matrix(node, place)
            if "mesh" in node:
                for vertices, triangles in self._mesh(node, place):
                    with np.errstate(all="ignore"):
                        points.append(vertices @ matrix[:3, :3].T + matrix[:3, 3])
                    # A node that mirrors turns its triangles inside out.
                    mirrored = np.linalg.det(matrix[:3, :3]) < 0.0
                    corners.append(start + (triangles[:, ::-1] if mirrored else triangles).reshape(-1))
                    start += len(vertices)
            for child in reversed(self._array(node, "children", place)):
                waiting.append((child, matrix, depth + 1))
        together = np.concatenate(corners)
        if not len(together):
            raise FileProblem(self.name, "at least one triangle in the default scene", "none")
        return np.concatenate(points), together, np.full(len(together) // 3, 3)

    def _numbers(self, owner: dict[str, Any], key: str, default: list[float], place: str) -> np.ndarray:
        value = owner.get(key, default)
        good = isinstance(value, list) and len(value) == len(default)
        if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e12 for v in value):
            raise self._wrong(place, f"{key} as an array of {len(default)} numbers", shown(value))
        return np.array(value, float)

    def _matrix(self, node: dict[str, Any], place: str) -> np.ndarray:
        """A node's own transformation, (4, 4)."""
        if "matrix" in node:
            matrix = self._numbers(node, "matrix", np.eye(4).ravel().tolist(), place).reshape(4, 4).T
            if not np.array_equal(matrix[3], (0.0, 0.0, 0.0, 1.0)):
                raise self._wrong(place, "a matrix with the bottom row 0, 0, 0, 1", shown(matrix[3].tolist()))
            return matrix
        x, y, z, w = self._numbers(node, "rotation", [0.0, 0.0, 0.0, 1.0], place)
        length = math.sqrt(x * x + y * y + z * z + w * w)
        if not 0.5 < length < 2.0:
            raise self._wrong(place, "a rotation quaternion of length 1", f"length {length:g}")
        x, y, z, w = x / length, y / length, z / length, w / length
        turn = [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ]
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(turn) * self._numbers(node, "scale", [1.0, 1.0, 1.0], place)
        matrix[:3, 3] = self._numbers(node, "translation", [0.0, 0.0, 0.0], place)
        return matrix

    def _mesh(self, node: dict[str, Any], place: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Vertices (V, 3) and triangles (T, 3) of each primitive; points and lines are skipped."""
        if "skin" in node:
            raise self._wrong(place, "a mesh that no skin (bones) deforms", "a skin")
        mesh = self._entry("meshes", node["mesh"], place)
        found = []
        for number, primitive in enumerate(self._array(mesh, "primitives", place)):
            where = f"mesh {node['mesh']} primitive {number}"
            attributes = primitive.get("attributes") if isinstance(primitive, dict) else None
            if not isinstance(attributes, dict):
                raise self._wrong(where, "a JSON object with the key attributes", shown(primitive))
            self._refuse(primitive.get("extensions"), where)
            mode = self._integer(primitive, "mode", where, _TRIANGLES)
            if mode > _FAN:
                raise self._wrong(where, "a mode from 0 to 6", str(mode))
            if mode < _TRIANGLES:
                continue
            vertices = self._accessor(attributes.get("POSITION"), "VEC3", where)
            broken = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
            if len(broken):
                raise self._wrong(f"{where} vertex {broken[0] + 1}", "finite coordinates", "inf or nan")
            order = np.arange(len(vertices))
            if "indices" in primitive:
                order = self._accessor(primitive["indices"], "SCALAR", where).reshape(-1)
            if len(order) and order.max() >= len(vertices):
                expected = f"indices below {len(vertices)}"
                raise self._wrong(where, expected, str(order.max()))
            triangles = _triangles(order, mode)
            if triangles is None:
                raise self._wrong(where, "three vertices for each triangle", f"{len(order)} vertices in all")
            self.triangles += len(triangles)
            check_count(self.triangles, self.name)
            found.append((vertices, triangles))
        return found

    def _accessor(self, index: object, shape: str, place: str) -> np.ndarray:
        """An accessor's (count, 3) numbers, or (count, 1) indices."""
        accessor = self._entry("accessors", index, place)
        where = f"accessor {index}"
        if "sparse" in accessor:
            raise self._wrong(where, "an accessor that is not sparse", "a sparse one")
        if accessor.get("type") != shape:
            raise self._wrong(where, f"the type {shape}", shown(accessor.get("type")))
        component = self._integer(accessor, "componentType", where)
        allowed = _INDEX_TYPES if shape == "SCALAR" else tuple(_COMPONENTS)
        if component not in allowed:
            raise self._wrong(where, f"a componentType of {', '.join(map(str, allowed))}", str(component))
        kind = np.dtype(_COMPONENTS[component])
        width = 3 if shape == "VEC3" else 1
        count = self._integer(accessor, "count", where)
        view = self._entry("bufferViews", accessor.get("bufferView"), where)
        buffer = self._entry("buffers", view.get("buffer"), where)
        if "uri" in buffer or view["buffer"] != 0:
            raise self._wrong(where, "data within this file", "a buffer in another file or a URI")
        start = self._integer(view, "byteOffset", where, 0)
        length = self._integer(view, "byteLength", where)
        offset = self._integer(accessor, "byteOffset", where, 0)
        stride = self._integer(view, "byteStride", where, 0) or width * kind.itemsize
        end = offset + (stride * (count - 1) + width * kind.itemsize if count else 0)
        if end > length or start + length > len(self.binary) or stride < width * kind.itemsize:
            expected = f"{count} entries that end within the file's buffer of {len(self.binary)} bytes"
            raise self._wrong(where, expected, f"an end at byte {start + end}")
        if not count:
            return np.zeros((0, width), np.float64 if shape == "VEC3" else np.int64)
        values = np.ndarray((count, width), kind, self.binary, start + offset, (stride, kind.itemsize))
        if shape == "SCALAR":
            return values.astype(np.int64)
        if accessor.get("normalized") is True and kind.kind in "iu":
            return np.maximum(values.astype(np.float64) / np.iinfo(kind).max, -1.0)
        return values.astype(np.float64)


def _triangles(order: np.ndarray, mode: int) -> np.ndarray | None:
    """Triangles (T, 3) of a list, strip or fan of vertices; None where a list's length is not a multiple of 3."""
    if mode == _TRIANGLES:
        return order.reshape(-1, 3) if len(order) % 3 == 0 else None
    if len(order) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == _FAN:
        # The specification's order: (i + 1, i + 2, 0), the same triangle turned.
        return np.column_stack([order[1:-1], order[2:], np.full(len(order) - 2, order[0])])
    strip = np.column_stack([order[:-2], order[1:-1], order[2:]])
    strip[1::2] = strip[1::2][:, [0, 2, 1]]
    return strip
