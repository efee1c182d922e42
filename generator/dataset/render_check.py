"""Check a rendered row: its record, and the files of its picture and mask."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.manifest.reader import Run
from blender_scripts.manifest.record import row_of
from generator.io.pictures import decoded


def shown_path(path: Path) -> str:
    """Return the path of a file relative to the render folder, such as records/a.json, for messages."""
    return f"{path.parent.name}/{path.name}"


def differences(record: Mapping[str, Any], run: Run, manifest: str, path: Path) -> list[str]:
    """Compare the manifest row from which a picture was rendered with the row in the manifest now.

    Args:
        record: the renderer's JSON file on the picture; `row` is the manifest row.
        run: the row in the manifest now.
        manifest: file name of the manifest, for messages.
        path: path of the record.

    Returns:
        One message on each column that differs, and one if the run name does.
    """
    # Records of renderer 4 and older have no fixture: their seed was that of the placing too.
    expected, got = run.row(), {"fixture": record["row"].get("seed"), **row_of(record)}
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
    """Return a message on each invalid box in a record (the file `path`).

    Boxes may reach beyond the picture, as the camera can cut off pins.
    """
    problems = []
    for each in (*record["positions"], *record["other"]):
        where = f"{shown_path(path)}: {each.get('address') or each['kind']}"
        if not isinstance(each["boxes"], dict):
            problems.append(f"{where}: expected boxes as a JSON object, got {shown(each['boxes'])}")
            continue
        for name, box in each["boxes"].items():
            if box is not None and (expected := _box_problem(box)):
                problems.append(f"{where}: expected the box '{name}' {expected}, got {box}")
    return problems


def _box_problem(box: Sequence[float]) -> str:
    """Return what was expected of a box, "" if it is valid."""
    if len(box) != 4 or not all(math.isfinite(edge) for edge in box):
        return "as four finite numbers"
    x1, y1, x2, y2 = box
    return "with x1 <= x2 and y1 <= y2" if x2 < x1 or y2 < y1 else ""


def number_problems(record: Mapping[str, Any], path: Path) -> list[str]:
    """Return a message on each NaN or infinite value in a record (the file `path`), and on wrong `index` values.

    The `index` of a pin position, its pixel value in the instance mask, has to be 1, 2, 3, …
    """
    indices = [position["index"] for position in record["positions"]]
    if not indices or indices != list(range(1, len(indices) + 1)):
        return [f"{shown_path(path)}: expected positions with index 1, 2, 3, …, got {shown(indices)}"]
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
    """Read a picture, check it against its record, and return its bytes and its pixels.

    Args:
        directory: the render folder.
        run: run name of the picture: its name in the manifest.
        sha256: SHA-256 of the picture's file, from its record.
        size: (W, H) px in its record; None: not checked.

    Raises:
        InputError: the picture is missing, was changed, cannot be decoded, or has another size or mode.
    """
    path = directory / "images" / f"{run}.png"
    content = _read_checked(path, f"the picture of run {run}", sha256)
    picture = decoded(content, shown_path(path))
    if size is not None and picture.size != size:
        got = f"{picture.width} x {picture.height}"
        raise InputError(
            f"{shown_path(path)}: expected {size[0]} x {size[1]} px, as its record states, got {got}: delete the "
            "picture and render again"
        )
    if picture.mode not in ("RGB", "L"):
        raise InputError(f"{shown_path(path)}: expected 8-bit RGB or greyscale, got Pillow mode {picture.mode}")
    return content, picture


def read_mask(directory: Path, run: str, sha256: str) -> bytes:
    """Read the instance mask of a rendered picture and return its bytes.

    Args:
        directory: the render folder.
        run: run name of the picture: its name in the manifest.
        sha256: SHA-256 of the mask's file, from the picture's record.

    Raises:
        InputError: the mask is missing or was changed.
    """
    return _read_checked(directory / "masks" / f"{run}.png", f"the mask of run {run}", sha256)


def _read_checked(path: Path, what: str, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{shown_path(path)}: expected {what}, got no such file") from None
    except OSError as error:
        raise InputError(f"{shown_path(path)}: expected {what}, got: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{shown_path(path)}: expected the file as it was rendered (SHA-256 {sha256[:12]}…), "
            f"got a changed one ({digest[:12]}…, {len(content)} bytes): render again"
        )
    return content
