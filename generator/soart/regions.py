"""Find the regions of a map of anomaly degrees that stand out, and their peaks."""

from __future__ import annotations

import numpy as np

from generator.soart.kernels import compiled

# An anomaly is a connected region above HALO x the limit whose peak is above the limit.
HALO = 0.5


def boxes_of(relative: np.ndarray, peaks: np.ndarray, reach: float) -> tuple[tuple[float, ...], ...]:
    """List [x1, y1, x2, y2, degree] of each anomaly, px, largest degree first.

    Args:
        relative: (H, W) degrees of a picture's pixels divided by the limit, resampled, which lowers their peaks.
        peaks: (n, 3) the peaks before resampling: degree divided by the limit, and x, y in px of the picture. An
            anomaly's degree is that of its highest peak.
        reach: largest distance of a peak from its anomaly's box, px.
    """
    found: np.ndarray = _components(np.ascontiguousarray(relative > HALO), relative)
    resampled = found[:, 4].copy()
    for degree, x, y in peaks:
        x1, y1, x2, y2 = found[:, :4].T
        within = (x1 - reach <= x) & (x <= x2 + reach) & (y1 - reach <= y) & (y <= y2 + reach)
        if within.any():  # of nested regions, the one that stands out most
            own = int(np.argmax(np.where(within, resampled, -1.0)))
            found[own, 4] = max(found[own, 4], degree)
    boxes = (tuple(float(v) for v in box[:5]) for box in found[found[:, 4] > 1])
    return tuple(sorted(boxes, key=lambda box: -box[4]))


def standing_out(relative: np.ndarray) -> np.ndarray:
    """Find components above HALO with a peak above 1, as rows of `_components`; HALO joins a word's letters to one."""
    found: np.ndarray = _components(np.ascontiguousarray(relative > HALO), relative)
    return found[found[:, 4] > 1]


def holds(part: tuple[slice, slice], places: np.ndarray) -> bool:
    """Whether one of these points (n, 2), x and y in px, lies in this part of a picture (rows, columns)."""
    rows, columns = part
    x, y = places.T
    return bool(((columns.start <= x) & (x < columns.stop) & (rows.start <= y) & (y < rows.stop)).any())


@compiled()
def _components(above: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """List box x1, y1, x2, y2, peak degree and the peak's x, y of each 8-connected region of `above`: (n, 7)."""
    height, width = above.shape
    left = above.copy()
    stack = np.empty((height * width, 2), np.int32)
    found = np.empty((256, 7), np.float64)
    count = 0
    for v in range(height):
        for u in range(width):
            if not left[v, u]:
                continue
            top, bottom, first, last, worst = v, v, u, u, 0.0
            worst_x, worst_y = u, v
            left[v, u] = False
            stack[0, 0], stack[0, 1] = v, u
            depth = 1
            while depth:
                depth -= 1
                y, x = stack[depth, 0], stack[depth, 1]
                top, bottom, first, last = min(top, y), max(bottom, y), min(first, x), max(last, x)
                if degrees[y, x] > worst:
                    worst, worst_x, worst_y = degrees[y, x], x, y
                for b in range(max(0, y - 1), min(height, y + 2)):
                    for a in range(max(0, x - 1), min(width, x + 2)):
                        if left[b, a]:
                            left[b, a] = False
                            stack[depth, 0], stack[depth, 1] = b, a
                            depth += 1
            if count == found.shape[0]:
                more = np.empty((2 * count, 7), np.float64)
                more[:count] = found
                found = more
            found[count, 0], found[count, 1], found[count, 2], found[count, 3] = (first, top, last + 1, bottom + 1)
            found[count, 4], found[count, 5], found[count, 6] = worst, worst_x, worst_y
            count += 1
    return found[:count].copy()
