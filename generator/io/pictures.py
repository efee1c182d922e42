"""The one decoder of pictures: import, build, augment, inspect, training and predict read files and bytes through it.

`open_picture` gives what a dataset, an inspection and a network see: 8-bit RGB or grey, upright. Its steps are public:

    decoded     bytes to the picture as it is stored; refuses what is missing, damaged or several pictures in one file
    upright     turned as its EXIF tag says
    plain       RGB, RGBA, L or I;16 from any mode
    eight_bit   RGB or L: 16-bit grey is scaled, transparency dropped

trainer/vit/network/letterbox.py has a smaller one, for transformers alone: it travels with a run. A test holds it to
turn pictures as this one does.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from blender_scripts.contract.errors import InputError

# HEIC is listed to be refused by name, not passed over: Pillow does not read it.
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm"),
    *(".tga", ".jp2", ".avif", ".heic", ".heif"),
)
# Grey of more bits than eight must reach this of 65535: below it eight bits keep 16 levels at the most.
LEAST_DEEP_WHITE = 4096
_DEPTHS = {1: "values from 0 to 1", 255: "8 bits", 1023: "10 bits", LEAST_DEEP_WHITE - 1: "12 bits"}
_DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WITH_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")


def is_picture(path: Path) -> bool:
    """Whether a file's name is a picture's, hidden ones left out."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, not of those below it, by name; may be none."""
    return sorted(path for path in folder.iterdir() if is_picture(path))


def find_pictures(folder: Path) -> list[Path]:
    """Every picture of a folder and of those below it, hidden ones left out, in order of their paths.

    Raises:
        InputError: no folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of pictures, got {_what(folder)}")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if is_picture(path) and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise InputError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), got none")
    return found


def open_picture(source: Path | bytes, name: str) -> Image.Image:
    """A picture as datasets, inspections and networks see it: upright, of mode RGB or L with 8 bits.

    Args:
        source: a file or its bytes.
        name: what a message calls it.

    Raises:
        InputError: it is missing, damaged, no picture, several in one file, or grey that eight bits would blacken.
    """
    picture = open_upright(source, name)
    check_depth(picture, name)
    return eight_bit(picture)


def open_upright(source: Path | bytes, name: str) -> Image.Image:
    """A picture as a person sees it, with its depth and transparency: mode RGB, RGBA, L or I;16.

    Args:
        source: a file or its bytes.
        name: what a message calls it.

    Raises:
        InputError: it is missing, damaged, no picture, or several in one file.
    """
    return plain(upright(decoded(source, name)), name)


def decoded(source: Path | bytes, name: str) -> Image.Image:
    """A picture as its file stores it, decoded to its end: any mode, not turned.

    Args:
        source: a file or its bytes.
        name: what a message calls it.

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
    except InputError:
        raise
    except Exception as error:  # whatever a damaged file makes Pillow raise
        reason = getattr(error, "strerror", None) or str(error).replace("<_io.BytesIO object at", "<file")
        if isinstance(error, UnidentifiedImageError):
            is_heif = content[4:8] == b"ftyp"
            reason = "HEIC or AVIF, which this Pillow does not read" if is_heif else "bytes of no picture format"
        raise InputError(f"{name}: expected a picture that can be decoded, got: {reason}") from None
    if min(picture.size) < 1:
        raise InputError(f"{name}: expected at least 1 x 1 px, got {picture.width} x {picture.height}")
    return picture


def upright(picture: Image.Image) -> Image.Image:
    """A decoded picture turned as its EXIF tag says; itself where nothing is to be turned or the tag is unreadable.

    Pillow's `exif_transpose` also writes the EXIF data anew, which fails where something else in them is damaged.
    """
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever damaged EXIF data may raise
        turn = None
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    for name in _WITH_ORIENTATION:  # or it would be turned again
        turned.info.pop(name, None)
    return turned


def plain(picture: Image.Image, name: str) -> Image.Image:
    """A decoded picture in one of the modes of `open_upright`, not turned.

    Raises:
        InputError: grey of integers or floats that are not 16-bit values.
    """
    if picture.mode in ("RGB", "RGBA", "L", "I;16"):
        return picture
    if picture.mode in _DEEP_GREY:
        values = np.asarray(picture).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
            found = f"{values.min():g} to {values.max():g}"
            raise InputError(f"{name}: expected grey values of 0 to 65535, got {found}")
        if picture.mode == "F":
            _check_white(values, name)  # rounding 0 to 1 would keep black and white only
        return Image.fromarray(values.round().astype(np.uint16))
    if picture.mode == "1":
        return picture.convert("L")
    has_alpha = picture.mode in ("LA", "PA", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def check_depth(picture: Image.Image, name: str) -> None:
    """Refuse grey deeper than 8 bits that does not use its depth: scaled to 8 bits it would be all but black.

    A camera's 10 or 12 bits in a 16-bit file look like that. How many bits they are cannot be told from one picture.

    Raises:
        InputError: the picture is so.
    """
    if picture.mode == "I;16":
        _check_white(np.asarray(picture), name)


def eight_bit(picture: Image.Image) -> Image.Image:
    """RGB or L of 8 bits, as a dataset holds it: 16-bit grey is scaled, not clipped; transparency is dropped."""
    if picture.mode == "I;16":
        grey = np.asarray(picture).astype(np.float64) / 257.0
        return Image.fromarray(grey.round().astype(np.uint8))
    return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")


def _check_white(values: np.ndarray, name: str) -> None:
    white = float(values.max())
    if white < LEAST_DEEP_WHITE:
        depth = next(depth for most, depth in _DEPTHS.items() if white <= most)
        raise InputError(
            f"{name}: expected grey values of 0 to 65535 that reach {LEAST_DEEP_WHITE}, got at most {white:g}, which "
            f"looks like {depth}: scale the picture to 16 bits, or save it with 8"
        )


def _what(path: Path) -> str:
    return "a file" if path.exists() else "nothing there"
