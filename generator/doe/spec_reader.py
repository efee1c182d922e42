"""Read and check a SPEC, the TOML file of a design.

All mistakes are reported together, each as ``file.toml:LINE key: expected …, got …``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.toml_section import TomlSection
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, RESERVED
from generator.dataset.labels import CLASSES, OK, class_of_kind
from generator.doe.spec import (
    ALL,
    BLOCK,
    CAPTURE_FACTORS,
    HELD_OUT,
    KINDS_OF_DESIGN,
    LARGEST_NUMBER,
    MEASURED,
    NEEDED,
    PATTERN,
    PICTURE_FACTORS,
    POSITIONS,
    SAMPLED,
    TRAINING,
    Factor,
    KindSpec,
    Measurement,
    Range,
    Spec,
    SplitSpec,
)
from generator.doe.spec_defects import read_defects
from generator.doe.spec_measurement import read_measurement
from generator.doe.tables import TABLES

_TABLES = ("design", "factors", "positions", "defects", "classes", "measurement", "splits")
_KEYS = ("schema", "description", "name", "seed", "first_part", *_TABLES)
# Keys of [design] beside `kind`; which of them a SPEC may have depends on it.
_OF_KIND = ("table", "resolution", "generators", "inner", "outer", "noise")
_SPLIT = re.compile(r"train|validation|test|test_[A-Za-z0-9_]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")


def read_spec(path: Path) -> Spec:
    """Read and check a SPEC, the TOML file of a design.

    Raises:
        InputError: its message lists every mistake.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected the TOML file of a design (SPEC), got no such file")
    top = TomlSection.read(path)
    spec = _Reader(top, path).read()
    top.finish()
    return spec


