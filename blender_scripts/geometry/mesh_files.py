"""Read the vertices and faces of STL, OBJ, PLY and binary glTF files without Blender.

Materials, textures and references to other files are ignored or refused. Counts in a header are compared with the
file's size before memory is allocated. Text may begin with a byte-order mark; its lines may end in LF, CR LF or CR.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import chain

import numpy as np

from blender_scripts.contract.cad_file import CadFile, FileProblem, check_magic, path_format
from blender_scripts.contract.errors import shown
from blender_scripts.contract.text_file import without_mark
from blender_scripts.geometry import glb, ply
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.welding import check_count, weld

_STL_HEADER = 84
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
_STL_SOLID = re.compile(r"[ \t]*(?:end)?solid(?:[ \t].*)?")
_STL_VERTEX = ("vertex", "#", "#", "#")
_STL_FACET = ("facet", "normal", "#", "#", "#", "outer", "loop", *3 * _STL_VERTEX, "endloop", "endfacet")
_STL_NUMBERS = [i for i, word in enumerate(_STL_FACET) if word == "#" and i > 4]
_OBJ_MOST_CORNERS = 10_000

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_mesh(file: CadFile) -> Mesh:
    """Read an .stl, .obj, .ply or .glb file.

    Returns:
        The mesh in the file's own units and axes, equal vertices merged, faces shaded flat.

    Raises:
        FileProblem: the file is damaged, or has content that is not supported.
    """
    return mesh_of(file.content(), file.name)


def mesh_of(content: bytes, name: str) -> Mesh:
    """Read a mesh from a file's bytes, as `read_mesh` does; the ending of `name`, the file's name, gives the format."""
    readers: dict[str, Callable[[bytes, str], Parts]] = {
        "stl": _read_stl,
        "obj": _read_obj,
        "ply": ply.read_ply,
        "glb": glb.read_glb,
    }
    format_ = path_format(name)
    if format_ not in readers:
        expected = f"a file name that ends in one of {', '.join(f'.{each}' for each in readers)}"
        raise FileProblem(name, expected, f".{format_}")
    if not content:
        raise FileProblem(name, "a mesh", "an empty file")
    check_magic(content, name, format_)
    return weld(name, *readers[format_](content, name))


def _plain(content: bytes) -> bytes:
    """A text file's bytes without a byte-order mark, each line ending in LF."""
    return without_mark(content).replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _triangles(points: np.ndarray) -> Parts:
    """Vertices, corners and sizes (see Mesh) of T separate triangles (T, 3, 3), which share no vertices."""
    vertices = points.reshape(-1, 3)
    return vertices, np.arange(len(vertices)), np.full(len(points), 3)


def _read_stl(content: bytes, name: str) -> Parts:
    if len(content) >= _STL_HEADER:
        count = int.from_bytes(content[80:84], "little")
        # The file's size decides: binary files may begin with `solid` as ASCII files do.
        if len(content) == _STL_HEADER + count * _STL_TRIANGLE.itemsize:
            return _read_binary_stl(content, count, name)
    content = _plain(content)
    if b"\0" not in content[:4096] and re.match(rb"\s*solid", content, re.IGNORECASE):
        return _read_ascii_stl(content, name)
    if len(content) < _STL_HEADER:
        expected = f"an ASCII STL, which begins with solid, or a binary one of at least {_STL_HEADER} bytes"
        raise FileProblem(name, expected, f"{len(content)} bytes")
    expected = f"{_STL_HEADER + count * _STL_TRIANGLE.itemsize} bytes, as its header states {count} triangles"
    raise FileProblem(name, expected, f"{len(content)} bytes")


def _read_binary_stl(content: bytes, count: int, name: str) -> Parts:
    check_count(count, name)
    points = np.frombuffer(content, _STL_TRIANGLE, count, _STL_HEADER)["corners"]
    broken = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(broken):
        raise FileProblem(f"{name} triangle {broken[0] + 1} of {count}", "finite coordinates", "inf or nan")
    return _triangles(points)


def _read_ascii_stl(content: bytes, name: str) -> Parts:
    """Check all words at once; only if that fails, search for the mistake line by line."""
    text = content.decode("ascii", "replace").lower()
    facets, closed = _without_solid_lines(text)
    words = facets.split()
    size = len(_STL_FACET)
    count = len(words) // size
    check_count(count, name)
    fixed = all(words[i::size].count(word) == count for i, word in enumerate(_STL_FACET) if word != "#")
    if not closed or len(words) % size or not fixed:
        raise _ascii_stl_problem(text, name)
    numbers = np.empty((count, 9))
    try:
        for column, place in enumerate(_STL_NUMBERS):
            numbers[:, column] = list(map(float, words[place::size]))
    except ValueError:
        raise _ascii_stl_problem(text, name) from None
    if not np.isfinite(numbers).all():
        raise _ascii_stl_problem(text, name)
    return _triangles(numbers.reshape(-1, 3, 3))


