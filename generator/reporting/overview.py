"""Read a dataset for its report: counts, measures, places of defects, and some pictures of each class."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.record import read_record
from generator.dataset.card_header import read_settings
from generator.dataset.folder import CARD, dataset_columns, read_rows, split_files
from generator.dataset.labels import OK
from generator.dataset.rows import PICTURES, ObjectRow, PictureRow, missing_columns, row_of
from generator.io.file_names import dataset_name

FACTORS = ("camera", "lighting", "housing", "terminal", "marking", "scene")
MEASURES = ("true_position_mm", "retraction_mm", "tilt_deg", "visible")
# A user's own column with more values than this is not tabulated: it holds numbers or notes, not a factor.
MOST_LEVELS = 24
_ADDRESS = re.compile(r"r(\d+)c(\d+)")


@dataclass(frozen=True)
class Sample:
    """A picture of a contact sheet: its row, and the bytes of its files picture, NSOART and mask (None: no mask)."""

    row: PictureRow
    image: bytes
    nsoart: bytes
    mask: bytes | None = None


@dataclass
class Overview:
    """What the page about a dataset shows: counts, measures and pictures. "By" names the keys, from outer to inner.

    Attributes:
        name: name of the dataset's folder.
        classes: names of the dataset's classes.
        settings: build settings from the dataset's card: tolerance by scene, versions of renderer and Blender.
        lacking: names of measures for which the dataset has no column, because an older version built it.
        by_split: number of pictures by split and class.
        verdicts: number of pictures by split and verdict.
        factors: number of pictures by factor (such as camera), level (a value of the factor) and class. A picture with
            two kinds of defect counts under both kinds.
        level_splits: names of the splits that contain a level, by (factor, level).
        measures: values of all pins by measure, scene and class of the pin: mm, but `tilt_deg` in degrees, `visible` as
            a share (0 to 1), and `box_px`, the square root of the box's area, in px.
        unmeasured: number of pins without measures (missing pins), by class.
        places: number of defective pins by scene, split and (row, position in the row), both counted from 1.
        extents: by scene, the largest number of rows and of positions in a row that occur.
        grey, hidden: number of pictures in the grey zone, and of NG pictures in which no defect is visible.
        samples: pictures of the contact sheet, by class.
    """

    name: str
    classes: list[str]
    settings: dict[str, Any]
    lacking: tuple[str, ...] = ()
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
        """Number of pictures in all splits."""
        return sum(sum(counts.values()) for counts in self.by_split.values())

    def take(self, split: str, row: PictureRow) -> None:
        """Count a picture of a split, with the pins and defects in it."""
        self.by_split.setdefault(split, Counter())[row.label] += 1
        self.verdicts.setdefault(split, Counter())[row.verdict] += 1
        self.grey += row.grey is True
        self.hidden += row.observable is False and row.label != OK
        for factor, level in _levels(row):
            self.factors.setdefault(factor, {}).setdefault(level, Counter())[row.label] += 1
            known = self.level_splits.setdefault((factor, level), [])
            if split not in known:
                known.append(split)
        if row.objects is not None:
            self._take_objects(split, level_of(row.manifest["scene"]), row.objects)

    def _take_objects(self, split: str, scene: str, objects: Sequence[ObjectRow]) -> None:
        rows, positions = self.extents.get(scene, (0, 0))
        bad = set()
        for each in objects:
            for measure in MEASURES:
                if (value := getattr(each, measure)) is not None:
                    self.measure(measure, scene, each.category, value)
            self.measure("box_px", scene, each.category, each.area**0.5)
            if each.is_position and each.true_position_mm is None:
                self.unmeasured[each.category] += 1
            if place := _ADDRESS.fullmatch(each.address or ""):
                at = int(place[1]), int(place[2])
                rows, positions = max(rows, at[0]), max(positions, at[1])
                if each.category != OK:
                    bad.add(at)
        if bad:
            self.places.setdefault(scene, {}).setdefault(split, Counter()).update(bad)
        self.extents[scene] = rows, positions

    def measure(self, measure: str, scene: str, category: str, value: float) -> None:
        """Add a pin's value of `measure`, such as `true_position_mm`, to `measures`; `category` is the pin's class."""
        self.measures.setdefault(measure, {}).setdefault(scene, {}).setdefault(category, []).append(value)


def overview(dataset: Path, per_class: int, renders: Path | None = None) -> Overview:
    """Read counts, measures and pictures for the page about a dataset from the dataset's folder.

    Args:
        dataset: folder of the dataset.
        per_class: largest number of pictures in the contact sheet of a class.
        renders: render folder from which the dataset was built, for masks, and for tilts if the dataset has no column
            of them; None: the page does not show what the dataset lacks.

    Raises:
        InputError: the folder is not a Pinsight dataset, or it was not built from `renders`.
    """
    columns, extras, *_ = dataset_columns(dataset)
    splits = split_files(dataset)
    missing = set(missing_columns(columns))
    data = Overview(dataset_name(dataset), list(columns["label"].names), _settings(dataset))
    data.lacking = tuple(name for name in MEASURES if f"objects.{name}" in missing)
    light = [name for name in columns if name not in PICTURES]
    candidates: dict[str, list[tuple[str, int, tuple[Any, ...]]]] = defaultdict(list)
    for split, paths in splits.items():
        for number, stored in enumerate(read_rows(paths, light)):
            row = row_of(stored, extras)
            data.take(split, row)
            if "tilt_deg" in data.lacking and renders is not None and _was_rendered(row):
                _take_tilts(data, row, renders)
            candidates[row.label].append((split, number, _stratum(row)))
    for name in map(_title, extras):
        if not 1 < len(data.factors[name]) <= MOST_LEVELS:
            del data.factors[name]
    if "synthetic" in missing:
        del data.factors["origin"]
    chosen = {name: spread(candidates[name], per_class) for name in data.classes}
    data.samples = _samples(splits, extras, chosen, renders)
    return data


def _settings(dataset: Path) -> dict[str, Any]:
    try:
        return read_settings((dataset / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # without a card, the page shows no tolerance


def _levels(row: PictureRow) -> Iterator[tuple[str, str]]:
    """Yield (factor, level) for all factors of a picture."""
    for kind in row.kinds or (["(unknown)"] if row.kinds is None else ["none"]):
        yield "defect kind", kind
    for name in FACTORS:
        yield name, level_of(row.manifest[name])
    for name, value in row.extras.items():
        yield _title(name), level_of(value)
    yield "origin", "render" if row.synthetic else "photograph"


def _title(name: str) -> str:
    """Return the title of a column that the user added, changed if the page has a table of the same name."""
    return f"{name} (own column)" if name in ("defect kind", "origin") else name


def level_of(value: object) -> str:
    """Return the text that the page shows for a value of a factor: (unknown) for None, (empty) for an empty text."""
    return "(unknown)" if value is None else str(value) or "(empty)"


def _was_rendered(row: PictureRow) -> bool:
    """Whether a row has a record: photographs and augmented copies have none."""
    return row.synthetic and not row.original


def _take_tilts(data: Overview, row: PictureRow, renders: Path) -> None:
    """Add the tilts of a row's pins from its record, for an older dataset without a column of them."""
    record = _record_of(row, renders)
    tilts = {position["index"]: position.get("tilt_deg") for position in record["positions"]}
    for each in row.objects or ():
        if (tilt := tilts.get(each.id)) is not None:
            data.measure("tilt_deg", level_of(row.manifest["scene"]), each.category, tilt)


