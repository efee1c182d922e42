"""Random and kill tests run longer in `make soak`: PINSIGHT_SOAK=N times as many examples, drawn anew."""

import os

import pytest

SOAK = int(os.environ.get("PINSIGHT_SOAK", "1"))


def times(count: int) -> int:
    """The number of examples of a short random test: `count`, in a soak PINSIGHT_SOAK times as many."""
    return count * SOAK


def rounds(count: int) -> list:
    """The numbers of a test's rounds: `count` in every run; those that a soak adds are marked `soak`."""
    return [*range(count), *(pytest.param(n, marks=pytest.mark.soak) for n in range(count, times(count)))]
