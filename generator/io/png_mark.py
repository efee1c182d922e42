"""The mark by which a command knows pictures that it wrote: a text chunk in the PNG file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

# Every mark begins with this.
OURS = "Pinsight "
_KEY = "Software"


def marked_png(picture: Image.Image, mark: str) -> bytes:
    """Return a picture as a PNG file with a mark, such as `Pinsight generator inspect`."""
    sink, info = io.BytesIO(), PngInfo()
    info.add_text(_KEY, mark)
    picture.save(sink, "PNG", pnginfo=info)
    return sink.getvalue()


def has_mark(file: Path | BinaryIO, mark: str = OURS) -> bool:
    """Return whether a file is a picture whose mark begins with `mark`; a file that cannot be read has none."""
    try:
        with Image.open(file) as picture:
            return str(picture.info.get(_KEY, "")).startswith(mark)
    except Exception:  # decoders raise many types on damaged files
        return False
