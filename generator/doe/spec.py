"""The contents of a SPEC, the TOML file of a design: factors and levels, classes, defects, hold-out, splits.

docs/reference/design.md describes the file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

KINDS_OF_DESIGN = ("full", "fractional", "orthogonal", "inner_outer", "lhs", "sobol", "random")
# These kinds draw levels row by row; the others repeat a table.
SAMPLED = ("lhs", "sobol", "random")
NEEDED = ("scene", "housing", "terminal", "camera", "lighting", "marking")
PICTURE_FACTORS = (*NEEDED, "fixture", "width", "height", "samples", "world")
# Factors that may differ between two captures (pictures) of one part.
CAPTURE_FACTORS = ("camera", "lighting", "fixture", "width", "height", "samples")
ALL, TRAINING, HELD_OUT = POSITIONS = ("all", "training", "held_out")
SIZE = "size"
DEFAULT_SIZE = (0.5, 3.0)
LARGEST_NUMBER = 1e9
# The manifest column that names the block of positions of a row's defects.
BLOCK = "pins"
# The manifest column of a measurement design that names how a part's pins are displaced, and its values.
PATTERN = "pattern"
PINS, ROW, COLUMN, FIELD, TILT = PATTERNS = ("pins", "row", "column", "field", "tilt")
# Rows of a measurement design have no planned class: all are made as one, of this name.
MEASURED = "measured"


@dataclass(frozen=True)
class Range:
    """The range of a continuous factor: numbers from low to high, rounded to `decimals` places."""

    low: float
    high: float
    decimals: int = 3

    def at(self, share: float) -> float:
        """Return the number at `share` of the way from `low` (0) to `high` (1), rounded to `decimals` places."""
        return round(self.low + (self.high - self.low) * share, self.decimals) + 0.0

    def part(self, low: float, high: float) -> Range:
        """Return the part of this range from `low` to `high`; it is empty (low > high) if the two do not overlap."""
        return Range(max(self.low, low), min(self.high, high), self.decimals)


@dataclass(frozen=True)
class Factor:
    """One factor of a design, with either levels or a range.

    Attributes:
        columns: columns of the manifest that are set together; a range has one column.
        levels: the texts of `columns` at each level.
        range: the range that numbers are drawn from; None: the factor has levels.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...] = ()
    range: Range | None = None

    @property
    def name(self) -> str:
        """Names of the manifest columns that the factor sets, joined by `+`."""
        return "+".join(self.columns)


@dataclass(frozen=True)
class KindSpec:
    """One table [defects.NAME] of a SPEC: a kind of defect and how its parameters are drawn.

    Attributes:
        kind: one of the manifest's KINDS.
        at: what the defect is on: PIN, PAIR (two neighbouring pins), HOUSING or PRINT.
        share: relative frequency among the kinds of its class.
        size: range of sizes in multiples of the tolerance; None if the parameters set the size.
        parameters: name of each parameter, and its range to draw from, fixed number (in the unit with which the name
            ends) or words to choose from.
    """

    kind: str
    at: str
    share: float
    size: Range | None
    parameters: tuple[tuple[str, Range | float | tuple[str, ...]], ...]


@dataclass(frozen=True)
class Measurement:
    """The table [measurement] of a SPEC: random displacements of every pin, in multiples of the pin's limits.

    Attributes:
        patterns: relative frequency of each of PATTERNS among the parts.
        kinds: relative frequency of each kind of displacement, one of `spec_measurement.DISPLACEMENTS`.
        true_position, retraction, protrusion: ranges of these measures.
        own: largest displacement of each pin in addition to that which it shares with its row, column or field.
        near_limit: share of the displacements that are drawn near their limit (within `measuring.NEAR_LIMIT`).
        start, curve: ranges of where a bend starts and of its curve's length, as shares of the standing length.
        shapes: shapes of bends, equally frequent.
    """

    patterns: dict[str, float]
    kinds: dict[str, float]
    true_position: Range
    retraction: Range
    protrusion: Range
    own: float
    near_limit: float
    start: Range
    curve: Range
    shapes: tuple[str, ...]


@dataclass(frozen=True)
class SplitSpec:
    """One table [splits.NAME] of a SPEC: a split of the design.

    Attributes:
        rows: number of pictures; None if `replicates` is set.
        replicates: for each class, the table of factor levels is repeated `replicates` x `classes[class]` times; None
            if `rows` is set.
        positions: which pin positions have defects: ALL, those for TRAINING, or those HELD_OUT.
        per_picture: number of defects in a picture that is not OK.
        classes: relative frequency of each class.
        factors: the design's factors with this split's levels.
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
    """The checked contents of a SPEC, the TOML file of a design.

    Attributes:
        path: path of the file.
        name: name of the design, with which its run names begin.
        seed: seed of all random choices.
        first_part: number of the first part, and seed of the first picture.
        kind: kind of design, one of KINDS_OF_DESIGN.
        table: name of the orthogonal table; None: the smallest that fits.
        resolution, generators: resolution or generators of a fractional design, see `tables.fractional`.
        inner, outer: kind of table (`full` or `orthogonal`) of the control factors, and of the noise factors, of an
            inner_outer design.
        noise: noise factors: those that vary between pictures (captures) of one part.
        held_out: number, share or addresses of the positions held out in each scene; None: no position.
        defects: the kinds of defect, by their names in the SPEC.
        inside_tolerance: share of the OK pictures that have a defect within the tolerance.
        measurement: the displacements of a measurement design, whose `defects` are empty; None: a design of defects.
        splits: the splits, in the order of the SPEC.
        places: file, line and key that set a column's levels, for messages, by (split, column); split "" is [factors].
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
    measurement: Measurement | None
    places: dict[tuple[str, str], str]

    def random(self, *purpose: str) -> random.Random:
        """Return a new random generator, seeded with the SPEC's seed and words for its use: "order", "train"."""
        return random.Random("/".join((str(self.seed), *purpose)))


@dataclass(frozen=True)
class Sized:
    """How the size of a kind of defect, in multiples of the tolerance, is converted to its parameter in mm.

    parameter = size x `factor` x limit, where limit is the tolerance's limit with the name `measure`.

    Attributes:
        parameter: name of the defect's parameter in the manifest.
        measure: name of the limit.
        factor: the factor in this product.
        by_default: whether DEFAULT_SIZE is taken if a SPEC sets neither size nor parameter; False: the parameter then
            has its own default.
    """

    parameter: str
    measure: str
    factor: float
    by_default: bool = True


# True position is a diameter: twice the tip's offset.
SIZED = {
    "bent": Sized("tip_offset_mm", "true_position_mm", 0.5),
    "retracted": Sized("depth_mm", "retraction_mm", 1.0),
    "protruding": Sized("height_mm", "protrusion_mm", 1.0, by_default=False),
}
