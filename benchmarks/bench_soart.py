"""Time of SOART3 of 62,500 windows, compared with a plain loop: `python -m benchmarks.bench_soart`.

The loop is how the method is usually programmed: Python over the windows, a dot product compiled by Numba, SciPy's
chebyshev. Its maps are compared with those of `soart3_map`. Times are medians; ratios are of one run. The bound
is the time for a map's multiplications, additions, absolute values and maxima at the rate that this machine reaches on
numbers in its first-level cache. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
from scipy.spatial.distance import chebyshev

from generator.soart.estimator import SoartC
from generator.soart.kernels import EPSILON, fma
from generator.soart.soart3_maps import mean_window, soart3_map

WINDOW = 16
GRID = 250


@numba.njit
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Return the dot product of two vectors; it is the only compiled part of the plain loop."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@numba.njit(parallel=True)
def multiply_adds(values: np.ndarray, rounds: int) -> None:
    """Do `rounds` fused multiply-adds on each value, in place, with one thread per row of `values`."""
    for row in numba.prange(values.shape[0]):
        line = values[row]
        for _ in range(rounds):
            for j in range(line.size):
                scale, offset = line.dtype.type(0.999), line.dtype.type(0.001)
                line[j] = fma(line[j], scale, offset)


def rate(dtype: type, rounds: int = 20_000) -> float:
    """Return how many fused multiply-adds of type `dtype` all threads together do per second, over `rounds` rounds."""
    values: np.ndarray = np.ones((numba.get_num_threads(), 1024), dtype)
    return values.size * rounds / seconds(lambda: multiply_adds(values, rounds), 5)


def loop_rows(image: np.ndarray, patch: np.ndarray, rows: int) -> np.ndarray:
    """Compute SOART3's maps (3, rows, GRID) of the first `rows` rows of windows by a loop; `patch` is the reference."""
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
    """Return the median wall time of `repeats` calls in seconds, after one warm-up call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@dataclass(frozen=True)
class Maps:
    """Seconds that each method takes for one picture's maps, and the difference between two methods.

    Args:
        loop: Seconds of the Python loop over all windows.
        own, golden: Seconds of `soart3_map` with the mean window, and with a golden picture, as reference.
        gram: As `golden`, on row-Gram matrices.
        full: Seconds of `SoartC.anomaly` on row-Gram matrices, with registration.
        difference: Largest difference between the loop's maps and those of `own`.
    """

    loop: float
    own: float
    golden: float
    gram: float
    full: float
    difference: float


def timed_maps(rows: int, repeats: int) -> Maps:
    """Time the loop on `rows` rows of windows, scaled up to all rows, and each `soart3_map` with `repeats` calls."""
    image, golden = np.random.default_rng(1).random((2, GRID + WINDOW - 1, GRID + WINDOW - 1))
    patch = mean_window(image, WINDOW)
    dot(patch.ravel(), patch.ravel())
    start = time.perf_counter()
    expected = loop_rows(image, patch, rows)
    loop = (time.perf_counter() - start) * GRID / rows
    maps = soart3_map(image, None, WINDOW)
    members = np.clip(golden * 0.5 + 0.05 * np.random.default_rng(2).random((4, *golden.shape)), 0, 1)
    model = SoartC(window=WINDOW, similarity="gram").fit(list(members.astype(np.float32)))
    picture = members[0].astype(np.float32)
    return Maps(
        loop=loop,
        own=seconds(lambda: soart3_map(image, None, WINDOW), repeats),
        golden=seconds(lambda: soart3_map(image, golden, WINDOW), repeats),
        gram=seconds(lambda: soart3_map(image, golden, WINDOW, similarity="gram"), repeats),
        full=seconds(lambda: model.anomaly(picture), max(1, repeats // 2)),
        difference=float(np.abs(maps[:, :rows] - expected).max()),
    )


def arithmetic_bounds() -> dict[str, float]:
    """Return the seconds of each map's arithmetic alone at the measured `rate`, by the map's name."""
    # Operations per pixel: beta 1 in double; residual 2, its absolute value, sum and maximum in single precision.
    pixels = GRID * GRID * WINDOW * WINDOW
    single, double = rate(np.float32), rate(np.float64)
    # Per Gram entry: beta 2, residual, absolute value, sum and maximum, all in double; w (w + 1) / 2 entries a window.
    entries = GRID * GRID * WINDOW * (WINDOW + 1) // 2
    return {"self": pixels / double + 5 * pixels / single, "golden": 5 * pixels / single, "gram": 6 * entries / double}


def main() -> int:
    """Print the times as a table and as JSON; returns 1 if loop and `soart3_map` differ by 1e-5 or more, else 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rows",
        type=int,
        default=GRID,
        help=f"rows of windows that the loop in Python computes; its time is scaled to {GRID} rows (default: {GRID})",
    )
    parser.add_argument("--repeats", type=int, default=50, help="calls of which the median is taken (default: 50)")
    options = parser.parse_args()
    if not 1 <= options.rows <= GRID or options.repeats < 1:
        parser.error(f"expected --rows 1 to {GRID} and --repeats 1 or more, got {options.rows} and {options.repeats}")
    spent, bounds = timed_maps(options.rows, options.repeats), arithmetic_bounds()
    threads = numba.get_num_threads()
    print(f"{GRID * GRID:,} windows of {WINDOW} x {WINDOW}, {threads} threads")
    print(f"  Python loop, jitted dot, SciPy chebyshev  {1e3 * spent.loop:9.1f} ms")
    for name, own in (("self", spent.own), ("golden", spent.golden), ("gram", spent.gram)):
        call = f"soart3_map, {name}"
        times = f"{spent.loop / own:6.0f} times as fast as the loop; arithmetic alone takes {1e3 * bounds[name]:.2f} ms"
        print(f"  {call:<40}  {1e3 * own:9.2f} ms   {times}")
    faster = f"{spent.loop / spent.full:6.0f} times as fast as the loop"
    print(f"  {'SoartC.anomaly, gram, registered':<40}  {1e3 * spent.full:9.2f} ms   {faster}")
    print(f"  largest difference of loop and soart3_map {spent.difference:9.1e}")
    result = {
        "benchmark": "soart3_map",
        "windows": GRID * GRID,
        "window": WINDOW,
        "threads": threads,
        "loop_s": round(spent.loop, 4),
        "self_ms": round(1e3 * spent.own, 3),
        "golden_ms": round(1e3 * spent.golden, 3),
        "ratio_self": round(spent.loop / spent.own, 1),
        "ratio_golden": round(spent.loop / spent.golden, 1),
        "gram_ms": round(1e3 * spent.gram, 3),
        "soartc_gram_ms": round(1e3 * spent.full, 3),
        "ratio_gram": round(spent.loop / spent.gram, 1),
        "ratio_soartc_gram": round(spent.loop / spent.full, 1),
        "bound_ms": {name: round(1e3 * bound, 3) for name, bound in bounds.items()},
        "largest_difference": spent.difference,
    }
    print(json.dumps(result))
    return 0 if spent.difference < 1e-5 else 1


if __name__ == "__main__":
    sys.exit(main())
