"""Decode pictures: import, build, augment, inspect, training and prediction use these functions.

`open_picture` returns the picture that a dataset, an inspection and a network get: 8-bit RGB or grey, upright. Its
steps are public:

    decoded     decodes the bytes; refuses missing and damaged files, and several pictures in one file
    upright     turns the picture as its EXIF tag says
    plain       converts any mode to RGB, RGBA, L or I;16
    with_white  scales 16-bit grey so that white is 65535; refuses pictures that would be nearly black
    eight_bit   converts to RGB or L: 16-bit grey is scaled, transparency dropped

trainer/vit/network/letterbox.py has a smaller decoder, which is saved with a training run. A test checks that both turn
pictures alike.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from blender_scripts.contract.errors import InputError
from generator.io.wording import counted

# Pictures of these formats are read.
READ_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif", ".avif"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".jp2", ".j2k", ".jpf", ".jpx", ".j2c", ".jpc"),
)
# Pictures of these formats are not read: they are refused by name instead of being passed over.
UNREAD_SUFFIXES = (
    *(".heic", ".heif", ".hif", ".jxl", ".exr", ".hdr", ".psd", ".dcm"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"),
)
SUFFIXES = READ_SUFFIXES + UNREAD_SUFFIXES
CONVERT = "convert it to PNG or JPEG"
# Files and folders that systems leave beside pictures; hidden ones (.DS_Store, ._a.png) need no entry.
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini")
# Links to folders that are followed, one below the other: more are a circle through several folders.
MOST_LINKS = 3
SYSTEM_FOLDERS = ("__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information")
# The brightest value of a 16-bit picture has to reach this: below it, the file may hold the 10 to 14 bits of a camera.
# One rule per picture (such as stretching to its brightest value) would change the light between pictures of a folder.
LEAST_DEEP_WHITE = 16384
# Environment variable with the value of white in pictures of 16-bit grey whose file does not declare it, such as 4095.
WHITE = "PINSIGHT_WHITE"
_DEPTHS = {1: "values from 0 to 1", 255: "8 bits", 1023: "10 bits", 4095: "12 bits", LEAST_DEEP_WHITE - 1: "14 bits"}
_WHITES = (1, *(2**bits - 1 for bits in range(8, 16)))
_WHITE_TAGS = (ExifTags.Base.BitsPerSample, ExifTags.Base.MaxSampleValue, ExifTags.Base.SMaxSampleValue)
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
    """Whether a path is a file, not hidden, with the suffix of a picture, even of a format that cannot be read.

    A link that leads nowhere is one too, so that its name is in the message of whoever reads it.
    """
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and _is_file(path)


def _is_file(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())


def pictures_in(folder: Path) -> list[Path]:
    """Return the paths of the pictures in a folder, not in its subfolders, sorted by name; may be empty."""
    return sorted(path for path in folder.iterdir() if is_picture(path))


def find_pictures(folder: Path) -> list[Path]:
    """Return the paths of all pictures in a folder and its subfolders, except hidden and system folders, sorted.

    Raises:
        InputError: `folder` is not a folder, has no picture, or a folder in it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder of pictures, got {_what(folder)}")
    found = [path for path in files_below(folder, strict=True) if is_picture(path)]
    if not found:
        raise InputError(f"{folder}: expected at least one picture ({', '.join(READ_SUFFIXES)}), got none")
    return found


def passed_over(folder: Path, below: bool = True, known: Collection[Path] = ()) -> str | None:
    """Return a note for the user on what a folder holds beside its pictures; None if there is nothing.

    Args:
        folder: a folder that exists.
        below: whether pictures in subfolders are read, and the other files there count too.
        known: files that the note leaves out, such as a metadata file that was read, and subfolders, such as that of
            the results.
    """
    known = set(known)
    paths = (
        files_below(folder) if below else sorted(each for each in folder.iterdir() if not _is_left_by_a_system(each))
    )
    others = [path for path in paths if _is_file(path) and not is_picture(path) and path not in known]
    counts = Counter(path.suffix.lower() or "no suffix" for path in others)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    places = () if below else (path for path in paths if path.is_dir() and path not in known)
    deeper = [path for place in places for path in _children(place) if is_picture(path)]
    kinds_of = ((others, "file", f" without the suffix of a picture: {kinds}"), (deeper, "picture", " in subfolders"))
    said = [
        f"{counted(len(some), what)}{more} (first: {some[0].relative_to(folder).as_posix()})"
        for some, what, more in kinds_of
        if some
    ]
    return f"{folder}: passed over {'; '.join(said)}" if said else None


