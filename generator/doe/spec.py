"""What a SPEC says: factors and levels, classes, defects, hold-out and splits. docs/reference/design.md."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

KINDS_OF_DESIGN = ("full", "fractional", "orthogonal", "inner_outer", "lhs", "sobol", "random")
# Drawn row by row; the others are tables that are repeated.
SAMPLED = ("lhs", "sobol", "random")
NEEDED = ("scene", "housing", "terminal", "camera", "lighting", "marking")
PICTURE_FACTORS = (*NEEDED, "width", "height", "samples")
# What may differ between two captures of one part.
CAPTURE_FACTORS = ("camera", "lighting", "width", "height", "samples")
ALL, TRAINING, HELD_OUT = POSITIONS = ("all", "training", "held_out")
SIZE = "size"
DEFAULT_SIZE = (0.5, 3.0)
LARGEST_NUMBER = 1e9
# Which column tells the block of positions that a row's defects were drawn from.
BLOCK = "pins"


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

    def random(self, *purpose: str) -> random.Random:
        """A generator of its own for each purpose, so that a change of one split leaves the others as they were."""
        return random.Random("/".join((str(self.seed), *purpose)))


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
