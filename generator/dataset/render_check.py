"""What can be wrong with a rendered row: its record, the bytes of its picture and of its mask."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.manifest.reader import Run
from generator.dataset.labels import GONE_PIECES
from generator.io.pictures import decoded

# The mask's boxes are rounded to a millionth of a pixel.
_ROUNDING_PX = 1e-3


def shown_path(path: Path) -> str:
    """A file inside of the rendered folder, as a message names it."""
    return f"{path.parent.name}/{path.name}"


def differences(record: Mapping[str, Any], run: Run, manifest: str, path: Path) -> list[str]:
    """How the row in a record differs from the row in its manifest."""
    expected, got = run.row(), dict(record["row"])
    problems = [
        f"{shown_path(path)}: expected {name} {expected.get(name)!r} as in {manifest}, got {got.get(name)!r}: "
        "render again"
        for name in [*expected, *(name for name in got if name not in expected)]
        if expected.get(name) != got.get(name)
    ]
    if record["run"] != run.run:
        problems.append(f"{shown_path(path)}: expected the record of run {run.run}, got that of {record['run']!r}")
    return problems


def box_problems(record: Mapping[str, Any], path: Path) -> list[str]:
    """Boxes that no picture can hold: what is seen of an object is seen inside of the picture."""
    problems = []
    for each in (*record["positions"], *record["other"]):
        where = f"{shown_path(path)}: {each.get('address') or each['kind']}"
        if not isinstance(each["boxes"], dict):
            problems.append(f"{where}: expected boxes as an object, got {shown(each['boxes'])}")
            continue
        size = record["width"], record["height"]
        for name, box in each["boxes"].items():
            inside = name == "visible" and each["kind"] not in GONE_PIECES
            if box is not None and (expected := _box_problem(box, size if inside else None)):
                problems.append(f"{where}: expected the {name} box {expected}, got {box}")
    return problems


def _box_problem(box: Sequence[float], size: tuple[int, int] | None) -> str:
    """What was expected of a box; empty where it is as expected. `size`: of the picture that it has to be inside of."""
    if len(box) != 4 or not all(math.isfinite(edge) for edge in box):
        return "as four numbers"
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return "with x1 <= x2 and y1 <= y2"
    if size is None or (min(x1, y1) >= -_ROUNDING_PX and max(x2 - size[0], y2 - size[1]) <= _ROUNDING_PX):
        return ""
    return f"inside of {size[0]} x {size[1]} px"


def number_problems(record: Mapping[str, Any], path: Path) -> list[str]:
    """Positions that are not counted from 1, as the mask counts them, and numbers that measure nothing."""
    indices = [position["index"] for position in record["positions"]]
    if not indices or indices != list(range(1, len(indices) + 1)):
        return [f"{shown_path(path)}: expected positions with the indices 1, 2, …, got {shown(indices)}"]
    return [
        f"{shown_path(path)}: expected {name} as a finite number, got {value}"
        for name, value in _not_finite(record, "")
    ]


def _not_finite(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float) and not math.isfinite(value):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _not_finite(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_finite(item, f"{name}[{number}]")


def read_picture(directory: Path, run: str, sha256: str, size: tuple[int, int] | None) -> tuple[bytes, Image.Image]:
    """A picture's bytes and pixels, checked against its record.

    Args:
        directory: that was rendered into.
        run: its row's.
        sha256: that its record says.
        size: (W, H) px that its record says; None where that was checked before.

    Raises:
        InputError: it is not there, was changed, or cannot be decoded.
    """
    path = directory / "images" / f"{run}.png"
    content = _read_whole(path, f"the picture of run {run}", sha256)
    picture = decoded(content, shown_path(path))
    if size is not None and picture.size != size:
        raise InputError(f"{shown_path(path)}: expected {size[0]} x {size[1]} px, got {picture.size}")
    if picture.mode not in ("RGB", "L"):
        raise InputError(f"{shown_path(path)}: expected 8-bit RGB or grey, got Pillow mode {picture.mode}")
    return content, picture


def read_mask(directory: Path, run: str, sha256: str) -> bytes:
    """A mask's bytes, checked against its record."""
    return _read_whole(directory / "masks" / f"{run}.png", f"the mask of run {run}", sha256)


def _read_whole(path: Path, what: str, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{shown_path(path)}: expected {what}, got nothing") from None
    except OSError as error:
        raise InputError(f"{shown_path(path)}: expected {what}, got: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{shown_path(path)}: expected the bytes that were rendered (SHA-256 {sha256[:12]}…), "
            f"got {digest[:12]}… ({len(content)} bytes)"
        )
    return content
