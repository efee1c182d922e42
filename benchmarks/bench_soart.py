"""SOART3 of 62,500 windows against the loop that it replaces, in one run: `python -m benchmarks.bench_soart`.

The loop is the way the method is usually programmed: Python over the windows, a dot product compiled by Numba,
SciPy's chebyshev. Both compute the same numbers, which is checked. The last line is the result as JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable

import numba
import numpy as np
from scipy.spatial.distance import chebyshev

from generator.soart import EPSILON, mean_window, soart3_map

WINDOW = 16
GRID = 250


@numba.njit
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The one compiled piece of the loop."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


def loop_rows(image: np.ndarray, patch: np.ndarray, rows: int) -> np.ndarray:
    """SOART3 of the first rows of windows, one window after another: (3, rows, GRID)."""
    maps = np.empty((3, rows, GRID))
    x = patch.ravel()
    for i in range(rows):
        for j in range(GRID):
            y = image[i : i + WINDOW, j : j + WINDOW].ravel()
            beta = (dot(x, y) + EPSILON) / (dot(x, x) + EPSILON)
            expected = beta * x
            log_yita = math.log(np.abs(y - expected).sum() + 1)
            maps[:, i, j] = math.log(beta), log_yita, math.log(chebyshev(y, expected) + 1) - log_yita
    return maps


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Median time of a call, after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows", type=int, default=GRID, help="rows of windows that the loop walks; its time is scaled up"
    )
    parser.add_argument(
        "--repeats", type=int, default=50, help="calls of the map of which the median is taken"
    )
    options = parser.parse_args()
    if not 1 <= options.rows <= GRID or options.repeats < 1:
        parser.error(f"expected --rows from 1 to {GRID} and --repeats from 1")
    image, golden = np.random.default_rng(1).random((2, GRID + WINDOW - 1, GRID + WINDOW - 1))
    patch = mean_window(image, WINDOW)

    dot(patch.ravel(), patch.ravel())
    start = time.perf_counter()
    expected = loop_rows(image, patch, options.rows)
    loop = (time.perf_counter() - start) * GRID / options.rows

    maps = soart3_map(image, None, WINDOW)
    difference = float(np.abs(maps[:, : options.rows] - expected).max())
    own = seconds(lambda: soart3_map(image, None, WINDOW), options.repeats)
    against_golden = seconds(lambda: soart3_map(image, golden, WINDOW), options.repeats)
    result = {
        "benchmark": "soart3_map",
        "windows": GRID * GRID,
        "window": WINDOW,
        "threads": numba.get_num_threads(),
        "loop_s": round(loop, 4),
        "self_ms": round(1e3 * own, 3),
        "golden_ms": round(1e3 * against_golden, 3),
        "ratio_self": round(loop / own, 1),
        "ratio_golden": round(loop / against_golden, 1),
        "largest_difference": difference,
    }
    print(f"{GRID * GRID:,} windows of {WINDOW} x {WINDOW}, {result['threads']} threads")
    print(f"  Python loop, jitted dot, SciPy chebyshev  {1e3 * loop:9.1f} ms")
    for name, spent in (("self", own), ("golden", against_golden)):
        call = f"soart3_map, {name} reference"
        print(f"  {call:<40}  {1e3 * spent:9.2f} ms   {loop / spent:6.0f} times faster")
    print(f"  largest difference between both           {difference:9.1e}")
    print(json.dumps(result))
    return 0 if difference < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