def _without_solid_lines(text: str) -> tuple[str, bool]:
    """The text without the lines that name a solid, and whether the last such line closes one."""
    pieces, start, closed = [], 0, False
    for match in re.finditer("solid", text):
        line = text.rfind("\n", 0, match.start()) + 1
        if line < start:
            continue  # a solid's name that contains the word
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        if _STL_SOLID.fullmatch(text, line, end):
            pieces.append(text[start:line])
            start, closed = end, text[line:end].lstrip().startswith("end")
    pieces.append(text[start:])
    return "".join(pieces), closed and not pieces[-1].strip()


def _ascii_stl_problem(text: str, name: str) -> FileProblem:
    place = number = 0
    for number, line in enumerate(text.split("\n"), 1):
        if _STL_SOLID.fullmatch(line) and place == 0:
            continue
        for word in line.split():
            expected = _STL_FACET[place]
            fits = _is_finite(word) if expected == "#" and place > 4 else expected in ("#", word)
            if not fits:
                wanted = "a finite number" if expected == "#" else f"the word {expected}"
                return FileProblem(f"{name}:{number} facet", wanted, shown(word))
            place = (place + 1) % len(_STL_FACET)
    return FileProblem(f"{name}:{number} facet", "endsolid at the end", "a truncated file")


def _is_finite(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _read_obj(content: bytes, name: str) -> Parts:
    """Read the lines `v` (vertices) and `f` (faces); others are skipped."""
    points: list[tuple[float, ...]] = []
    point_lines: list[int] = []
    faces: list[list[int]] = []
    text = _plain(content).decode("utf-8", "replace").replace("\\\n", " ")
    for number, line in enumerate(text.split("\n"), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        # A vertex that is not recognised would shift the numbers of all later ones: joined files have marks inside.
        keyword = words[0].strip("\ufeff").lower()
        if keyword == "v":
            try:
                x, y, z = map(float, words[1:4])
            except ValueError:
                raise _obj_problem(name, number, "vertex", "three numbers", line) from None
            points.append((x, y, z))
            point_lines.append(number)
        elif keyword == "f":
            faces.append(_obj_face(words[1:], len(points), name, number, line))
    if not faces:
        raise FileProblem(name, "at least one face (a line that begins with f)", "none")
    largest = max(map(max, faces))
    if largest > len(points):
        raise FileProblem(f"{name} face", f"vertex numbers up to {len(points)}", shown(largest))
    vertices = np.array(points)
    broken = np.flatnonzero(~np.isfinite(vertices).all(axis=1))
    if len(broken):
        raise FileProblem(f"{name}:{point_lines[broken[0]]} vertex", "finite coordinates", "inf or nan")
    sizes = np.fromiter(map(len, faces), np.int64, len(faces))
    corners = np.fromiter(chain.from_iterable(faces), np.int64, int(sizes.sum()))
    return vertices, corners - 1, sizes


def _obj_face(words: list[str], count: int, name: str, number: int, line: str) -> list[int]:
    """The vertex numbers, from 1, of a face's corners; `count` vertices precede its line in the file."""
    try:
        face = [int(word.partition("/")[0]) for word in words]
    except ValueError:
        expected = "vertex numbers such as 1, 1/2 or 1/2/3"
        raise _obj_problem(name, number, "face", expected, line) from None
    if not 3 <= len(face) <= _OBJ_MOST_CORNERS:
        raise FileProblem(f"{name}:{number} face", f"3 to {_OBJ_MOST_CORNERS} corners", str(len(face)))
    if min(face) < 1:
        # Negative numbers count back from the last vertex so far; there is no number 0.
        face = [index if index > 0 else count + 1 + index if index else 0 for index in face]
        if min(face) < 1:
            expected = f"vertex numbers from 1, or negative ones that count back over vertices above ({count} so far)"
            raise _obj_problem(name, number, "face", expected, line)
    return face


def _obj_problem(name: str, number: int, kind: str, expected: str, line: str) -> FileProblem:
    return FileProblem(f"{name}:{number} {kind}", expected, shown(line.strip()))