def _children(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted; nothing if it is a system's, or cannot be read."""
    try:
        return [] if folder.name.lower() in SYSTEM_FOLDERS else sorted(folder.iterdir())
    except OSError:
        return []


def empty_folders(folder: Path) -> list[Path]:
    """Return the folders below a folder, sorted, in which and below which there is no file but system files."""
    paths = files_below(folder)
    holding = {folder, *(parent for path in paths if _is_file(path) for parent in path.parents)}
    return [path for path in paths if path.is_dir() and path not in holding and path.parent in holding]


def files_below(folder: Path, pattern: str = "*", strict: bool = False) -> list[Path]:
    """Return the paths of files and folders below a folder, sorted, except hidden ones and system files (Thumbs.db).

    Links to folders are followed, but not those to a folder that the link itself lies in, and not more than MOST_LINKS
    of them, one below the other.

    Args:
        folder: the folder; if it does not exist, no paths are returned.
        pattern: pattern of the file names, such as `*.json`; upper and lower case are the same.
        strict: whether a folder that cannot be read is an error; otherwise it is left out.

    Raises:
        InputError: a folder cannot be read, with `strict`.
    """
    wanted = re.compile(fnmatch.translate(pattern), re.IGNORECASE)
    found = _walked(folder, (os.path.realpath(folder),), MOST_LINKS, strict) if folder.is_dir() else ()
    return sorted(path for path in found if wanted.match(path.name))


def _walked(folder: Path, chain: tuple[str, ...], links: int, strict: bool) -> Iterator[Path]:
    """Yield what lies below a folder.

    `chain`: real paths from the first folder to this one; `links`: how many links may still be followed.
    """
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except FileNotFoundError:
        return  # removed meanwhile, as in a watched folder
    except OSError as error:
        if strict:
            raise InputError(f"{folder}: expected a folder that can be read, got: {error.strerror}") from None
        return
    for entry in found:
        path = folder / entry.name
        if _is_left_by_a_system(path):
            continue
        if not path.is_dir():
            yield path
        elif entry.name.lower() not in SYSTEM_FOLDERS:
            linked = entry.is_symlink()
            real = os.path.realpath(path) if linked else os.path.join(chain[-1], entry.name)
            if linked and (links == 0 or real in chain or chain[0].startswith(os.path.join(real, ""))):
                continue
            yield path
            yield from _walked(path, (*chain, real), links - linked, strict)


def _is_left_by_a_system(path: Path) -> bool:
    return path.name.startswith((".", "~$")) or path.name.lower() in SYSTEM_FILES


def open_picture(source: Path | bytes, name: str) -> Image.Image:
    """Open a picture as datasets, inspections and networks get it: upright, 8 bits, mode RGB or L (grey).

    Args:
        source: a file or its bytes.
        name: name of the picture in messages.

    Raises:
        InputError: the file is missing or damaged, is not a picture, holds several pictures, or is a 16-bit picture
            that would be nearly black with 8 bits.
    """
    return eight_bit(with_white(open_upright(source, name), name))


def open_upright(source: Path | bytes, name: str) -> Image.Image:
    """Open a picture upright, with its bit depth and transparency: mode RGB, RGBA, L (8-bit grey) or I;16.

    Args:
        source: a file or its bytes.
        name: name of the picture in messages.

    Raises:
        InputError: the file is missing, damaged, not a picture, holds several pictures, has grey values below 0
            or above white, or has 16-bit colours or floats that would be nearly black with 8 bits.
    """
    return plain(upright(decoded(source, name)), name)


def decoded(source: Path | bytes, name: str) -> Image.Image:
    """Decode a picture completely, without converting or turning it.

    Args:
        source: a file or its bytes.
        name: name of the picture in messages.

    Raises:
        InputError: the file is missing, empty or truncated, is not a picture or has a format that is not supported,
            holds several pictures, or has 16-bit colours that would be nearly black with 8 bits.
    """
    suffix = (Path(name) if isinstance(source, bytes) else source).suffix.lower()
    content = b""
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        picture = _loaded(content, suffix, name)
    except InputError:
        raise
    except Exception as error:  # Pillow may raise anything for a damaged file
        reason = getattr(error, "strerror", None) or str(error).replace("<_io.BytesIO object at", "<file")
        if isinstance(error, UnidentifiedImageError):
            reason = _unread_format(content, suffix)
        raise InputError(f"{name}: expected a picture that can be decoded, got: {reason}") from None
    if min(picture.size) < 1:
        raise InputError(f"{name}: expected at least 1 x 1 px, got {picture.width} x {picture.height}")
    return picture


def _loaded(content: bytes, suffix: str, name: str) -> Image.Image:
    """Decode bytes; grey whose white is declared gets it as `info["white"]`."""
    if not content:
        raise InputError(f"{name}: expected a picture, got an empty file")
    picture = Image.open(io.BytesIO(content))
    # A camera's raw file would open as the preview in it.
    if suffix in UNREAD_SUFFIXES and picture.format not in ("JPEG", "PNG", "MPO"):
        raise UnidentifiedImageError
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":  # a camera's MPO holds one photo and its preview
        raise InputError(f"{name}: expected one picture, got {frames} in one file")
    is_deep = _is_deep_colour(picture)
    picture.load()
    if is_deep:  # Pillow keeps the high byte of 16-bit colours
        _check_white(np.asarray(picture.convert("RGB")).max(2) * 257.0, name, is_colour=True)
    if picture.mode in _DEEP_GREY and isinstance(picture, TiffImagePlugin.TiffImageFile):
        if picture.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == 0:  # Pillow inverts it for 8 bits only
            raise InputError(f"{name}: expected black as the value 0, got a TIFF with white as 0: invert it")
        if (white := _declared_white(picture)) is not None:
            picture.info["white"] = white
    return picture


def _unread_format(content: bytes, suffix: str) -> str:
    if content[4:8] == b"ftyp":
        return f"HEIC or AVIF, which the installed Pillow cannot read: {CONVERT}"
    if suffix in UNREAD_SUFFIXES:
        return f"a {suffix} file, a format that is not supported: {CONVERT}"
    return "a file of no known picture format"


def _is_deep_colour(picture: ImageFile.ImageFile) -> bool:
    """Whether an RGB or RGBA file that is not loaded yet stores 16 bits per colour."""
    if picture.mode not in ("RGB", "RGBA"):
        return False
    arguments = [tile.args if isinstance(tile.args, tuple) else (tile.args,) for tile in picture.tile]
    if picture.format == "PPM":
        return any(isinstance(value, int) and value > 255 for own in arguments for value in own)
    return any(isinstance(value, str) and ";16" in value for own in arguments for value in own)


def _declared_white(picture: TiffImagePlugin.TiffImageFile) -> int | None:
    """Return the value of white that the tags of a TIFF with grey deeper than 8 bits declare; None without such a tag.

    A tag of the largest value counts only if that is the largest of a depth in bits: else it is this picture's.
    """
    declared = {tag: picture.tag_v2.get(tag) for tag in _WHITE_TAGS}
    values = {tag: value[0] if isinstance(value, tuple) else value for tag, value in declared.items()}
    bits = values.pop(ExifTags.Base.BitsPerSample)
    if isinstance(bits, int) and 8 < bits < 16:
        return (1 << bits) - 1
    return next((white for white in _WHITES for value in values.values() if value == white), None)


def upright(picture: Image.Image) -> Image.Image:
    """Turn a decoded picture upright by its EXIF orientation; without a readable orientation it is unchanged.

    Pillow's `exif_transpose` is not used: it also rewrites the EXIF data, which fails if other data in it are damaged.
    """
    try:
        turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data may raise anything
        turn = None
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    for name in _WITH_ORIENTATION:  # the tag is removed, or the picture would be turned again
        turned.info.pop(name, None)
    return turned


def plain(picture: Image.Image, name: str) -> Image.Image:
    """Convert a decoded picture to mode RGB, RGBA, L or I;16, without turning it; messages call it `name`.

    16-bit grey from a TIFF that declares the value of white (`info["white"]`) is scaled to 0 to 65535.

    Raises:
        InputError: a grey value is below 0 or above white, which is 65535 if the file does not declare it, or a
            picture of floats would be nearly black.
    """
    declared = picture.info.get("white")
    if picture.mode in ("RGB", "RGBA", "L") or (picture.mode == "I;16" and declared is None):
        return picture
    if picture.mode in _DEEP_GREY:
        white = declared or (picture.mode == "F" and _given_white()) or 65535
        values = np.asarray(picture).astype(np.float64)
        if not np.isfinite(values).all() or values.min() < 0 or values.max() > white:
            found = f"{values.min():g} to {values.max():g}"
            raise InputError(f"{name}: expected grey values of 0 to {white}, got {found}")
        if picture.mode == "F" and declared is None and _given_white() is None:
            _check_white(values, name)  # rounding values of 0 to 1 would leave only black and white
        deep = Image.fromarray((values * (65535 / white)).round().astype(np.uint16))
        deep.info |= {"white": white} if declared is not None or white != 65535 else {}
        return deep
    if picture.mode == "1":
        return picture.convert("L")
    has_alpha = picture.mode in ("LA", "PA", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def with_white(picture: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit grey so that white is 65535; other modes stay unchanged; `name`: the picture's name in messages.

    The environment variable PINSIGHT_WHITE states the value of white where the file does not. If neither does, a
    picture with small values only is refused: with 8 bits it would be nearly black. Such a file often holds the values
    of a camera of 10 to 14 bits, and one picture does not show how many bits they are.

    Raises:
        InputError: the brightest value, hot pixels left out, is below LEAST_DEEP_WHITE or above the stated white.
    """
    if picture.mode != "I;16" or "white" in picture.info:
        return picture
    values = np.asarray(picture)
    if (white := _given_white()) is None:
        _check_white(values, name)
        return picture
    if (brightest := _brightest(values)) > white:
        stated = f"the value of the environment variable {WHITE}"
        raise InputError(f"{name}: expected grey values of 0 to {white}, {stated}, got {brightest:g}")
    return Image.fromarray((np.minimum(values, white) * (65535 / white)).round().astype(np.uint16))


def _given_white() -> int | None:
    text = os.environ.get(WHITE, "")
    if text and not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise InputError(f"{WHITE}: expected the value of white in 16-bit grey, 1 to 65535, got {text!r}")
    return int(text) if text else None


def eight_bit(picture: Image.Image) -> Image.Image:
    """Convert a picture to 8-bit RGB or L, as a dataset holds it: 16-bit grey is scaled, transparency dropped."""
    if picture.mode == "I;16":
        grey = np.asarray(picture).astype(np.float64) / 257.0
        return Image.fromarray(grey.round().astype(np.uint8))
    return picture if picture.mode in ("RGB", "L") else picture.convert("RGB")


def pixels_sha256(picture: Image.Image) -> str:
    """Return the SHA-256, in hex, of a picture's size and pixels; a grey picture has that of the same picture in RGB.

    Copies have it in common, whatever format or name their files have.
    """
    pixels = picture if picture.mode == "RGB" else picture.convert("RGB")
    return hashlib.sha256(repr(pixels.size).encode() + pixels.tobytes()).hexdigest()


def _brightest(values: np.ndarray) -> float:
    """Return the brightest value but for hot pixels: one pixel in 10,000, and at least three of a picture."""
    hot = max(values.size // 10_000, min(3, values.size // 64))
    return float(np.partition(values, values.size - 1 - hot, axis=None)[values.size - 1 - hot])


def _check_white(values: np.ndarray, name: str, is_colour: bool = False) -> None:
    if (brightest := _brightest(values)) < LEAST_DEEP_WHITE and _given_white() != 65535:
        # Of colours only the high byte is known (of PPM rounded), so values may be larger, and white cannot be stated.
        largest = brightest // 257 * 256 + 255 if is_colour else brightest
        most, depth = next((most, depth) for most, depth in _DEPTHS.items() if min(largest, max(_DEPTHS)) <= most)
        white = "to 65535" if is_colour else f"to the value of white ({most}; or 65535"
        raise InputError(
            f"{name}: expected a 16-bit picture whose brightest value is at least {LEAST_DEEP_WHITE}, got "
            f"{brightest:g}, which looks like {depth}: multiply all pictures by 65535 / {most}, or save them with 8 "
            f"bits, or set the environment variable {WHITE} {white} if white is 65535 and the pictures are merely dark"
            f"{'' if is_colour else ')'}"
        )


def _what(path: Path) -> str:
    return "a file" if path.exists() else "no such folder"
