"""One picture of a design in the making, and the order in which pictures stand in the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Row:
    """One picture in the making. `part` numbers are given when its class has been verified."""

    split: str
    wanted: str
    levels: dict[str, str]
    unit: int
    kinds: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    part: int = 0
    defects: str = ""

    @property
    def looks(self) -> tuple[str, ...]:
        """What decides which defects a part can show."""
        return tuple(self.levels[name] for name in ("scene", "housing", "terminal", "marking"))


def in_turn(cells: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """Classes in turn, so that any stretch of the manifest has all of them; captures of a part stay together."""
    queues = [[list(group) for group in _units(cell)] for cell in cells if cell]
    total = sum(len(queue) for queue in queues)
    taken = [0] * len(queues)
    for _ in range(total):
        # The class that is furthest behind its share.
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