class _Reader:
    """Reads the tables of one SPEC; its sections collect the mistakes."""

    def __init__(self, top: TomlSection, path: Path) -> None:
        self.top = top
        self.path = path
        # Columns of [factors] whose levels are wrong: other messages on them would mislead.
        self._wrong_columns: set[str] = set()
        # A table with a mistake in its name: messages on what it should have given would mislead.
        self._has_unknown = not set(top.data) <= set(_KEYS)
        self._lacks_held_out = False

    def read(self) -> Spec:
        """Read the whole SPEC; mistakes are noted in `self.top`, whose `finish` raises them."""
        top = self.top
        top.integer("schema", 1, 1)
        top.text("description", "")
        name = top.text("name", self.path.stem)
        if isinstance(top.data.get("name", ""), str) and not _NAME.fullmatch(name):
            top.wrong("name", "1 to 48 letters, digits, _ or -", shown(name))
        design = top.table("design")
        kind = design.choice("kind", KINDS_OF_DESIGN)
        if design.problems:  # which other keys belong to the kind is not known
            for key in _OF_KIND:
                design.value(key, "", ())
        factors = self._factors(top.table("factors"))
        for column in NEEDED:
            if column not in self._wrong_columns and not any(column in factor.columns for factor in factors):
                top.table("factors").wrong(column, "one or more levels of this column", "nothing")
                self._wrong_columns.add(column)
        positions = top.table("positions", optional=True)
        held_out = self._held_out(positions)
        # Read before any early return, so that these keys are never reported as unknown.
        defects_section = top.table("defects", optional=True)
        per_picture = defects_section.integer("per_picture", 1, 100, 1)
        inside = defects_section.number("inside_tolerance", 0.0, 1.0, 0.25)
        classes = self._classes(top.table("classes", optional=True), {OK: 1, "BENDNG": 1, "NUKENG": 1})
        measurement = self._measurement(factors)
        defects = read_defects(defects_section)
        splits = self._splits(kind, factors, classes, held_out is not None, per_picture)
        if measurement:
            defects, splits = {}, tuple(replace(split, classes={MEASURED: 1}) for split in splits)
        self._check_classes(splits, defects)
        return Spec(
            path=self.path,
            name=name,
            seed=top.integer("seed", 0, 2**31 - 1, 1),
            first_part=top.integer("first_part", 0, 2**62, 1),
            kind=kind,
            table=self._table(design, kind),
            resolution=design.integer("resolution", 3, 8, 3) if kind == "fractional" else None,
            generators=(design.text("generators", "") or None) if kind == "fractional" else None,
            inner=self._inner(design, kind, "inner", "orthogonal"),
            outer=self._inner(design, kind, "outer", "full"),
            noise=self._noise(design, kind, factors),
            held_out=held_out,
            defects=defects,
            inside_tolerance=inside,
            splits=splits,
            measurement=measurement,
            places=self._places(),
        )

    def _measurement(self, factors: tuple[Factor, ...]) -> Measurement | None:
        """Read [measurement]; without this table None. It replaces the tables and keys of classes and defects."""
        section = self.top.table("measurement", optional=True)
        if "measurement" not in self.top.data:
            return None
        splits = self.top.table("splits")
        for place, keys in [(self.top, ("classes", "defects"))] + [
            (splits.table(name), ("classes", "per_picture")) for name in splits.data
        ]:
            for key in set(keys) & set(place.data):
                place.wrong(key, "this key only without [measurement], which displaces every pin itself", shown(key))
        if any(PATTERN in factor.columns for factor in factors):
            expected = "another name, as the table [measurement] fills in this column"
            self.top.table("factors").wrong(PATTERN, expected, shown(PATTERN))
        return read_measurement(section)

    def _places(self) -> dict[tuple[str, str], str]:
        splits = self.top.table("splits")
        sections = {name: splits.table(name).table("factors", optional=True) for name in splits.data}
        return {
            (split, column.strip()): f"{self.path.name}:{section.line(key)} {'.'.join((*section.at, key))}"
            for split, section in {"": self.top.table("factors"), **sections}.items()
            for key in section.data
            for column in key.split("+")
        }

    def _table(self, design: TomlSection, kind: str) -> str | None:
        if kind not in ("orthogonal", "inner_outer"):
            return None
        return design.choice("table", TABLES) if "table" in design.data else None

    def _inner(self, design: TomlSection, kind: str, key: str, default: str) -> str:
        if kind != "inner_outer":
            return default
        return design.choice(key, ("full", "orthogonal"), default)

    def _noise(self, design: TomlSection, kind: str, factors: tuple[Factor, ...]) -> tuple[str, ...]:
        if kind != "inner_outer":
            return ()
        names = {factor.name for factor in factors if len(factor.levels) > 1}
        own = {factor.name for factor in factors if not set(factor.columns) & set(PICTURE_FACTORS)}
        may = sorted(names & (own | {f.name for f in factors if set(f.columns) <= set(CAPTURE_FACTORS)}))
        expected = "names of factors that may vary between a part's pictures" + (f" ({', '.join(may)})" if may else "")
        value = design.value("noise", expected)
        if value is None:
            return ()
        if isinstance(value, list):
            may += [name for name in value if isinstance(name, str) and self._is_wrong(name)]
        if not isinstance(value, list) or not value or not all(name in may for name in value):
            design.wrong("noise", expected, shown(value))
            return ()
        return tuple(value)

    def _factors(self, section: TomlSection) -> tuple[Factor, ...]:
        found: list[Factor] = []
        seen: set[str] = set()
        for key in section.data:
            columns = tuple(column.strip() for column in key.split("+"))
            for column in columns:
                self._check_column(section, key, column, seen)
                seen.add(column)
            factor = self._factor(section, key, columns)
            if factor is not None:
                found.append(factor)
            elif section.at == ("factors",):
                self._wrong_columns.update(columns)
        return tuple(found)

    def _is_wrong(self, factor: str) -> bool:
        """Whether a message was noted on [factors], or on the levels that it lists for a factor or a column of it."""
        if not isinstance(self.top.data.get("factors"), dict):
            return True
        return not self._wrong_columns.isdisjoint(factor.split("+"))

    def _check_column(self, section: TomlSection, key: str, column: str, seen: set[str]) -> None:
        known = (*REQUIRED, *OPTIONAL, *RESERVED, BLOCK)
        if column in seen:
            section.wrong(key, "each manifest column in one factor only", f"{shown(column)} a second time")
        elif not column or not column.isprintable() or len(column) > 64:
            section.wrong(key, "a column name of 1 to 64 printable characters", shown(column))
        elif column in known and column not in PICTURE_FACTORS:
            expected = f"one of {', '.join(PICTURE_FACTORS)}, or a factor with a name of your own"
            section.wrong(key, expected, f"{shown(column)}, a column that `generator design` fills in")

    def _factor(self, section: TomlSection, key: str, columns: tuple[str, ...]) -> Factor | None:
        expected = "a level, a list of different levels, or a range {low = NUMBER, high = NUMBER}"
        value = section.value(key, expected)
        if isinstance(value, dict):
            child = section.table(key)
            if len(columns) > 1 or columns[0] in NEEDED:
                section.wrong(key, "levels, as only a single column of numbers can have a range", "a range")
                child.data = {}
                return None
            low = child.number("low", -LARGEST_NUMBER, LARGEST_NUMBER)
            high = child.number("high", -LARGEST_NUMBER, LARGEST_NUMBER)
            decimals = child.integer("decimals", 0, 9, 0 if columns[0] in PICTURE_FACTORS else 3)
            if low >= high and not child.problems:
                child.wrong("high", f"a number above {low:g} (low)", f"{high:g}")
            return Factor(columns, range=Range(low, high, decimals))
        levels = value if isinstance(value, list) else [value]
        texts: list[tuple[str, ...]] = []
        for level in levels:
            good = isinstance(level, str | int | float) and not isinstance(level, bool)
            cells = tuple(cell.strip() for cell in str(level).split("+")) if len(columns) > 1 else (str(level).strip(),)
            if not good or len(cells) != len(columns):
                wanted = expected if len(columns) == 1 else f"levels of the form {'+'.join(c.upper() for c in columns)}"
                section.wrong(key, wanted, shown(level))
                return None
            texts.append(cells)
        if not texts or len(set(texts)) != len(texts):
            section.wrong(key, expected, shown(value))
            return None
        return Factor(columns, tuple(texts))

    def _held_out(self, section: TomlSection) -> int | float | tuple[str, ...] | None:
        if "held_out" not in section.data:
            # Asked for although absent, so that the message for an unknown key lists it.
            section.value("held_out", "", ())
            return None
        expected = "a number of positions, a share of all positions between 0 and 1, or a list of addresses"
        value = section.value("held_out", expected)
        if isinstance(value, bool):
            pass
        elif (isinstance(value, int) and value >= 1) or (isinstance(value, float) and 0.0 < value < 1.0):
            return value
        elif isinstance(value, list) and value and all(isinstance(address, str) for address in value):
            return tuple(dict.fromkeys(value))
        section.wrong("held_out", expected, shown(value))
        return None

    def _positions(self, split: TomlSection, default: str) -> str:
        """Read at which positions a split has defects; without `held_out`, other words than `all` are noted once."""
        chosen = split.choice("positions", POSITIONS, default)
        table = self.top.data.get("positions", {})
        given = self._has_unknown or not isinstance(table, dict) or table
        if chosen != ALL and not given and not split.problems and not self._lacks_held_out:
            self._lacks_held_out = True
            split.wrong("positions", f"{ALL}, as the key held_out of [positions] is not given", shown(chosen))
        return chosen

    def _classes(self, section: TomlSection, default: dict[str, int]) -> dict[str, int]:
        if not section.data:
            return default
        weights = {name: section.integer(name, 0, 1_000_000, 0) for name in CLASSES}
        if not any(weights.values()):
            if not section.is_sound():
                return default
            section.wrong(None, "a weight above 0 for at least one class", shown(section.data))
            return default
        return {name: weight for name, weight in weights.items() if weight}

    def _splits(
        self, kind: str, factors: tuple[Factor, ...], classes: dict[str, int], holds_out: bool, per_picture: int
    ) -> tuple[SplitSpec, ...]:
        section = self.top.table("splits")
        if "splits" in self.top.data and not section.data:
            section.wrong(None, "at least one split such as [splits.train]", "nothing")
        held = self._held_levels(section, factors)
        splits = []
        for name in section.data:
            split = section.table(name)
            own = self._split_factors(split, factors, held, name)
            rows, replicates = self._split_size(split, kind)
            seen = HELD_OUT if name in ("validation", "test") else TRAINING
            splits.append(
                SplitSpec(
                    name=name,
                    rows=rows,
                    replicates=replicates,
                    positions=self._positions(split, seen if holds_out else ALL),
                    per_picture=split.integer("per_picture", 1, 100, per_picture),
                    classes=self._classes(split.table("classes", optional=True), classes),
                    factors=own,
                )
            )
        return tuple(splits)

    def _held_levels(self, section: TomlSection, factors: tuple[Factor, ...]) -> dict[str, tuple[Factor, ...]]:
        """Read the levels that each split keeps for itself (other splits leave them out), by the split's name."""
        held: dict[str, tuple[Factor, ...]] = {}
        for name in section.data:
            if not _SPLIT.fullmatch(name):
                section.wrong(name, "train, validation, test or test_NAME", shown(name))
            own = section.table(name).table("hold_out", optional=True)
            held[name] = self._factors(own)
            for factor in held[name]:
                self._check_held_level(own, factor, factors)
        return held

    def _split_factors(
        self, split: TomlSection, factors: tuple[Factor, ...], held: dict[str, tuple[Factor, ...]], name: str
    ) -> tuple[Factor, ...]:
        """The factors of the design with the levels of split `name`."""
        changed = self._factors(split.table("factors", optional=True))
        rest = self._without(factors, [f for other, own in held.items() if other != name for f in own])
        empty = next((f.name for f in rest if not f.levels and f.range is None), None)
        if empty is not None:
            split.wrong(
                None, f"at least one level of {empty} for this split", "none, as all are in hold_out of other splits"
            )
        known = {f.name for f in factors}
        only_held = {f.name for own in held.values() for f in own}
        for factor in changed:
            if factor.name not in known and not self._is_wrong(factor.name):
                expected = f"one of the factors {', '.join(f.name for f in factors)}"
                split.table("factors").wrong(factor.name, expected, shown(factor.name))
            elif factor.name in only_held:
                split.table("factors").wrong(
                    factor.name, "a factor of which no split holds out levels (key hold_out)", "one with such levels"
                )
        replace = {factor.name: factor for factor in (*changed, *held[name])}
        return tuple(replace.get(factor.name, factor) for factor in rest)

    @staticmethod
    def _split_size(split: TomlSection, kind: str) -> tuple[int | None, int | None]:
        """Read a split's `rows` and `replicates`; one of them is None."""
        # Asked for although absent: a key spelt much like it then gives one message, and the others list it.
        needed = None if kind in SAMPLED else ()
        split.value("rows", f"a number of rows, as the design's kind is {kind}", needed)
        rows = split.integer("rows", 1, 10_000_000) if "rows" in split.data else None
        if kind in SAMPLED:
            return rows, None
        if rows is None:
            return None, split.integer("replicates", 1, 1_000_000, 1)
        if "replicates" in split.data:
            split.value("replicates", "")
            split.wrong("replicates", "either rows or replicates", "both")
        return rows, None

    def _check_held_level(self, section: TomlSection, held: Factor, factors: tuple[Factor, ...]) -> None:
        if self._is_wrong(held.name):
            return
        factor = next((f for f in factors if f.name == held.name), None)
        if factor is None or not set(held.levels) <= set(factor.levels):
            levels = ", ".join("+".join(level) for level in factor.levels) if factor else "none"
            got = ", ".join(map("+".join, held.levels)) or "a range"
            section.wrong(held.name, f"levels that [factors] lists for this factor ({levels})", got)

    def _without(self, factors: tuple[Factor, ...], held: list[Factor]) -> tuple[Factor, ...]:
        out = []
        for factor in factors:
            taken = {level for other in held if other.name == factor.name for level in other.levels}
            levels = tuple(level for level in factor.levels if level not in taken)
            out.append(Factor(factor.columns, levels, factor.range))
        return tuple(out)

    def _check_classes(self, splits: tuple[SplitSpec, ...], defects: dict[str, KindSpec]) -> None:
        section = self.top.table("defects", optional=True)
        # A kind with a mistake may be the one that gives a class.
        in_doubt = self._has_unknown or not isinstance(self.top.data.get("classes", {}), dict)
        if not defects or in_doubt or not section.is_sound():
            return
        made = {OK, *(class_of_kind(spec.kind) for spec in defects.values())}
        for split in splits:
            for name in split.classes:
                if name not in made:
                    expected = f"a kind of defect that gives class {name}, as split {split.name} has this class"
                    section.wrong(None, expected, f"only {', '.join(defects)}")
                    return
