"""Random numbers that depend only on a seed and a purpose, so that adding one draw never changes another.

Every draw comes from a generator of its own, seeded by SHA-256 of (seed, purpose, keys). Only `Random.random()` is
used, whose sequence Python guarantees; numpy's distributions may change between the versions that ship with Blender.
"""

from __future__ import annotations

import hashlib
import random
from statistics import NormalDist

_STANDARD_NORMAL = NormalDist()
# Normal draws are truncated at this many standard deviations.
TRUNCATED_AT = 2.5


def generator(seed: int, purpose: str, *keys: str) -> random.Random:
    """The random generator for a seed, a purpose and keys, e.g. ``generator(row.part, "scatter", "r2c5")``."""
    name = "\x1f".join((str(seed), purpose, *keys))
    return random.Random(int.from_bytes(hashlib.sha256(name.encode()).digest(), "big"))


def uniform(source: random.Random, low: float, high: float) -> float:
    """A uniform random number from [low, high)."""
    return low + (high - low) * source.random()


def symmetric(source: random.Random, extent: float) -> float:
    """A uniform random number from [-extent, extent)."""
    return uniform(source, -extent, extent)


def normal(source: random.Random, deviation: float, limit: float = TRUNCATED_AT) -> float:
    """A random number from the normal distribution of mean 0 that is truncated at `limit` standard deviations.

    Args:
        source: the random generator.
        deviation: standard deviation before truncation.
        limit: number of standard deviations beyond which no value is drawn.
    """
    edge = _STANDARD_NORMAL.cdf(-limit)
    return deviation * _STANDARD_NORMAL.inv_cdf(uniform(source, edge, 1.0 - edge))


def integer(seed: int, purpose: str, *keys: str) -> int:
    """A random 31-bit integer for a seed, a purpose and keys, used as the seed of Cycles (Blender's renderer)."""
    return int(generator(seed, purpose, *keys).random() * 0x7FFFFFFF)
