"""Read text files that a user writes by hand."""

from __future__ import annotations

import codecs
from pathlib import Path

from blender_scripts.contract.errors import InputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def without_mark(content: bytes) -> bytes:
    """Remove the byte-order mark from a text file's bytes; text with the mark of UTF-16 is converted to UTF-8."""
    if content.startswith(_UTF16):
        return content.decode("utf-16", "replace").encode("utf-8", "replace")
    return content.removeprefix(codecs.BOM_UTF8)


def wrong_byte(error: UnicodeDecodeError) -> tuple[int, str]:
    """Return the line number of the first byte that is not UTF-8, and a text that shows the byte, for a message."""
    # The decoder skips a byte-order mark: its offsets count from behind it, and its copy of the bytes lacks it.
    line = error.object[: error.start].count(b"\n") + 1
    return line, f"byte 0x{error.object[error.start]:02x}{' (UTF-16)' if error.object.startswith(_UTF16) else ''}"


def read_text(path: Path, name: str, readable: str = "file", text: str = "UTF-8 text") -> tuple[bytes, str]:
    """Read a UTF-8 file; returns its bytes, and its text without a byte-order mark.

    Args:
        path: the file.
        name: the file's name in messages.
        readable: name of the kind of file, for the message ``expected a readable …``.
        text: name of the kind of text, for the message ``expected …, got byte …``.

    Raises:
        InputError: the file cannot be read, or is not UTF-8 (the message names the line).
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}:1 file: expected a readable {readable}, got {error.strerror or error}") from None
    try:
        return content, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, found = wrong_byte(error)
        raise InputError(f"{name}:{line} file: expected {text}, got {found}") from None
