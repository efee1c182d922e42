"""One picture of a design while it is made, and the order of pictures in the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """One picture of a design.

    Attributes:
        split: name of the picture's split.
        wanted: the picture's planned class.
        levels: level of each factor, by the manifest's column.
        unit: number of its part within split and class, equal in all pictures (captures) of one part.
        kinds: names of its defects in the SPEC (the design's TOML file).
        targets: target of each defect: an address, two neighbouring addresses, `housing` or `print`.
        part, defects: part number and defect text in the manifest; 0 and empty until they are drawn.
    """

    split: str
    wanted: str
    levels: dict[str, str]
    unit: int
    kinds: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    part: int = 0
    defects: str = ""

    @property
    def variant(self) -> tuple[str, ...]:
        """Names of scene, housing, terminal and marking, which decide what defects a part can have."""
        return tuple(self.levels[name] for name in ("scene", "housing", "terminal", "marking"))


def interleaved(cells: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """Yield the rows of all classes, interleaved in proportion to their numbers; rows of one part stay together.

    Args:
        cells: the rows of each class.
    """
    queues = [[list(group) for group in _units(cell)] for cell in cells if cell]
    total = sum(len(queue) for queue in queues)
    taken = [0] * len(queues)
    for _ in range(total):
        # The next row is of the class that is furthest behind its share of the pictures so far.
        index = min(
            (i for i in range(len(queues)) if taken[i] < len(queues[i])),
            key=lambda i: ((taken[i] + 0.5) / len(queues[i]), i),
        )
        yield from queues[index][taken[index]]
        taken[index] += 1


def _units(cell: Sequence[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in cell:
        if group and row.unit != group[-1].unit:
            yield group
            group = []
        group.append(row)
    if group:
        yield group
