"""Read the vertices and faces of a PLY file: ASCII or binary, any properties in any order.

Format: Greg Turk, "The PLY Polygon File Format", 1994.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from blender_scripts.contract.cad_file import FileProblem
from blender_scripts.contract.errors import shown
from blender_scripts.contract.text_file import without_mark

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_INDEX_NAMES = ("vertex_indices", "vertex_index")
_LONGEST_HEADER = 65536
_MOST_CORNERS = 10_000

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Property:
    """A property that a PLY header declares: a number, or a list of numbers.

    Attributes:
        type: numpy type of the number or of the list's members, without byte order, such as `f4`.
        counter: numpy type of the list's length; empty for a number.
    """

    name: str
    type: str
    counter: str = ""


@dataclass(frozen=True)
class Element:
    """A table that a PLY header declares, such as `vertex`: its name, number of rows, and properties (columns)."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)

    def column(self, *names: str) -> int | None:
        """The index of the first property that has one of these names; None if there is none."""
        for number, each in enumerate(self.properties):
            if each.name in names:
                return number
        return None

    @property
    def has_lists(self) -> bool:
        """Whether any property of the element is a list."""
        return any(each.counter for each in self.properties)


def read_ply(content: bytes, name: str) -> Parts:
    """Read the mesh in a PLY file.

    Args:
        content: the file's bytes.
        name: the file's name, for messages.

    Returns:
        Vertices (V, 3), vertex indices (C,) of the faces' corners, and number of corners of each face (F,).

    Raises:
        FileProblem: the file is damaged, has less data than its header states, or has no mesh.
    """
    content = _with_plain_header(without_mark(content))
    order, elements, start = _header(content, name)
    vertex = next((each for each in elements if each.name == "vertex"), None)
    face = next((each for each in elements if each.name == "face"), None)
    if vertex is None or face is None or not vertex.count or not face.count:
        found = ", ".join(f"{each.count} {each.name}" for each in elements) or "none"
        raise FileProblem(name, "at least one vertex and one face", shown(found))
    axes = [vertex.column(axis) for axis in "xyz"]
    if None in axes or any(vertex.properties[axis].counter for axis in axes if axis is not None):
        raise FileProblem(name, "the element vertex with the numbers x, y and z", _listed(vertex))
    column = face.column(*_INDEX_NAMES)
    if column is None or not face.properties[column].counter or face.properties[column].type[0] == "f":
        raise FileProblem(name, "the element face with the list of integers vertex_indices", _listed(face))
    source = _Binary(content, start, order, name) if order else _Ascii(content, start, name)
    points = indices = sizes = None
    for element in elements[: 1 + max(elements.index(vertex), elements.index(face))]:
        if element is vertex:
            points = source.numbers(element, [axis for axis in axes if axis is not None])
        elif element is face:
            sizes, indices = source.lists(element, column)
        else:
            source.skip(element)
    assert points is not None and indices is not None and sizes is not None
    broken = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(broken):
        raise FileProblem(f"{name} vertex {broken[0] + 1} of {vertex.count}", "finite coordinates", "inf or nan")
    wrong = np.flatnonzero((indices < 0) | (indices >= vertex.count))
    if len(wrong):
        number = int(np.searchsorted(np.cumsum(sizes), wrong[0], side="right")) + 1
        expected = f"vertex indices from 0 to {vertex.count - 1}"
        raise FileProblem(f"{name} face {number} of {face.count}", expected, f"{indices[wrong[0]]:g}")
    odd = np.flatnonzero((sizes < 3) | (sizes > _MOST_CORNERS))
    if len(odd):
        place = f"{name} face {odd[0] + 1} of {face.count}"
        raise FileProblem(place, f"3 to {_MOST_CORNERS} corners", f"{sizes[odd[0]]:g}")
    return points, indices.astype(np.int64), sizes.astype(np.int64)


def _listed(element: Element) -> str:
    return shown(", ".join(("list " if each.counter else "") + each.name for each in element.properties))


def _with_plain_header(content: bytes) -> bytes:
    """The file with LF at the ends of its header's lines; only a line end that the first line has counts as one."""
    first = re.match(rb"ply[ \t]*(\r\n|\r)", content)
    end = first and re.search(first[1] + rb"end_header[ \t]*" + first[1], content[:_LONGEST_HEADER])
    if not first or not end:
        return content
    return content[: end.end()].replace(first[1], b"\n") + content[end.end() :]


