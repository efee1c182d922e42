"""Read the file of a unit space, and check all its arrays and settings, so that no damaged file judges a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.errors import shown
from generator.soart.evidence import Evidence
from generator.soart.limits import ScoreLimit

ARRAYS = ("header", "reference", "mean", "precision", "scores", "members")
EXPECTED = "a unit space (statistics of OK pictures) that `generator inspect --save` or SoartC.save wrote"
FEWEST_MEMBERS = 3
# Keys of a model's notes: address and box of each pin, and how far, px, pins may shift in a picture; this is 0 if
# pictures are not aligned on pins, and missing in files of older versions.
POSITIONS, PIN_SHIFT = "positions", "pin_shift"
# Key of the pins that would not be missed (`addresses`), and the two limits with which they were sought (`limits`);
# missing in files of older versions, and if they were not sought before saving.
UNNOTICED_PINS = "unnoticed"
# Beyond this, anomaly degrees in float32 may be infinite or not a number.
LARGEST = 1e15


def read_saved(path: Path, schema: int, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the header and the arrays of a file that `SoartC.save` wrote.

    Args:
        path: the file.
        schema: version of the file format.
        settings: default of each setting by name; the file must have settings of the same names and types.

    Returns:
        The header (settings, threshold and notes), and the arrays by name.

    Raises:
        ValueError: the file is damaged, of another kind, or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        header = json.loads(data["header"].tobytes())
        version = header["schema"]
    except Exception as error:  # a damaged archive may raise anything
        got = f"no array {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{path}: expected {EXPECTED}, got {got}") from error
    if version != schema:
        raise ValueError(f"{path}: expected {EXPECTED}, of schema {schema}, got {version!r}: make a new one")
    problem = next((text for text in (*_header_problems(header, settings), *_array_problems(data)) if text), None)
    if problem:
        raise ValueError(f"{path}: expected {EXPECTED}, got {problem}")
    return header, data


def _header_problems(header: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    given, limit, notes = (header.get(name) for name in ("settings", "threshold", "notes"))
    if not isinstance(given, dict) or set(given) != set(settings):
        return [f"wrong settings: {shown(given)}"]
    if given["reference"] not in ("golden", "self"):
        return [f"a wrong setting: reference = {shown(given['reference'])}"]
    found = [
        f"a wrong setting: {name} = {shown(given[name])}"
        for name, default in settings.items()
        if not _fits(given[name], default)
    ]
    if not isinstance(limit, dict) or not isinstance(notes, dict):
        return [*found, f"a header with damaged threshold or notes: {shown(limit)}, {shown(notes)}"]
    numbers = [limit.get(each.name, 1) for each in fields(ScoreLimit) if each.name != "interval"]
    interval = limit.get("interval")
    numbers += interval if isinstance(interval, list) and len(interval) == 2 else [None]
    is_known = set(limit) <= {each.name for each in fields(ScoreLimit)}
    if not is_known or {"value", "rate", "count", "above"} - set(limit) or not all(map(_is_number, numbers)):
        found.append(f"a header with a damaged threshold: {shown(limit)}")
    evidence = header.get("evidence", {})  # missing in files of older versions
    names = {each.name for each in fields(Evidence)}
    if (
        not isinstance(evidence, dict)
        or set(evidence) not in (set(), names)
        or not all(map(_is_number, evidence.values()))
    ):
        found.append(f"a header with damaged limits of evidence: {shown(evidence)}")
    positions, shift = notes.get(POSITIONS, []), notes.get(PIN_SHIFT, 0)
    if not isinstance(positions, list) or not all(map(_is_position, positions)):
        found.append(f"a header with damaged positions of pins: {shown(positions)}")
    if not _is_number(shift) or shift < 0:
        found.append(f"a header with a damaged shift of pins: {shown(shift)}")
    if UNNOTICED_PINS in notes and not _is_unnoticed(notes[UNNOTICED_PINS], positions):
        found.append(f"a header with damaged pins that would not be missed: {shown(notes[UNNOTICED_PINS])}")
    return found


def _array_problems(data: Mapping[str, np.ndarray]) -> list[str]:
    if missing := [name for name in ARRAYS if name not in data]:
        return [f"no array {missing[0]}"]
    numeric = [name for name in ARRAYS if name != "header"]
    if wrong := [name for name in numeric if data[name].dtype.kind not in "fu" or not np.isfinite(data[name]).all()]:
        return [f"an array {wrong[0]} with values that are not finite numbers"]
    reference, mean, members = data["reference"], data["mean"], data["members"]
    if reference.ndim not in (2, 3) or mean.ndim != 3 or not (reference.size and mean.size):
        return [f"arrays of wrong shapes: reference {reference.shape}, mean {mean.shape}"]
    maps = 3 * (reference.shape[2] if reference.ndim == 3 else 1)
    shapes = {
        "mean": (maps, *mean.shape[1:]),
        "precision": (maps * (maps + 1) // 2, *mean.shape[1:]),
        "members": (len(members) if members.ndim else 0, *reference.shape),
        "scores": (len(members) if members.ndim else 0,),
    }
    if wrong := [name for name, shape in shapes.items() if data[name].shape != shape]:
        return [f"an array {wrong[0]} of shape {data[wrong[0]].shape}, not {shapes[wrong[0]]}"]
    core, gates = data.get("core"), data.get("extra_gates")  # missing in files of older versions
    if core is not None and (core.dtype != bool or core.shape != reference.shape[:2]):
        return [f"an array core of wrong shape {core.shape} or type {core.dtype}"]
    if gates is not None and (gates.dtype != np.uint8 or gates.ndim != 1):
        return [f"an array extra_gates of wrong shape {gates.shape} or type {gates.dtype}"]
    if members.dtype not in (np.uint8, np.uint16) or len(members) < FEWEST_MEMBERS:  # uint8: of older versions
        return [f"an array members of {len(members)} pictures of type {members.dtype}, not {FEWEST_MEMBERS} of uint16"]
    rows, columns = np.triu_indices(maps)
    diagonal = data["precision"][rows == columns]
    if reference.min() < 0 or reference.max() > 1 or data["scores"].min() < 0 or diagonal.min() <= 0:
        return ["an array reference, scores or precision with values out of range"]
    if wrong := [name for name in ("mean", "precision") if np.abs(data[name]).max() > LARGEST]:
        return [f"an array {wrong[0]} with values above {LARGEST:g}"]
    return []


def _fits(value: Any, default: Any) -> bool:
    """Whether a setting's value has the type of its default; a number is finite, and a whole one not below 0."""
    if isinstance(default, bool | str):
        return type(value) is type(default)
    return _is_number(value) and (isinstance(default, float) or (type(value) is int and 0 <= value < 2**31))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)


def _is_position(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 5 and isinstance(value[0], str) and all(map(_is_number, value[1:]))


def _is_unnoticed(value: Any, positions: Any) -> bool:
    """Whether these are the number of a rule, two limits, and addresses of some of the pins."""
    if not isinstance(value, dict) or set(value) != {"method", "limits", "addresses"}:
        return False
    limits, addresses = value["limits"], value["addresses"]
    is_limits = isinstance(limits, list) and len(limits) == 2 and all(map(_is_number, limits))
    named = [one[0] for one in positions if _is_position(one)] if isinstance(positions, list) else []
    is_list = type(value["method"]) is int and isinstance(addresses, list)
    return is_limits and is_list and all(address in named for address in addresses)
