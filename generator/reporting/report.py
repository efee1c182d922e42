"""A dataset on one page: `python -m generator report DATASET -o report.html`.

Counts per split and factor, measures against the tolerance, where the defects sit, and contact sheets with boxes,
in one file that needs nothing else and no network.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.record import read_record
from generator.dataset.card_header import read_settings
from generator.dataset.folder import CARD, dataset_columns, read_rows, split_files
from generator.dataset.labels import OK
from generator.dataset.rows import PICTURES
from generator.io.output_file import check_file
from generator.reporting.page import make_page

FACTORS = ("camera", "lighting", "housing", "terminal", "marking", "scene")
MEASURES = ("true_position_mm", "retraction_mm")
# A column of the user's own with more levels than this is a number or a note, not a factor to tabulate.
MOST_LEVELS = 24
_ADDRESS = re.compile(r"r(\d+)c(\d+)")


@dataclass(frozen=True)
class Sample:
    """A picture of a contact sheet: its row without pictures, and the bytes of the two pictures and of the mask."""

    row: Mapping[str, Any]
    image: bytes
    nsoart: bytes
    mask: bytes | None = None


@dataclass
class Overview:
    """What the page shows.

    Attributes:
        by_split: pictures by split and class.
        verdicts: pictures by split and verdict.
        factors: pictures by factor, level and class. A picture with two kinds of defect counts under both.
        level_splits: the splits in which a factor's level occurs.
        measures: every pin's value by measure (mm; `tilt_deg` where the renders are there; `visible` as a share;
            `box_px`, the root of the box's area), scene and class of the pin.
        unmeasured: pins without a measure (missing), by class.
        places: defective pins by scene, split and (row, position).
        extents: largest row and position of a scene.
        samples: contact sheet of each class.
        settings: what the build wrote into the card: tolerance by scene, renderer, Blender.
    """

    name: str
    classes: list[str]
    settings: dict[str, Any]
    by_split: dict[str, Counter[str]] = field(default_factory=dict)
    verdicts: dict[str, Counter[str]] = field(default_factory=dict)
    factors: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    level_splits: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    measures: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    unmeasured: Counter[str] = field(default_factory=Counter)
    places: dict[str, dict[str, Counter[tuple[int, int]]]] = field(default_factory=dict)
    extents: dict[str, tuple[int, int]] = field(default_factory=dict)
    grey: int = 0
    hidden: int = 0
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(sum(counts.values()) for counts in self.by_split.values())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder that build made")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="HTML", help="the page to write")
    parser.add_argument(
        "--per-class", type=int, default=40, metavar="N", help="pictures of each class to show (default 40)"
    )
    parser.add_argument(
        "--renders",
        type=Path,
        metavar="DIR",
        help="folder that the dataset was built from: shows masks and tilts too",
    )


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    if not 0 <= args.per_class <= 200:
        raise InputError(f"--per-class: expected 0 to 200, got {args.per_class}")
    check_file(args.output, "-o", (".html", ".htm"))
    if args.renders is not None and not (args.renders / "records").is_dir():
        raise InputError(f"--renders {args.renders}: expected a folder that was rendered into, got none")
    page = make_page(overview(args.dataset, args.per_class, args.renders))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = args.output.with_name(f".{args.output.name}.building")
    unfinished.write_text(page, encoding="utf-8")
    unfinished.replace(args.output)
    sys.stdout.write(f"{args.output} ({len(page.encode()) / 1e6:.1f} MB)\n")
    return 0


def overview(dataset: Path, per_class: int, renders: Path | None = None) -> Overview:
    """Read what the page shows out of a dataset folder.

    Args:
        dataset: made by build.
        per_class: most pictures in the contact sheet of a class.
        renders: the folder that it was built from, for masks and tilts; None: without.

    Raises:
        InputError: the folder holds no dataset of ours.
    """
    columns, *_ = dataset_columns(dataset)
    splits = split_files(dataset)
    shown = Overview(dataset.resolve().name, list(columns["label"].names), _settings(dataset))
    light = [name for name in columns if name not in PICTURES]
    extras = light[light.index("samples") + 1 :]
    candidates: dict[str, list[tuple[str, int, tuple[Any, ...]]]] = defaultdict(list)
    for split, paths in splits.items():
        for number, row in enumerate(read_rows(paths, light)):
            _take(shown, split, row, extras)
            if renders is not None:
                _take_tilts(shown, row, renders)
            candidates[shown.classes[row["label"]]].append((split, number, _stratum(row)))
    for name in map(_title, extras):
        if not 1 < len(shown.factors[name]) <= MOST_LEVELS:
            del shown.factors[name]
    chosen = {name: _spread(candidates[name], per_class) for name in shown.classes}
    _read_samples(shown, splits, chosen, renders)
    return shown


def _settings(dataset: Path) -> dict[str, Any]:
    try:
        return read_settings((dataset / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # downloaded without its card: the page then has no tolerance to draw


def _take(shown: Overview, split: str, row: Mapping[str, Any], extras: Sequence[str]) -> None:
    label = shown.classes[row["label"]]
    shown.by_split.setdefault(split, Counter())[label] += 1
    shown.verdicts.setdefault(split, Counter())["NG" if row["verdict"] else "OK"] += 1
    shown.grey += bool(row["grey"])
    shown.hidden += row["observable"] is False
    unknown = ["(unknown)"] if row["kinds"] is None else ["none"]
    levels = [("defect kind", kind) for kind in row["kinds"] or unknown]
    levels += [(name, _level(row[name])) for name in FACTORS]
    levels += [(_title(name), _level(row[name])) for name in extras]
    if "synthetic" in row:
        levels.append(("origin", "render" if row["synthetic"] else "photograph"))
    for factor, level in levels:
        shown.factors.setdefault(factor, {}).setdefault(level, Counter())[label] += 1
        known = shown.level_splits.setdefault((factor, level), [])
        if split not in known:
            known.append(split)
    scene, things = _level(row["scene"]), row["objects"]
    if things is None or things["address"] is None:
        return  # only the picture's class is known
    rows, positions = shown.extents.get(scene, (0, 0))
    places, bad = set(), set()
    for number, address in enumerate(things["address"]):
        category = shown.classes[things["category"][number]]
        for measure in MEASURES:
            value = things[measure][number]
            if value is not None:
                _measure(shown, measure, scene, category, value)
        if things["visible"][number] is not None:
            _measure(shown, "visible", scene, category, things["visible"][number])
        _measure(shown, "box_px", scene, category, things["area"][number] ** 0.5)
        if place := _ADDRESS.fullmatch(address or ""):
            at = int(place[1]), int(place[2])
            rows, positions = max(rows, at[0]), max(positions, at[1])
            if at not in places:  # what follows at the same place is no pin
                shown.unmeasured[category] += things["true_position_mm"][number] is None
            places.add(at)
            if category != OK:
                bad.add(at)
    if bad:
        shown.places.setdefault(scene, {}).setdefault(split, Counter()).update(bad)
    shown.extents[scene] = rows, positions


def _title(name: str) -> str:
    """What a column of the user's own is called where the page has a table of that name itself."""
    return f"{name} (own column)" if name in ("defect kind", "origin") else name