def _record_of(row: PictureRow, renders: Path) -> dict[str, Any]:
    """Read the record of a row.

    Raises:
        InputError: the record is missing, or its measures differ from the dataset's.
    """
    run = row.manifest["run"]
    record = read_record(renders / "records" / f"{run}.json")
    measured = {position["index"]: position for position in record["positions"]}
    for each in row.objects or ():
        position = measured.get(each.id)
        if position is not None and not all(
            _is_same(position.get(name), getattr(each, name)) for name in ("true_position_mm", "retraction_mm")
        ):
            raise _other_render(renders, run)
    return record


def _is_same(one: float | None, other: float | None) -> bool:
    """Whether a record's measure equals a dataset's, mm; records are rounded to a nanometre."""
    return one is other if one is None or other is None else abs(one - other) < 1e-5


def _other_render(renders: Path, run: str) -> InputError:
    return InputError(
        f"--renders {renders}: expected the render folder from which the dataset was built, got one in which "
        f"picture {run}, or the measures of its part, differ from the dataset's"
    )


def _stratum(row: PictureRow) -> tuple[Any, ...]:
    """Return a row's stratum: split, kinds, camera, … A contact sheet shows each stratum once before any twice."""
    names = ("camera", "housing", "terminal", "lighting")
    return (row.manifest["split"], *(row.kinds or ()), *(row.manifest[name] for name in names))


def spread(candidates: Sequence[tuple[str, int, tuple[Any, ...]]], count: int) -> list[tuple[str, int]]:
    """Choose rows that differ as much as possible: one from each stratum, then a second from each, and so on.

    Args:
        candidates: for each row its split, its number in the split, and its stratum: a tuple with split, kinds of
            defect, camera and so on, which is equal for rows that are alike.
        count: largest number of rows to choose.

    Returns:
        Split and number of each chosen row, in the order of choice.
    """
    seen: Counter[tuple[Any, ...]] = Counter()
    kind_seen: Counter[Any] = Counter()
    ranked: list[tuple[int, int, int, str, int]] = []
    for split, number, stratum in candidates:
        ranked.append((seen[stratum], kind_seen[stratum[:2]], len(ranked), split, number))
        seen[stratum] += 1
        kind_seen[stratum[:2]] += 1
    return [(split, number) for *_, split, number in sorted(ranked)[:count]]


def _samples(
    splits: Mapping[str, Sequence[Path]],
    extras: Sequence[str],
    chosen: Mapping[str, Sequence[tuple[str, int]]],
    renders: Path | None,
) -> dict[str, list[Sample]]:
    wanted: dict[str, set[int]] = defaultdict(set)
    for split, number in (key for keys in chosen.values() for key in keys):
        wanted[split].add(number)
    found: dict[tuple[str, int], Sample] = {}
    for split, numbers in wanted.items():
        rows = read_rows(splits[split], only=numbers)
        for number, stored in zip(sorted(numbers), rows, strict=True):
            row, image = row_of(stored, extras), stored["image"]["bytes"]
            mask = (stored.get("mask") or {}).get("bytes")
            if mask is None and renders is not None and _was_rendered(row):
                mask = _mask(row, image, renders)
            found[split, number] = Sample(row, image, stored["nsoart"]["bytes"], mask)
    return {name: [found[key] for key in keys] for name, keys in chosen.items()}


def _mask(row: PictureRow, image: bytes, renders: Path) -> bytes | None:
    """Read the mask of a rendered picture from the render folder; None if it has none."""
    run = row.manifest["run"]
    path = renders / "masks" / f"{run}.png"
    if not path.is_file():
        return None
    if _record_of(row, renders)["image_sha256"] != hashlib.sha256(image).hexdigest():
        raise _other_render(renders, run)
    return path.read_bytes()
