"""The copies that a plan's operations make of one picture."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generator.augmenting.orientation import REVERSE, TURN
from generator.augmenting.transforms import (
    Move,
    left_half,
    mirrored,
    relit,
    right_half,
    trimmed,
    turned,
    warped,
)

COPIES = {
    "cut": ("left", "right"),
    "reverse": ("reverse",),
    "plus90": ("plus90",),
    "light": ("light",),
    "warp": ("warp",),
}
_MOVES = {"left": left_half, "right": right_half, "reverse": mirrored, "plus90": turned}


@dataclass(frozen=True)
class Copy:
    """One copy: what it is called, how pixels move, whether its light is drawn anew, and what its places are called.

    Attributes:
        naming: REVERSE or TURN where the names of places change.
    """

    name: str
    move: Move
    relight: np.random.Generator | None = None
    naming: str | None = None

    def pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The copy's pixels."""
        moved = self.move.pixels(pixels)
        return moved if self.relight is None else relit(moved, self.relight)


def copies(operations: Sequence[str], size: tuple[int, int], seed: int, file: str, trim: bool = True) -> Iterator[Copy]:
    """The copies of one picture; the same for the same seed and name, whatever else is in the plan.

    Args:
        operations: of the plan's line.
        size: (W, H) px.
        seed: of all draws.
        file: the picture's name in the plan.
        trim: cut edges off at random.
    """
    for operation in operations:
        for name in COPIES[operation]:
            if name == "left" and size[0] < 2:
                continue
            rng = np.random.default_rng(list(hashlib.sha256(f"{seed} {file} {name}".encode()).digest()[:16]))
            if name == "light":
                identity = Move(size, size, (1, 0, 0, 0, 1, 0))
                yield Copy(name, identity, relight=rng)
                continue
            if name == "warp":
                yield Copy(name, warped(size, rng))
                continue
            move = _MOVES[name](size)
            if trim:
                move = move.then(trimmed(move.out, rng))
            yield Copy(name, move, naming={"reverse": REVERSE, "plus90": TURN}.get(name))
