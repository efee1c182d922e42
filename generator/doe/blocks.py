"""Divide a connector's positions into two blocks: training and held out.

Unless a SPEC names them, held-out positions are drawn from strata (the edge and the inside of each row), from each in
proportion to its size. A pin at the edge has no neighbour on one side, and each row looks different. A hold-out that
lacks one of these strata would not measure how well a model performs at new positions.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.positions import Position
from generator.doe.row import Row
from generator.doe.spec import ALL, HELD_OUT, Spec

# Largest distance of neighbours, in units of the distance to the nearest position: with diagonals (edge test), and
# without (pairs of pins).
_NEAR = 1.6
_NEXT = 1.25
# A position is at the edge if the directions of its neighbours leave a gap this wide.
_OPEN_RAD = math.radians(150.0)


class SceneBlocks:
    """The scenes of a design, read when first used; divides each one's pin positions into training and held out.

    Args:
        spec: the design.
        scenes: folder of the scene files.
    """

    def __init__(self, spec: Spec, scenes: Path) -> None:
        self.spec = spec
        self.scenes = scenes
        self._connectors: dict[str, Connector] = {}
        self._held: dict[str, tuple[str, ...]] = {}

    def connector(self, name: str) -> Connector:
        """Return the connector that the scene with this name describes.

        Raises:
            InputError: no such scene file, an invalid one, or positions that cannot be held out as the design asks.
        """
        if name not in self._connectors:
            path = self.scenes / f"{name}.toml"
            if not path.is_file():
                offered = ", ".join(sorted(p.stem for p in self.scenes.glob("*.toml")))
                raise InputError(
                    f"{self.spec.path.name}: scene: expected a scene in {self.scenes} ({offered}), got {name!r}"
                )
            connector = read_connector(path)
            self._connectors[name] = connector
            try:
                self._held[name] = held_out_addresses(
                    connector.positions, self.spec.held_out, self.spec.random("held_out", name), name
                )
            except InputError as error:
                raise InputError(f"{self.spec.path.name}: {error}") from None
        return self._connectors[name]

    def block(self, scene: str, positions: str) -> list[str]:
        """Return the addresses of a scene's positions; `positions` says which: ALL, TRAINING or HELD_OUT."""
        connector = self.connector(scene)
        held = self._held[scene]
        return [
            p.address for p in connector.positions if positions == ALL or (p.address in held) == (positions == HELD_OUT)
        ]

    def check_levels(self, rows: Sequence[Row]) -> None:
        """Check that each row's housing, terminal and lighting exist in its scene.

        Raises:
            InputError: its message has one line per unknown level, not per row.
        """
        problems = []
        for scene, column, level in dict.fromkeys(
            (row.levels["scene"], column, row.levels[column])
            for row in rows
            for column in ("housing", "terminal", "lighting")
        ):
            connector = self.connector(scene)
            offered = {
                "housing": connector.housings,
                "terminal": connector.terminal_names,
                "lighting": connector.lightings,
            }
            if level not in offered[column]:
                problems.append(
                    f"{self.spec.path.name}: {column}: expected the name of a {column} of scene {scene} "
                    f"({', '.join(offered[column])}), got {level!r}"
                )
        if problems:
            raise InputError(problems)


def edge_addresses(positions: Sequence[Position]) -> set[str]:
    """Return the addresses of positions at the edge of the pattern: those without a neighbour on at least one side."""
    found = set()
    for position in positions:
        others = [(p.x_mm - position.x_mm, p.y_mm - position.y_mm) for p in positions if p is not position]
        nearest = min((math.hypot(*step) for step in others), default=0.0)
        angles = sorted(math.atan2(dy, dx) for dx, dy in others if math.hypot(dx, dy) <= _NEAR * nearest)
        gaps = [b - a for a, b in zip(angles, [*angles[1:], angles[0] + 2 * math.pi], strict=True)] if angles else []
        if not gaps or max(gaps) >= _OPEN_RAD:
            found.add(position.address)
    return found


def neighbours(positions: Sequence[Position]) -> dict[str, list[str]]:
    """Return, by address, the addresses nearest to it (up to 1.25 times the smallest distance), in connector order."""
    found = {}
    for position in positions:
        apart = {
            other.address: math.hypot(other.x_mm - position.x_mm, other.y_mm - position.y_mm)
            for other in positions
            if other is not position
        }
        nearest = min(apart.values(), default=0.0)
        found[position.address] = [address for address, gap in apart.items() if gap <= _NEXT * nearest]
    return found


def held_out_addresses(
    positions: Sequence[Position], wanted: int | float | Sequence[str] | None, source: random.Random, scene: str
) -> tuple[str, ...]:
    """Choose the held-out addresses, where no training picture has a defect; returned in the order of the connector.

    Args:
        positions: all positions of one connector.
        wanted: positions to hold out: number (int), share (float below 1), or addresses; None: none.
        source: random generator that draws within each stratum (edge and inside of each row).
        scene: name of the scene, for messages.

    Raises:
        InputError: an unknown address, or no position left for training.
    """
    if wanted is None:
        return ()
    known = [position.address for position in positions]
    if not isinstance(wanted, int | float):
        strange = [address for address in wanted if address not in known]
        if strange:
            raise InputError(
                f"positions.held_out: expected addresses of scene {scene} ({known[0]} to {known[-1]}), "
                f"got {', '.join(strange)}"
            )
        chosen = set(wanted)
    else:
        count = wanted if isinstance(wanted, int) else max(1, round(wanted * len(known)))
        chosen = _drawn(positions, min(count, len(known)), source)
    if len(chosen) >= len(known):
        raise InputError(
            f"positions.held_out: expected fewer positions than the {len(known)} of scene {scene}, so that one is left "
            f"for training, got {wanted if isinstance(wanted, int | float) else 'all positions'}"
        )
    return tuple(address for address in known if address in chosen)


def _drawn(positions: Sequence[Position], count: int, source: random.Random) -> set[str]:
    """Draw `count` addresses, from each stratum in proportion (largest remainder method)."""
    edge = edge_addresses(positions)
    strata: dict[tuple[int, bool], list[str]] = {}
    for position in positions:
        strata.setdefault((position.row, position.address in edge), []).append(position.address)
    shares = {key: count * len(members) / len(positions) for key, members in strata.items()}
    quotas = {key: math.floor(share + 1e-9) for key, share in shares.items()}
    # Ties are broken at random, or the first row would always have one more.
    ranked = sorted(strata, key=lambda key: (quotas[key] - shares[key], source.random()))
    for key in ranked[: count - sum(quotas.values())]:
        quotas[key] += 1
    return {address for key, members in strata.items() for address in source.sample(members, quotas[key])}
