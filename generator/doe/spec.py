"""A SPEC: factors and levels, classes, defects, hold-out and splits as TOML, checked completely. docs/design.md.

Every mistake is reported at once as ``file.toml:LINE key: expected …, got …``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.toml_section import TomlSection
from blender_scripts.manifest.defects import KINDS, Choice, Parameter
from blender_scripts.manifest.reader import OPTIONAL, REQUIRED, RESERVED
from generator.dataset.labels import CLASSES, OK, class_of_kind
from generator.doe.tables import TABLES

KINDS_OF_DESIGN = ("full", "fractional", "orthogonal", "inner_outer", "lhs", "sobol", "random")
# Drawn row by row; the others are tables that are repeated.
SAMPLED = ("lhs", "sobol", "random")
PICTURE_FACTORS = (
    "scene",
    "housing",
    "terminal",
    "camera",
    "lighting",
    "marking",
    "width",
    "height",
    "samples",
)
# What may differ between two captures of one part.
CAPTURE_FACTORS = ("camera", "lighting", "width", "height", "samples")
NEEDED = ("scene", "housing", "terminal", "camera", "lighting", "marking")
ALL, TRAINING, HELD_OUT = POSITIONS = ("all", "training", "held_out")
SIZE = "size"
DEFAULT_SIZE = (0.5, 3.0)
LARGEST_NUMBER = 1e9
# Which column tells the block of positions that a row's defects were drawn from.
BLOCK = "pins"
_SPLIT = re.compile(r"train|validation|test|test_[A-Za-z0-9_]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")


@dataclass(frozen=True)
class Range:
    """A continuous factor: numbers from low to high, written with so many decimals."""

    low: float
    high: float
    decimals: int = 3

    def at(self, share: float) -> float:
        """The number at a share of the way, 0 to 1."""
        return round(self.low + (self.high - self.low) * share, self.decimals) + 0.0

    def part(self, low: float, high: float) -> Range:
        """This range inside of other limits."""
        return Range(max(self.low, low), min(self.high, high), self.decimals)


@dataclass(frozen=True)
class Factor:
    """Columns that are set together, and their levels: one text per column; or one column with a range."""

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = ()
    range: Range | None = None

    @property
    def name(self) -> str:
        return "+".join(self.columns)


@dataclass(frozen=True)
class KindSpec:
    """How a kind of defect is drawn.

    Attributes:
        at: PIN, PAIR, HOUSING or PRINT.
        size: in times the tolerance; None: the parameters say it.
        parameters: ranges and numbers in their own units, words to choose from.
    """

    kind: str
    at: str
    share: float
    size: Range | None
    parameters: tuple[tuple[str, Range | float | tuple[str, ...]], ...]


@dataclass(frozen=True)
class SplitSpec:
    """One split.

    Attributes:
        rows: pictures; None where `replicates` says how often the table is repeated for each class.
        positions: ALL, TRAINING or HELD_OUT.
        factors: those of the design with this split's levels.
    """

    name: str
    rows: int | None
    replicates: int | None
    positions: str
    per_picture: int
    classes: dict[str, int]
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Spec:
    """A checked SPEC.

    Attributes:
        held_out: number of positions to hold out, their share, or their addresses; per scene or of all.
        inside_tolerance: share of the OK pictures that show a defect smaller than the tolerance.
        places: file, line and key that give a column its levels, by split and column; split "" is all others.
    """

    path: Path
    name: str
    seed: int
    first_part: int
    kind: str
    table: str | None
    resolution: int | None
    generators: str | None
    inner: str
    outer: str
    noise: tuple[str, ...]
    held_out: int | float | tuple[str, ...] | None
    defects: dict[str, KindSpec]
    inside_tolerance: float
    splits: tuple[SplitSpec, ...]
    places: dict[tuple[str, str], str]


def read_spec(path: Path) -> Spec:
    """Read and check a SPEC.

    Raises:
        InputError: with every mistake.
    """
    if not path.is_file():
        raise InputError(f"{path.name}:1 file: expected a SPEC in TOML, got no such file")
    top = TomlSection.read(path)
    spec = _Reader(top, path).read()
    top.finish()
    return spec


class _Reader:
    """Reads the tables of one SPEC; mistakes are kept in its sections."""

    def __init__(self, top: TomlSection, path: Path) -> None:
        self.top = top
        self.path = path

    def read(self) -> Spec:
        top = self.top
        top.integer("schema", 1, 1)
        top.text("description", "")
        name = top.text("name", self.path.stem)
        if not _NAME.fullmatch(name):
            top.wrong("name", "1 to 48 letters, digits, _ or -", shown(name))
        design = top.table("design")
        kind = design.choice("kind", KINDS_OF_DESIGN)
        factors = self._factors(top.table("factors"))
        for column in NEEDED:
            if not any(column in factor.columns for factor in factors):
                top.table("factors").wrong(column, "this column's level or levels", "nothing")
        positions = top.table("positions", optional=True)
        held_out = self._held_out(positions)
        # Asked for here, so that every path below knows the key.
        defects_section = top.table("defects", optional=True)
        per_picture = defects_section.integer("per_picture", 1, 100, 1)
        inside = defects_section.number("inside_tolerance", 0.0, 1.0, 0.25)
        classes = self._classes(top.table("classes", optional=True), {OK: 1, "BENDNG": 1, "NUKENG": 1})
        defects = self._defects(defects_section)
        splits = self._splits(kind, factors, classes, held_out is not None, per_picture)
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
            places=self._places(),
        )

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
        expected = "names of factors that captures of one part can differ in" + (
            f" ({', '.join(may)})" if may else ""
        )
        value = design.value("noise", expected)
        if value is None:
            return ()
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
        return tuple(found)

    def _check_column(self, section: TomlSection, key: str, column: str, seen: set[str]) -> None:
        known = (*REQUIRED, *OPTIONAL, *RESERVED, BLOCK)
        if column in seen:
            section.wrong(key, "each column in one factor", f"{shown(column)} again")
        elif not column or not column.isprintable() or len(column) > 64:
            section.wrong(key, "a column name of 1 to 64 printable characters", shown(column))
        elif column in known and column not in PICTURE_FACTORS:
            expected = f"one of {', '.join(PICTURE_FACTORS)}, or a factor of your own"
            section.wrong(key, expected, f"{shown(column)}, which the design fills in itself")

    def _factor(self, section: TomlSection, key: str, columns: tuple[str, ...]) -> Factor | None:
        expected = "a level, a list of different levels, or {low, high} for a range"
        value = section.value(key, expected)
        if isinstance(value, dict):
            child = section.table(key)
            low = child.number("low", -LARGEST_NUMBER, LARGEST_NUMBER)
            high = child.number("high", -LARGEST_NUMBER, LARGEST_NUMBER)
            decimals = child.integer("decimals", 0, 9, 0 if columns[0] in PICTURE_FACTORS else 3)
            if len(columns) > 1 or columns[0] in NEEDED:
                section.wrong(key, "levels for columns that hold names", "a range")
            if low >= high:
                child.wrong("high", f"more than low, {low:g}", f"{high:g}")
            return Factor(columns, range=Range(low, high, decimals))
        levels = value if isinstance(value, list) else [value]
        texts: list[tuple[str, ...]] = []
        for level in levels:
            good = isinstance(level, str | int | float) and not isinstance(level, bool)
            cells = (
                tuple(cell.strip() for cell in str(level).split("+"))
                if len(columns) > 1
                else (str(level).strip(),)
            )
            if not good or len(cells) != len(columns):
                wanted = (
                    expected
                    if len(columns) == 1
                    else f"levels such as {'+'.join(c.upper() for c in columns)}"
                )
                section.wrong(key, wanted, shown(level))
                return None
            texts.append(cells)
        if not texts or len(set(texts)) != len(texts):
            section.wrong(key, expected, shown(value))
            return None
        return Factor(columns, tuple(texts))

    def _held_out(self, section: TomlSection) -> int | float | tuple[str, ...] | None:
        if "held_out" not in section.data:
            # Asked for all the same, so that a wrong key is told what there is.
            section.value("held_out", "", ())
            return None
        expected = "a number of positions, a share of them below 1, or a list of addresses"
        value = section.value("held_out", expected)
        if isinstance(value, bool):
            pass
        elif (isinstance(value, int) and value >= 1) or (isinstance(value, float) and 0.0 < value < 1.0):
            return value
        elif isinstance(value, list) and value and all(isinstance(address, str) for address in value):
            return tuple(dict.fromkeys(value))
        section.wrong("held_out", expected, shown(value))
        return None

    def _classes(self, section: TomlSection, default: dict[str, int]) -> dict[str, int]:
        if not section.data:
            return default
        weights = {name: section.integer(name, 0, 1_000_000, 0) for name in CLASSES}
        if not any(weights.values()):
            section.wrong(None, "a weight above 0 for at least one class", shown(section.data))
            return default
        return {name: weight for name, weight in weights.items() if weight}

    def _defects(self, section: TomlSection) -> dict[str, KindSpec]:
        settings = ("per_picture", "inside_tolerance")
        named = [name for name in section.data if name not in settings]
        found = {}
        for name in named or [kind for kind in ("bent", "retracted", "missing") if kind in KINDS]:
            own = section.table(name, optional=name not in section.data)
            kind = own.text("kind", name)
            if kind not in KINDS:
                key = "kind" if "kind" in own.data else None
                own.wrong(key, f"a kind of defect ({', '.join(KINDS)})", shown(kind))
                own.data = {}
                continue
            found[name] = self._kind(own, kind)
        return found

    def _kind(self, section: TomlSection, name: str) -> KindSpec:
        share = section.number("share", 0.001, 1000.0, 1.0)
        at = section.choice("at", KINDS[name].targets, KINDS[name].targets[0])
        parameters: list[tuple[str, Range | float | tuple[str, ...]]] = []
        given = [p for p in KINDS[name].parameters if p.name in section.data]
        for parameter in KINDS[name].parameters:
            if isinstance(parameter, Choice):
                value = self._words(section, parameter)
            else:
                value = self._parameter(section, parameter, given)
            if value is not None:
                parameters.append((parameter.name, value))
        size = None
        sized = SIZED.get(name)
        if sized is not None:
            replaced = next((p.instead_of for p in KINDS[name].parameters if p.name == sized.parameter), None)
            fixed = any(p.name in (sized.parameter, replaced) for p in given)
            if not fixed:
                low, high = section.numbers(SIZE, 2, 0.01, 100.0, DEFAULT_SIZE)
                if low > high:
                    section.wrong(SIZE, "the smaller size first", f"{low:g}, {high:g}")
                size = Range(low, high, 6)
        elif SIZE in section.data:
            section.value(SIZE, "")
            section.wrong(SIZE, f"the parameters of {name}, which no tolerance measures", SIZE)
        return KindSpec(name, at, share, size, tuple(parameters))

    def _words(self, section: TomlSection, parameter: Choice) -> tuple[str, ...] | None:
        """The words to choose from; None: the kind's default."""
        offered = (
            f"one or more of {', '.join(parameter.choices)}" if parameter.choices else "one or more names"
        )
        value = section.value(parameter.name, offered, ())
        words = (
            (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else (0,)
        )
        if not all(isinstance(w, str) and (not parameter.choices or w in parameter.choices) for w in words):
            section.wrong(parameter.name, offered, shown(value))
            return None
        return words or None

    def _parameter(
        self, section: TomlSection, parameter: Parameter, given: list[Parameter | Choice]
    ) -> Range | float | tuple[str, ...] | None:
        """The range or value to draw from; None: the kind's default."""
        low, high = parameter.low, parameter.high
        expected = f"a number from {low:g} to {high:g}, or two as a range"
        if parameter.name not in section.data:
            section.value(parameter.name, expected, ())
            # A direction without a say is any direction.
            if parameter.name.endswith("azimuth_deg"):
                return Range(low, high, 1)
            return None
        value = section.value(parameter.name, expected)
        if parameter.instead_of and any(p.name == parameter.instead_of for p in given):
            section.wrong(parameter.name, f"{parameter.instead_of} or {parameter.name}", "both")
        numbers = value if isinstance(value, list) and len(value) == 2 else [value]
        good = all(
            isinstance(n, int | float) and not isinstance(n, bool) and low <= n <= high for n in numbers
        )
        if not good or numbers[0] > numbers[-1]:
            section.wrong(parameter.name, expected, shown(value))
            return None
        if len(numbers) == 1:
            return float(numbers[0])
        # Two whole numbers without a unit are counted, not measured.
        counted = not parameter.name.endswith(("_mm", "_deg")) and all(isinstance(n, int) for n in numbers)
        decimals = 0 if counted else 1 if parameter.name.endswith("_deg") else 3
        return Range(float(numbers[0]), float(numbers[1]), decimals)

    def _splits(
        self,
        kind: str,
        factors: tuple[Factor, ...],
        classes: dict[str, int],
        holds_out: bool,
        per_picture: int,
    ) -> tuple[SplitSpec, ...]:
        section = self.top.table("splits")
        if "splits" in self.top.data and not section.data:
            section.wrong(None, "at least one split such as [splits.train]", "nothing")
        own: dict[str, tuple[Factor, ...]] = {}
        for name in section.data:
            if not _SPLIT.fullmatch(name):
                section.wrong(name, "train, validation, test or test_NAME", shown(name))
            held = section.table(name).table("hold_out", optional=True)
            own[name] = self._factors(held)
            for factor in own[name]:
                self._check_held_level(held, factor, factors)
        splits = []
        for name in section.data:
            split = section.table(name)
            changed = self._factors(split.table("factors", optional=True))
            rest = self._without(factors, [f for other, held in own.items() if other != name for f in held])
            if any(not f.levels and f.range is None for f in rest):
                empty = next(f.name for f in rest if not f.levels and f.range is None)
                split.wrong(None, f"a level of {empty} that no other split holds out", "none left")
            for factor in changed:
                known = {f.name for f in factors}
                if factor.name not in known:
                    split.table("factors").wrong(
                        factor.name, f"one of the factors {', '.join(known)}", "another"
                    )
                elif factor.name in {f.name for held in own.values() for f in held}:
                    split.table("factors").wrong(factor.name, "levels under hold_out only", "others here")
            replace = {factor.name: factor for factor in (*changed, *own[name])}
            rows = split.integer("rows", 1, 10_000_000) if "rows" in split.data else None
            replicates = None
            if kind in SAMPLED:
                if rows is None:
                    split.wrong("rows", f"a number of rows, which a {kind} design needs", "nothing")
            elif rows is None:
                replicates = split.integer("replicates", 1, 1_000_000, 1)
            elif "replicates" in split.data:
                split.value("replicates", "")
                split.wrong("replicates", "rows or replicates", "both")
            default = (
                HELD_OUT if holds_out and name in ("validation", "test") else TRAINING if holds_out else ALL
            )
            positions = split.choice("positions", POSITIONS if holds_out else (ALL,), default)
            splits.append(
                SplitSpec(
                    name=name,
                    rows=rows,
                    replicates=replicates,
                    positions=positions,
                    per_picture=split.integer("per_picture", 1, 100, per_picture),
                    classes=self._classes(split.table("classes", optional=True), classes),
                    factors=tuple(replace.get(factor.name, factor) for factor in rest),
                )
            )
        return tuple(splits)

    def _check_held_level(self, section: TomlSection, held: Factor, factors: tuple[Factor, ...]) -> None:
        factor = next((f for f in factors if f.name == held.name), None)
        if factor is None or not set(held.levels) <= set(factor.levels):
            levels = ", ".join("+".join(level) for level in factor.levels) if factor else "none"
            section.wrong(held.name, f"levels that [factors] lists ({levels})", "others")

    def _without(self, factors: tuple[Factor, ...], held: list[Factor]) -> tuple[Factor, ...]:
        out = []
        for factor in factors:
            taken = {level for other in held if other.name == factor.name for level in other.levels}
            levels = tuple(level for level in factor.levels if level not in taken)
            out.append(Factor(factor.columns, levels, factor.range))
        return tuple(out)

    def _check_classes(self, splits: tuple[SplitSpec, ...], defects: dict[str, KindSpec]) -> None:
        if not defects:
            return
        made = {OK, *(class_of_kind(spec.kind) for spec in defects.values())}
        for split in splits:
            for name in split.classes:
                if name not in made:
                    section = self.top.table("defects", optional=True)
                    section.wrong(None, f"a kind of defect of class {name}", f"{', '.join(defects)} only")
                    return


@dataclass(frozen=True)
class Sized:
    """Which parameter of a kind is its size: `parameter` = size x the tolerance's `measure` x `factor`."""

    parameter: str
    measure: str
    factor: float


# True position is diametral: twice the tip's offset.
SIZED = {
    "bent": Sized("tip_offset_mm", "true_position_mm", 0.5),
    "retracted": Sized("depth_mm", "retraction_mm", 1.0),
}
