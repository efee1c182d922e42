"""List the copies of one picture that a plan's operations ask for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from generator.augmenting.orientation import REVERSE, TURN
from generator.augmenting.transforms import Move, left_half, mirrored, relit, right_half, trimmed, turned, warped

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
    """One copy of a picture.

    Attributes:
        name: suffix of its file name or run name, such as reverse.
        move: transform from the original's pixels to the copy's.
        relight: random generator for a change of light; None: no change.
        naming: REVERSE (a flip) or TURN (by 90 degrees) if the pins' addresses change; None: they do not.
    """

    name: str
    move: Move
    relight: np.random.Generator | None = None
    naming: str | None = None

    def pixels(self, pixels: np.ndarray) -> np.ndarray:
        """Compute the copy's pixels from the original's; both are (H, W) or (H, W, channels)."""
        moved = self.move.pixels(pixels)
        return moved if self.relight is None else relit(moved, self.relight)


def copies(operations: Sequence[str], size: tuple[int, int], seed: int, file: str, trim: bool = True) -> Iterator[Copy]:
    """Yield the copies of one picture; they depend only on these arguments, not on other pictures of the plan.

    `cut` gives two copies (left, right; of a picture 1 px wide, only right), every other operation one.

    Args:
        operations: operations that the plan has for this picture, such as `reverse`.
        size: (W, H) of the picture in px.
        seed: seed of all random choices.
        file: name of the picture in the plan.
        trim: whether halves and turned or mirrored copies lose strips of random width at their edges.
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
