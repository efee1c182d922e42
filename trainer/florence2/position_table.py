"""Where the pins of a view are: what `trainer.predict --positions` reads, so that a box gets its pin's address."""

import csv
import json
from pathlib import Path
from typing import Any

from trainer.core.errors import InputError
from trainer.florence2.truth import Pin

TABLE = ("address", "cavity", "x1", "y1", "x2", "y2")


def _pin(address: Any, cavity: Any, box: Any) -> Pin:
    """A pin of a table or a record.

    Raises:
        ValueError: The box is none, with what it is.
    """
    numbers = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)
    if not numbers or not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"{box!r}")
    if not (isinstance(address, str) and isinstance(cavity, str)):
        raise ValueError(f"address {address!r} and cavity {cavity!r}")
    return Pin(address, cavity, tuple(box), "")


def read_positions(path: Path) -> list[Pin]:
    """Positions of a view: a CSV with address, cavity, x1, y1, x2, y2 in px, or a record that the renderer wrote.

    Raises:
        InputError: Neither of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"--positions {path}: expected a CSV table or a record, got {e}") from e
    if path.suffix == ".json":
        try:
            return [
                _pin(p["address"], p["cavity"], p["boxes"]["expected"])
                for p in json.loads(text)["positions"]
                if p["boxes"]["expected"] is not None
            ]
        except (ValueError, KeyError, TypeError) as e:
            raise InputError(
                f"--positions {path}: expected a record with positions and boxes, x1 < x2 and y1 < y2 in px, got {e!r}"
            ) from e
    reader = csv.DictReader(text.splitlines())
    if missing := set(TABLE) - set(reader.fieldnames or ()):
        raise InputError(
            f"--positions {path}: expected the columns {', '.join(TABLE)}, got none named {', '.join(sorted(missing))}"
        )
    pins, problems = [], []
    for number, row in enumerate(reader, 2):
        try:
            pins.append(_pin(row["address"], row["cavity"], [float(row[name]) for name in TABLE[2:]]))
        except (TypeError, ValueError) as e:
            problems.append(f"--positions {path}:{number}: expected x1 < x2 and y1 < y2 in px, got {e}")
    if problems:
        raise InputError(problems)
    return pins
