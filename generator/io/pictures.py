"""Pictures as people have them: any mode, any rotation tag, any name, some of them broken."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from blender_scripts.contract.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
_DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def find_pictures(folder: Path) -> list[Path]:
    """Every file below a folder whose name is a picture's, hidden ones left out, in order of their paths.

    Raises:
        InputError: no folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of pictures, got {_what(folder)}")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise InputError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), got none")
    return found


def open_upright(source: Path | bytes, name: str) -> Image.Image:
    """A picture as a person sees it: decoded to its end and turned as its EXIF tag says.

    Args:
        source: a file or its bytes.
        name: what a message calls it.

    Returns:
        Mode RGB, RGBA, L, or I;16 for grey deeper than 8 bits; palettes and CMYK are converted.

    Raises:
        InputError: it is missing, empty, truncated, no picture, or several in one file.
    """
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        if not content:
            raise InputError(f"{name}: expected a picture, got an empty file")
        picture = Image.open(io.BytesIO(content))
        frames = getattr(picture, "n_frames", 1)
        if frames > 1 and picture.format != "MPO":  # a camera's MPO is one photo and its preview
            raise InputError(f"{name}: expected one picture, got {frames} in one file")
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes Pillow raise
        reason = getattr(error, "strerror", None) or str(error).replace("<_io.BytesIO object at", "<file")
        if isinstance(error, Image.UnidentifiedImageError):
            reason = "bytes of no picture format"
        raise InputError(f"{name}: expected a picture that can be decoded, got: {reason}") from None
    if min(upright.size) < 1:
        raise InputError(f"{name}: expected at least 1 x 1 px, got {upright.width} x {upright.height}")
    return plain(upright, name)


def plain(picture: Image.Image, name: str) -> Image.Image:
    """A decoded picture in one of the modes of `open_upright`, not turned.

    Raises:
        InputError: deep grey outside of 0 to 65535.
    """
    if picture.mode in ("RGB", "RGBA", "L", "I;16"):
        return picture
    if picture.mode in _DEEP_GREY:
        values = np.asarray(picture).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
            raise InputError(f"{name}: expected grey values of 0 to 65535, got others")
        return Image.fromarray(values.round().astype(np.uint16))
    if picture.mode == "1":
        return picture.convert("L")
    has_alpha = picture.mode in ("LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def eight_bit(picture: Image.Image) -> Image.Image:
    """RGB or L of 8 bits, as a dataset holds it: 16-bit grey is scaled, not clipped; transparency is dropped."""
    if picture.mode == "I;16":
        grey = np.asarray(picture).astype(np.float64) / 257.0
        return Image.fromarray(grey.round().astype(np.uint8))
    return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def _what(path: Path) -> str:
    return "a file" if path.exists() else "nothing there"
