"""What is drawn at random or killed is tried longer by `make soak`: PINSIGHT_SOAK=N times as often, and otherwise."""

import os

import pytest

SOAK = int(os.environ.get("PINSIGHT_SOAK", "1"))


def times(count: int) -> int:
    """How often something short and random is tried: `count` times, in a soak as many times more."""
    return count * SOAK


def rounds(count: int) -> list:
    """Numbers of the rounds of a test: `count` in every run; those that a soak adds are marked as such."""
    return [*range(count), *(pytest.param(n, marks=pytest.mark.soak) for n in range(count, times(count)))]
