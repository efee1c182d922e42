"""One batch of a gauge's training: crops and their truth."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """N crops and their truth.

    Attributes:
        crops: (N, 3, S, S) from 0 to 1.
        marks, besides: (N, 2) px where the points are expected.
        kinds: (N,) of the queries.
        truth: (N, 2, 2) px of the two points; without a pin, where they are expected.
        present: (N,) 1 with a pin, 0 without, -1 for edges.
    """

    crops: Tensor
    marks: Tensor
    besides: Tensor
    kinds: Tensor
    truth: Tensor
    present: Tensor
