"""A user's CAD file that a scene file names: checks of its path, size and format; its SHA-256; its placement.

Only the path and the first bytes are checked here; mesh_files.py and blend_files.py read the geometry.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.text_file import without_mark

FORMATS = ("stl", "obj", "ply", "glb", "blend")
MOST_BYTES = 256 * 2**20
_LONGEST_NAME = 255

AXES = re.compile(r"\s*([+-]?)([xyz])\s*,\s*([+-]?)([xyz])\s*,\s*([+-]?)([xyz])\s*")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# Up to 4.x: BLENDER, pointer size, byte order, version; from 5.0: header size and file format come first.
_OLD_HEADER = re.compile(rb"BLENDER([_-])([vV])(\d)(\d\d)")
_NEW_HEADER = re.compile(rb"BLENDER(\d\d)-(\d\d)([vV])(\d\d)(\d\d)")

Axis = tuple[int, int]


class FileProblem(InputError):
    """A CAD file that cannot be used.

    Args:
        place: the file's name and, where it is known, the place in it, such as ``housing.stl:12 vertex``.
        expected: what should be there.
        got: what was found.
    """

    def __init__(self, place: str, expected: str, got: str) -> None:
        self.place, self.expected, self.got = place, expected, got
        super().__init__(f"{place}: expected {expected}, got {got}")


@dataclass(frozen=True)
class CadPlacement:
    """How coordinates of a CAD file are converted to those of the part: scale to mm, exchange axes, then shift.

    Attributes:
        unit_mm: mm per unit of the file: 1 for mm, 25.4 for inches, 1000 for metres.
        axes: for the part's X, Y and Z in turn: the number of the file's axis (0 x, 1 y, 2 z) and its sign (1, -1).
        offset_mm: (x, y, z) of the file's origin in the part's coordinates.
    """

    unit_mm: float = 1.0
    axes: tuple[Axis, Axis, Axis] = ((0, 1), (1, 1), (2, 1))
    offset_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


def parse_axes(text: str) -> tuple[Axis, Axis, Axis] | None:
    """Parse axes such as ``x,-z,y``: the part's X is the file's x, its Y the file's -z, its Z the file's y.

    Returns:
        As `CadPlacement.axes`; None if the text has another form or names an axis twice.
    """
    match = AXES.fullmatch(text)
    if match is None or len({match[2], match[4], match[6]}) != 3:
        return None
    first, second, third = (("xyz".index(match[i + 1]), -1 if match[i] == "-" else 1) for i in (1, 3, 5))
    return first, second, third


@dataclass(frozen=True)
class CadFile:
    """A CAD file that passed the checks of `find`.

    Attributes:
        name: path as in the scene file, relative to the scene file's folder.
        path: absolute path, symbolic links resolved.
        format: one of FORMATS.
        sha256: SHA-256 of the file's bytes; part of the hash of each manifest row of the scene, whatever its housing.
    """

    name: str
    path: Path = field(repr=False, compare=False)
    format: str
    sha256: str

    @classmethod
    def find(cls, folder: Path, name: str) -> CadFile:
        """Find a CAD file and check its path, ending, size and first bytes.

        Args:
            folder: the folder that holds the scene's TOML file.
            name: path relative to it, with ``/`` between folders.

        Raises:
            FileProblem: the path leads out of the folder; the file is missing, empty, larger than MOST_BYTES or not a
                regular file; its ending is not one of FORMATS; or it does not begin as a file with this ending does.
        """
        path = inside(folder, name)
        format_ = path_format(name)
        content = read_plain(path, name, "a mesh")
        check_magic(content, name, format_)
        return cls(PurePosixPath(name).as_posix(), path, format_, hashlib.sha256(content).hexdigest())

    def content(self) -> bytes:
        """Read the file again and return its bytes.

        Raises:
            FileProblem: the file cannot be read any more, or its bytes no longer match `sha256`.
        """
        content = read_plain(self.path, self.name, "a mesh")
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise FileProblem(self.name, "a file unchanged since the scene was read", "a changed file")
        return content


def inside(folder: Path, name: str, is_folder: bool = False) -> Path:
    """Return the absolute path of a file or folder that a scene file names; it must lie below the scene's folder.

    Args:
        folder: the folder that holds the scene's TOML file.
        name: path relative to it, with ``/`` between folders.
        is_folder: whether a folder is wanted; else a regular file.

    Raises:
        FileProblem: the path is absolute, holds ``..``, leads out of the folder by a symbolic link, or does not exist,
            or is a folder where a file is wanted or the reverse.
    """
    place = shown(name)
    expected = f"a path below the scene's folder, such as {'photographs' if is_folder else 'meshes/housing.stl'}"
    pure = PurePosixPath(name)
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or "\\" in name or ":" in name:
        raise FileProblem(place, f"{expected}, of at most {_LONGEST_NAME} characters without \\ and :", place)
    if pure.is_absolute() or name.startswith("~"):
        raise FileProblem(place, expected, "an absolute path")
    if ".." in pure.parts:
        raise FileProblem(place, expected, "a path with ..")
    try:
        root = folder.resolve(strict=True)
        path = (root / pure).resolve(strict=True)
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = "folder" if is_folder else "file"
        raise FileProblem(name, f"a {what} of this name in {folder}", f"no such {what}") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise FileProblem(name, "a readable file", _reason(error)) from None
    if not path.is_relative_to(root):
        raise FileProblem(name, expected, "a symbolic link that leads out of the scene's folder")
    if is_folder != stat.S_ISDIR(mode) or not (is_folder or stat.S_ISREG(mode)):
        raise FileProblem(name, "a folder" if is_folder else "a regular file", _kind(mode))
    return path


def _reason(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return (strerror or "a loop of symbolic links").lower()


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISREG(mode):
        return "a file"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"


def path_format(name: str) -> str:
    """The format that a file name's ending states: one of FORMATS; raises FileProblem for any other ending."""
    ending = PurePosixPath(name).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        offered = ", ".join(f".{each}" for each in FORMATS)
        raise FileProblem(name, f"a file name that ends in one of {offered}", f".{ending}" if ending else "no ending")
    return ending


