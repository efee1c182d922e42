"""The record: a JSON file with the ground truth of one picture, and the hash by which a row counts as finished.

Keys and units: docs/reference/records.md. Numbers are rounded to a nanometre or a millionth of a pixel,
so that the text is short and the same everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.world import SCENE, WIDE_VERSION
from blender_scripts.manifest.render_settings import CARDS, CPU, RenderSettings
from blender_scripts.manifest.run import PICTURE_COLUMNS, Run

SCHEMA = 1
RENDERER = "5"
# Part of the hash of rows of the world `scene` with motion blur: count it up when a change of `smear` changes them.
MOTION_VERSION = 2
_DECIMALS = 6
_KEYS: dict[str, type] = {
    "run": str,
    "row": dict,
    "row_sha256": str,
    "renderer": str,
    "blender": str,
    "image_sha256": str,
    "mask_sha256": str,
    "width": int,
    "height": int,
    "camera": dict,
    "tolerance": dict,
    "housing": dict,
    "positions": list,
    "other": list,
}
_JSON_NAMES: dict[type, str] = {str: "a text", int: "an integer", dict: "an object", list: "a list"}


def row_sha256(run: Run, connector: Connector, blender: str, settings: str) -> str:
    """SHA-256 (hex) of everything that a row's picture and ground truth depend on.

    Args:
        run: the row; its run name, split and the user's own columns are not hashed.
        connector: the row's scene; its tolerance, datum, description, comments, spaces and line breaks are not hashed,
            but the order of its keys and sections is.
        blender: version of Blender.
        settings: the text of the render settings that are not in the row (`RenderSettings.text`).
    """
    moves = connector.cameras[run.camera].motion_mm or connector.nuisance.motion_mm
    return _row_sha256(run.picture_columns(), connector.sha256, blender, settings, moves=bool(moves))


def made_with(record: dict[str, Any]) -> RenderSettings | None:
    """Return the render settings whose hash, with the other values of a record, is its `row_sha256`; None: unknown."""
    picture = {name: record["row"][name] for name in PICTURE_COLUMNS if name in record["row"]}
    for device in (CPU, *CARDS):
        for denoised in (True, False):
            extras = tuple(record.get("extras_sha256", ()))
            settings = RenderSettings(device, denoised, record.get("mask_scale", 0), extras)
            text = settings.text(record["width"], record["height"], picture["samples"])
            known = (record.get("scene_sha256", ""), record["blender"], text, record["renderer"])
            if record["row_sha256"] in (_row_sha256(picture, *known), _row_sha256(picture, *known, moves=True)):
                return settings
    return None


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a record, by column; older records have no column `world`: there was only `SCENE`."""
    return {"world": SCENE, **record["row"]}


def is_edited(record: dict[str, Any], run: Run, connector: Connector) -> bool:
    """Return whether a manifest row or its scene was edited since its record was made.

    Args:
        record: the record, from `read_record`. Of one by another version of the renderer nothing is known: False.
        run: the row as it is now; an edit of any column counts.
        connector: its scene as it is now; an edit of its tolerance, datum, description or comments does not count.
    """
    if record["renderer"] != RENDERER:
        return False
    return row_of(record) != run.row() or record.get("scene_sha256") != connector.sha256


def _row_sha256(
    picture: dict[str, str | int],
    scene: str,
    blender: str,
    settings: str,
    renderer: str = RENDERER,
    moves: bool = False,
) -> str:
    stated = dict(picture)
    if stated.get("fixture") == stated.get("seed"):
        stated.pop("fixture", None)  # rows that do not state it keep their hash
    if stated.get("world", SCENE) == SCENE:
        stated.pop("world", None)
    else:
        stated["world"] = f"{stated['world']} {WIDE_VERSION}"
    parts: dict[str, Any] = {
        "picture": stated,
        "scene": scene,
        "renderer": renderer,
        "blender": blender,
        "settings": settings,
    }
    if moves:
        parts["motion"] = MOTION_VERSION
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def difference(record: dict[str, Any], head: dict[str, Any]) -> str:
    """Describe in a phrase the first difference between a record and the one that its row would get now.

    Args:
        record: the record in the folder.
        head: the first keys of the record that the row would get now.
    """
    if record["renderer"] != head["renderer"]:
        return f"renderer version {shown(record['renderer'])}, now {shown(head['renderer'])}"
    before = row_of(record)
    if any(before.get(key) != head["row"][key] for key in PICTURE_COLUMNS):
        return "the manifest row was edited"
    if record.get("scene_sha256") != head["scene_sha256"]:
        return "the scene file was edited"
    for key, name in (("blender", "Blender"), ("mask_scale", "--mask-scale")):
        if record.get(key) != head[key]:
            return f"{name} {shown(record.get(key))}, now {shown(head[key])}"
    return "other render settings"


def encode_record(record: dict[str, Any]) -> bytes:
    """Convert a record to the bytes of its JSON file; the order of keys is kept, numbers are rounded."""
    return (json.dumps(_rounded(record), indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS) + 0.0
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def read_record(path: Path) -> dict[str, Any]:
    """Read a record from its JSON file.

    Raises:
        InputError: the file is missing, not JSON, or not a record of the current schema.
    """
    try:
        record = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path.name}: expected a readable record, got {error.strerror or error}") from None
    except ValueError as error:  # bad encoding, bad JSON, or an integer of thousands of digits
        raise InputError(f"{path.name}: expected a record of the renderer in JSON, got: {error}") from None
    except RecursionError:
        raise InputError(f"{path.name}: expected a record of the renderer in JSON, got JSON nested too deep") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = f"schema {shown(record.get('schema'))}" if isinstance(record, dict) else type(record).__name__
        raise InputError(f"{path.name}: expected a record of the renderer with schema {SCHEMA}, got {found}")
    missing = [key for key in _KEYS if key not in record]
    if missing:
        raise InputError(f"{path.name}: expected a record with the keys {', '.join(missing)}, got no such keys")
    for key, kind in _KEYS.items():
        if not isinstance(record[key], kind):
            expected = _JSON_NAMES[kind]
            raise InputError(f"{path.name}: expected {key} as {expected}, got {shown(record[key])}")
    return record