def _level(value: Any) -> str:
    return "(unknown)" if value is None else str(value) or "(empty)"


def _measure(shown: Overview, measure: str, scene: str, category: str, value: float) -> None:
    shown.measures.setdefault(measure, {}).setdefault(scene, {}).setdefault(category, []).append(value)


def _take_tilts(shown: Overview, row: Mapping[str, Any], renders: Path) -> None:
    """Tilts of a row's pins, from its record: a dataset has no column of them."""
    things = row["objects"]
    if things is None or not row.get("synthetic", True) or row.get("original"):
        return  # photographs and copies have no record
    # The first entry of an address is the pin's own, before a foreign body's.
    own: dict[str, int] = {}
    for number, address in enumerate(things["address"] or ()):
        own.setdefault(address, number)
    for position in _record(renders, row["run"])["positions"]:
        number = own.get(position["address"], -1)
        if number < 0:
            continue
        if not all(_is_same(position.get(name), things[name][number]) for name in MEASURES):
            raise _other_render(renders, row["run"])
        if position.get("tilt_deg") is not None:
            name = shown.classes[things["category"][number]]
            _measure(shown, "tilt_deg", row["scene"], name, position["tilt_deg"])


def _record(renders: Path, run: str) -> dict[str, Any]:
    return read_record(renders / "records" / f"{run}.json")


def _is_same(one: float | None, other: float | None) -> bool:
    """Whether a record's measure is a dataset's, mm; a record is rounded to a nanometre."""
    return one is other if one is None or other is None else abs(one - other) < 1e-5


def _other_render(renders: Path, run: str) -> InputError:
    return InputError(
        f"--renders {renders}: expected the folder that the dataset was built from, got another part or picture "
        f"of the name {run}"
    )


def _stratum(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Pictures that look alike at first sight: a contact sheet takes one of each before a second of any."""
    return (
        row["split"],
        *(row["kinds"] or ()),
        row["camera"],
        row["housing"],
        row["terminal"],
        row["lighting"],
    )


def _spread(candidates: Sequence[tuple[str, int, tuple[Any, ...]]], count: int) -> list[tuple[str, int]]:
    """A choice of rows that covers the strata, in turn and in order of the dataset."""
    seen: Counter[tuple[Any, ...]] = Counter()
    kind_seen: Counter[Any] = Counter()
    ranked = []
    for split, number, stratum in candidates:
        ranked.append((seen[stratum], kind_seen[stratum[:2]], len(ranked), split, number))
        seen[stratum] += 1
        kind_seen[stratum[:2]] += 1
    return [(split, number) for *_, split, number in sorted(ranked)[:count]]


def _read_samples(
    shown: Overview,
    splits: Mapping[str, Sequence[Path]],
    chosen: Mapping[str, Sequence[tuple[str, int]]],
    renders: Path | None,
) -> None:
    wanted: dict[str, set[int]] = defaultdict(set)
    for rows in chosen.values():
        for split, number in rows:
            wanted[split].add(number)
    found: dict[tuple[str, int], Sample] = {}
    for split, numbers in wanted.items():
        rows = read_rows(splits[split], only=numbers)
        for number, row in zip(sorted(numbers), rows, strict=True):
            pictures = row.pop("image")["bytes"], row.pop("nsoart")["bytes"]
            found[split, number] = Sample(row, *pictures, _mask(renders, row, pictures[0]))
    shown.samples = {name: [found[key] for key in keys] for name, keys in chosen.items()}


def _mask(renders: Path | None, row: Mapping[str, Any], image: bytes) -> bytes | None:
    """The mask of a picture that was rendered; photographs and copies have none."""
    if renders is None or not row.get("synthetic", True) or row.get("original"):
        return None
    mask = renders / "masks" / f"{row['run']}.png"
    if not mask.is_file():
        return None
    if _record(renders, row["run"])["image_sha256"] != hashlib.sha256(image).hexdigest():
        raise _other_render(renders, row["run"])
    return mask.read_bytes()