def read_plain(path: Path, name: str, what: str) -> bytes:
    """Read a regular file of at most MOST_BYTES and return its bytes.

    Args:
        path: the file.
        name: the file's name in messages.
        what: the words after "expected" in the message on an empty file, such as "a mesh".

    Raises:
        FileProblem: the file is unreadable, empty, too large, or no regular file.
    """
    # Checks the opened file, since the path may have changed; follows no link, waits for no pipe's writer.
    flags = os.O_RDONLY
    for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
        flags |= getattr(os, flag, 0)
    try:
        handle = os.open(path, flags)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileProblem(name, "a regular file", _kind(status.st_mode))
            if status.st_size > MOST_BYTES:
                expected = f"a file of at most {MOST_BYTES:,} bytes"
                raise FileProblem(name, expected, f"{status.st_size:,} bytes")
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FileProblem(name, "a readable file", _reason(error)) from None
    if not content:
        raise FileProblem(name, what, "an empty file")
    return content


def check_magic(content: bytes, name: str, format_: str) -> None:
    """Check that a file begins with the bytes of its format; STL and OBJ have no fixed first bytes.

    Raises:
        FileProblem: the file begins with other bytes.
    """
    if format_ == "glb" and content[:4] != b"glTF":
        raise FileProblem(name, "a binary glTF file, which begins with glTF", shown(content[:4]))
    if format_ == "ply" and not re.match(rb"ply\s", without_mark(content[:32])):
        raise FileProblem(name, "a PLY file, which begins with ply", shown(content[:4]))
    if format_ == "blend":
        blend_version(content, name)


def blend_version(content: bytes, name: str) -> tuple[int, int] | None:
    """The Blender version (major, minor) that wrote a file; None if Zstandard compression hides the version.

    Raises:
        FileProblem: it is not a .blend file, is from a 32-bit or big-endian machine, or is truncated.
    """
    head = content[:20]
    if head.startswith(_ZSTD):
        return None
    compressed = head.startswith(_GZIP)
    if compressed:
        try:
            head = zlib.decompressobj(wbits=31).decompress(content, 20)
        except zlib.error:
            head = b""
    old, new = _OLD_HEADER.match(head), _NEW_HEADER.match(head)
    if old is None and new is None:
        expected = "a .blend file, which begins with BLENDER or is compressed by gzip or Zstandard"
        raise FileProblem(name, expected, shown(content[:12]))
    if (old and (old[1] == b"_" or old[2] == b"V")) or (new and new[3] == b"V"):
        raise FileProblem(name, "a .blend file from a 64-bit little-endian machine", "one from another machine")
    if not compressed and content.find(b"ENDB", -4096) < 0:
        raise FileProblem(name, "a complete .blend file, which ends with ENDB", "a truncated file")
    if new:
        return int(new[4]), int(new[5])
    assert old is not None
    return int(old[3]), int(old[4])
