"""A user's photographs that a scene file names as backgrounds: checks of path, format and size in px; their SHA-256.

Only the headers of the files are read here; scene/backdrop.py and `generator check` decode the pixels.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from blender_scripts.contract.cad_file import FileProblem, inside, read_plain
from blender_scripts.contract.toml_section import TomlSection

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_PHOTOGRAPHS = 1000
MOST_PX = 16384
_LEAST_MM, _MOST_MM = 1.0, 4000.0
_PNG = b"\x89PNG\r\n\x1a\n"
# A JPEG's segment: marker and length; those of frames (SOF) hold the size.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Photograph:
    """A PNG or JPEG file that passed the checks of `find_photographs`.

    Attributes:
        name: path relative to the scene file's folder.
        path: absolute path, symbolic links resolved.
        sha256: SHA-256 of the file's bytes, in hex.
        width, height: size in px.
    """

    name: str
    path: Path = field(repr=False, compare=False)
    sha256: str
    width: int
    height: int

    def content(self) -> bytes:
        """Read the file again and return its bytes.

        Raises:
            FileProblem: the file cannot be read any more, or its bytes no longer match `sha256`.
        """
        content = read_plain(self.path, self.name, "a picture")
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise FileProblem(self.name, "a file unchanged since the scene was read", "a changed file")
        return content


@dataclass(frozen=True)
class Backdrop:
    """Photographs of the table under the part; each placement of the part on the station shows one of them.

    Attributes:
        width_mm: width of the table that one photograph covers; beyond it, mirrored copies continue it.
    """

    photographs: tuple[Photograph, ...]
    width_mm: float


def read_backdrop(section: TomlSection, folder: Path, field_mm: float) -> Backdrop | None:
    """Read `photographs` and `width_mm` of the scene file's table `[fixture]`.

    Args:
        section: the table.
        folder: the folder that holds the scene's TOML file.
        field_mm: width of the camera's field of view, the default of `width_mm`.

    Returns:
        The photographs; None if the table names none, or unusable ones (reported as a mistake of `section`).
    """
    name = section.text("photographs", "")
    width = section.number("width_mm", _LEAST_MM, _MOST_MM, min(max(field_mm, _LEAST_MM), _MOST_MM))
    if "photographs" not in section.data:
        if "width_mm" in section.data:
            section.wrong("width_mm", "the key `photographs` beside width_mm", "no such key")
        return None
    if "color" in section.data:
        section.wrong("color", "either `color` or `photographs`", "both")
    try:
        return Backdrop(find_photographs(folder, name), width)
    except FileProblem as problem:
        section.wrong("photographs", problem.expected, f"{problem.place}: {problem.got}")
        return None


def find_photographs(folder: Path, name: str) -> tuple[Photograph, ...]:
    """Find the PNG and JPEG files in a folder, sorted by name; hidden files and subfolders are passed over.

    Args:
        folder: the folder that holds the scene's TOML file.
        name: path of the photographs' folder relative to it, with ``/`` between folders.

    Raises:
        FileProblem: `name` is no folder below the scene's folder, it holds no picture or more than MOST_PHOTOGRAPHS, or
            a picture is damaged or has a side of more than MOST_PX px.
    """
    pure = PurePosixPath(name)
    if not pure.parts:
        raise FileProblem(name or "''", "a folder below the scene's folder, such as photographs", "the scene's folder")
    path = inside(folder, name, is_folder=True)
    found = [each.name for each in path.iterdir() if each.suffix.lower() in SUFFIXES and not each.name.startswith(".")]
    if not 1 <= len(found) <= MOST_PHOTOGRAPHS:
        raise FileProblem(name, f"a folder with 1 to {MOST_PHOTOGRAPHS} PNG or JPEG files", str(len(found)))
    return tuple(_photograph(folder, f"{pure}/{each}") for each in sorted(found))


def _photograph(folder: Path, name: str) -> Photograph:
    path = inside(folder, name)
    content = read_plain(path, name, "a picture")
    size = _size(content)
    if size is None or not all(1 <= side <= MOST_PX for side in size):
        expected = f"a PNG or JPEG file of at most {MOST_PX} x {MOST_PX} px"
        raise FileProblem(name, expected, f"{size[0]} x {size[1]} px" if size else "a damaged file, or another format")
    return Photograph(name, path, hashlib.sha256(content).hexdigest(), *size)


def _size(content: bytes) -> tuple[int, int] | None:
    """Width and height, px, as a PNG's or JPEG's header states them; None for anything else."""
    if content.startswith(_PNG):
        return struct.unpack(">II", content[16:24]) if content[12:16] == b"IHDR" and len(content) > 24 else None
    at = 2 if content.startswith(b"\xff\xd8") else len(content)
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = struct.unpack(">xBH", content[at : at + 4])
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAMES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        else:
            at += 2 + length
    return None