def _header(content: bytes, name: str) -> tuple[str, list[Element], int]:
    """Parse the header: byte order (empty: ASCII), elements, and the offset at which the data begin."""
    end = re.search(rb"\nend_header[ \t]*\r?\n", content[:_LONGEST_HEADER])
    if end is None:
        raise FileProblem(name, "a header that ends with end_header", "none")
    lines = content[: end.start()].decode("ascii", "replace").split("\n")
    order: str | None = None
    elements: list[Element] = []
    for number, line in enumerate(lines, 1):
        match line.split():
            case [] | ["comment" | "obj_info", *_] | ["ply"]:
                continue
            case ["format", kind, "1.0"] if kind in _ORDERS:
                order = _ORDERS[kind]
            case ["element", word, count] if count.isdecimal() and count.isascii() and len(count) < 12:
                elements.append(Element(word, int(count)))
            case ["property", "list", counter, kind, word] if elements and {counter, kind} <= _TYPES.keys():
                if _TYPES[counter][0] == "f":
                    raise FileProblem(f"{name}:{number} property", "an integer type for a list's length", counter)
                elements[-1].properties.append(Property(word, _TYPES[kind], _TYPES[counter]))
            case ["property", kind, word] if elements and kind in _TYPES:
                elements[-1].properties.append(Property(word, _TYPES[kind]))
            case _:
                expected = "a valid line of a PLY header"
                raise FileProblem(f"{name}:{number} header", expected, shown(line.strip()))
    if order is None:
        raise FileProblem(name, "a header line such as 'format ascii 1.0'", "none")
    return order, elements, end.end()


def _truncated(name: str, element: Element) -> FileProblem:
    return FileProblem(f"{name} {element.name}", f"{element.count} entries", "a truncated file")


class _Binary:
    """Reads elements one after the other from binary data."""

    def __init__(self, content: bytes, start: int, order: str, name: str) -> None:
        self.content, self.offset, self.order, self.name = content, start, order, name

    def _rows(self, element: Element, lengths: list[int]) -> np.ndarray | None:
        """All rows of an element, if its lists have the given `lengths`; None where the file is too short for that."""
        fields: list[tuple[str, str] | tuple[str, str, tuple[int]]] = []
        for number, (each, length) in enumerate(zip(element.properties, lengths, strict=True)):
            if each.counter:
                fields.append((f"n{number}", self.order + each.counter))
                fields.append((f"p{number}", self.order + each.type, (length,)))
            else:
                fields.append((f"p{number}", self.order + each.type))
        row = np.dtype(fields)
        if row.itemsize * element.count > len(self.content) - self.offset:
            return None
        if not row.itemsize:
            return np.zeros(0, row)
        return np.frombuffer(self.content, row, element.count, self.offset)

    def _equal_rows(self, element: Element) -> np.ndarray | None:
        """Read all rows if every list is as long as in the first row; None (and nothing read) otherwise."""
        at, lengths = self.offset, []
        for each in element.properties:
            length = 0
            if each.counter:
                length = self._length(each, at, element)
                at += int(each.counter[1])
                lengths.append(length)
            else:
                lengths.append(0)
            at += int(each.type[1]) * (length if each.counter else 1)
            if at > len(self.content):
                raise _truncated(self.name, element)
        rows = self._rows(element, lengths)
        if rows is None:
            return None
        for number, (each, length) in enumerate(zip(element.properties, lengths, strict=True)):
            if each.counter and np.any(rows[f"n{number}"] != length):
                return None
        self.offset += rows.nbytes
        return rows

    def _length(self, each: Property, at: int, element: Element) -> int:
        size = int(each.counter[1])
        piece = self.content[at : at + size]
        if len(piece) < size:
            raise _truncated(self.name, element)
        length = int.from_bytes(piece, "little" if self.order == "<" else "big", signed=each.counter[0] == "i")
        if length < 0:
            raise FileProblem(f"{self.name} {element.name}", "a list length of 0 or more", str(length))
        return length

    def _walk(self, element: Element, wanted: int | None) -> list[tuple[int, int]]:
        """Read past an element's rows; (offset of first byte, length) of each row's list in column `wanted`."""
        found = []
        for _ in range(element.count):
            for number, each in enumerate(element.properties):
                size = int(each.type[1])
                if each.counter:
                    length = self._length(each, self.offset, element)
                    self.offset += int(each.counter[1])
                    if number == wanted:
                        found.append((self.offset, length))
                    size *= length
                self.offset += size
            if self.offset > len(self.content):
                raise _truncated(self.name, element)
        return found

    def numbers(self, element: Element, columns: list[int]) -> np.ndarray:
        """Read columns of numbers, given by index, in all rows of an element: (rows, columns) float64."""
        if element.has_lists:
            raise FileProblem(f"{self.name} {element.name}", "numbers, no lists", _listed(element))
        rows = self._rows(element, [0] * len(element.properties))
        if rows is None:
            raise _truncated(self.name, element)
        self.offset += rows.nbytes
        return np.stack([rows[f"p{column}"] for column in columns], axis=1).astype(np.float64)

    def lists(self, element: Element, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a column of lists in all rows of an element: their lengths (rows,), and all their members in order."""
        rows = self._equal_rows(element)
        if rows is not None:
            members = rows[f"p{column}"]
            return np.full(element.count, members.shape[1]), members.reshape(-1).astype(np.int64)
        kind = np.dtype(self.order + element.properties[column].type)
        places = self._walk(element, column)
        pieces = [np.frombuffer(self.content, kind, length, first) for first, length in places]
        lengths = np.array([length for _, length in places], np.int64)
        return lengths, np.concatenate(pieces).astype(np.int64)

    def skip(self, element: Element) -> None:
        """Go past all rows of an element without reading them."""
        if not element.properties or not element.count:
            return
        if self._equal_rows(element) is None:
            self._walk(element, None)


class _Ascii:
    """Reads elements one after the other from ASCII data."""

    def __init__(self, content: bytes, start: int, name: str) -> None:
        self.words, self.at, self.name = content[start:].split(), 0, name

    def numbers(self, element: Element, columns: list[int]) -> np.ndarray:
        """Read columns of numbers, given by index, in all rows of an element: (rows, columns) float64."""
        if element.has_lists:
            raise FileProblem(f"{self.name} {element.name}", "numbers, no lists", _listed(element))
        width = len(element.properties)
        words = self.words[self.at : self.at + width * element.count]
        if len(words) < width * element.count:
            raise _truncated(self.name, element)
        self.at += len(words)
        result = np.empty((element.count, len(columns)))
        for place, column in enumerate(columns):
            result[:, place] = self._converted(words[column::width], float, element)
        return result

    def _converted(self, words: list[bytes], kind: type, element: Element) -> list[float]:
        try:
            return list(map(kind, words))
        except ValueError:
            for word in words:
                try:
                    kind(word)
                except ValueError:
                    wanted = "an integer" if kind is int else "a number"
                    found = shown(word.decode("utf-8", "replace"))
                    raise FileProblem(f"{self.name} {element.name}", wanted, found) from None
            raise

    def lists(self, element: Element, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a column of lists in all rows of an element: their lengths (rows,), and all their members in order."""
        lengths: list[int] = []
        members: list[bytes] = []
        for found in self._walk(element, column):
            lengths.append(len(found))
            members += found
        values = self._converted(members, int, element)
        if values and not -1 <= min(values) <= max(values) < 2**32:
            raise FileProblem(f"{self.name} {element.name}", "a vertex index", shown(max(values, key=abs)))
        return np.array(lengths, np.int64), np.array(values, np.int64)

    def _walk(self, element: Element, wanted: int | None) -> list[list[bytes]]:
        found = []
        words, at, end = self.words, self.at, len(self.words)
        for row in range(1, element.count + 1):
            for number, each in enumerate(element.properties):
                if at >= end:
                    raise _truncated(self.name, element)
                if not each.counter:
                    at += 1
                    continue
                word = words[at]
                if not word.isdigit() or len(word) > 9 or int(word) > end - at - 1:
                    expected = "a list: its length, then that many numbers"
                    got = shown(word.decode("utf-8", "replace"))
                    raise FileProblem(f"{self.name} {element.name} {row} of {element.count}", expected, got)
                length = int(word)
                if number == wanted:
                    found.append(words[at + 1 : at + 1 + length])
                at += 1 + length
        self.at = at
        return found

    def skip(self, element: Element) -> None:
        """Go past all rows of an element without reading them."""
        if element.properties and element.count:
            self._walk(element, None)
