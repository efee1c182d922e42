"""The instance mask: which pin each pixel shows, rendered finer than the picture; visible boxes come from it.

A visible box ends at the outermost mask pixel of a pin, except at slivers: thin strips seen between two other pins
(docs/explanation/coordinates.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from blender_scripts.geometry.hulls import Box, convex_hulls
from blender_scripts.geometry.lens import Window
from blender_scripts.geometry.outlines import FlawOutline, Outline

# Codes in the mask: a pin's own index, and these.
HOUSING_CODE = 30000
CAVITY_CODES = 20000
# A sliver (a strip of a pin, seen between two others) is long and too thin to be measured: see _side.
_SLIVER_PX2 = 2.0
_HIDDEN_PX2 = 0.5
_SLIVER_PX = 0.6
# A box edge is rendered again, FINER times finer, if it would move by more than _DOUBT_PX with +-25 % of the sliver's
# area, or with _UNSURE_PX / scale px^2 more or less hidden, the error of counting mask pixels along edges.
_DOUBT_PX = 0.75
_UNSURE_PX = 9.0
FINER = 4
_MARGIN_PX = 2
# A render call costs about as much time as this many mask samples.
_CALL_SAMPLES = 16000


def mask_bands(
    outlines: Sequence[Outline], flaws: Sequence[FlawOutline], width: int, height: int, scale: int
) -> list[Window]:
    """Separate windows (px) that together hold every pin and flaw, merged where that is cheaper to render.

    Args:
        outlines: outline of every position.
        flaws: outline of every flaw.
        width, height: size of the picture in px.
        scale: mask pixels per picture pixel.
    """
    windows: list[Window] = []
    boxes = [outline.reach for outline in outlines]
    boxes += [flaw.amodal for flaw in flaws if flaw.amodal is not None and flaw.has_pixels]
    for x1, y1, x2, y2 in sorted(boxes, key=lambda box: box[1]):
        window = Window(
            max(math.floor(x1 - _MARGIN_PX), 0),
            max(math.floor(y1 - _MARGIN_PX), 0),
            min(math.ceil(x2 + _MARGIN_PX), width),
            min(math.ceil(y2 + _MARGIN_PX), height),
        )
        if window.x1 >= window.x2 or window.y1 >= window.y2:
            continue
        if windows:
            both = windows[-1].around(window)
            gap = both.area - windows[-1].area - window.area
            if window.y1 <= windows[-1].y2 or gap * scale**2 < _CALL_SAMPLES:
                windows[-1] = both
                continue
        windows.append(window)
    return windows


@dataclass(frozen=True)
class Mask:
    """The instance mask, in bands that hold the pins: codes (h * scale, w * scale) for h x w picture pixels.

    Attributes:
        scale: mask pixels per picture pixel.
        bands: each band's window in px, and its codes.
        closer: finer masks by code; the box of such a code is taken from its finer mask.
    """

    scale: int
    bands: list[tuple[Window, np.ndarray]]
    closer: Mapping[int, Mask] = field(default_factory=dict)

    def seen(self, code: int, near: Box, hulls: np.ndarray | None = None) -> tuple[Box | None, int]:
        """The box of a code's visible pixels, px, and the number of its mask pixels; None and 0 where there are none.

        Args:
            code: number of a pin, flaw or cavity in the mask.
            near: a box that holds all pixels of this code, px.
            hulls: its unoccluded outline as convex hulls, px; None: slivers (see `_side`) count in full.
        """
        box, count, _ = self._measured(code, near, hulls)
        if code in self.closer:
            box, _ = self.closer[code].seen(code, near, hulls)
        return box, count

    def doubtful(self, outlines: Sequence[Outline]) -> list[int]:
        """Numbers, from 0, of the outlines whose visible box ends at a strip too narrow to trust (a sliver)."""
        return [
            number
            for number, outline in enumerate(outlines)
            if outline.amodal is not None and self._measured(number + 1, outline.amodal, outline.hulls)[2] > _DOUBT_PX
        ]

    def _measured(self, code: int, near: Box, hulls: np.ndarray | None) -> tuple[Box | None, int, float]:
        """Box and count as in `seen`, without finer masks, and the uncertainty of the least certain edge, px."""
        x1, y1, x2, y2 = near
        for window, indices in self.bands:
            if y1 - 1.0 > window.y2 or y2 + 1.0 < window.y1:
                continue
            left = max(0, math.floor((x1 - 1.0 - window.x1) * self.scale))
            top = max(0, math.floor((y1 - 1.0 - window.y1) * self.scale))
            right = max(0, math.ceil((x2 + 1.0 - window.x1) * self.scale))
            bottom = max(0, math.ceil((y2 + 1.0 - window.y1) * self.scale))
            here = indices[top:bottom, left:right] == code
            lines = [here.sum(axis=axis).tolist() for axis in (0, 1)]
            count = sum(lines[1])
            if not count:
                continue
            columns, rows = (_sides(line, self.scale, 0.0) for line in lines)
            spread = 0.0
            most = min(_SLIVER_PX2, count / self.scale**2 / 8.0)
            # At mask scale 1 a sliver cannot be recognised.
            if (
                hulls is not None
                and self.scale > 1
                and any(
                    _sides(line, self.scale, 1.25 * most) != whole
                    for line, whole in zip(lines, (columns, rows), strict=True)
                )
            ):
                corner = left + window.x1 * self.scale, top + window.y1 * self.scale
                hidden = (_covered(hulls, corner, here.shape, self.scale) - count) / self.scale**2
                unsure = _UNSURE_PX / self.scale
                least, sliver, largest = (
                    share * min(max(hidden - _HIDDEN_PX2 + more, 0.0), most)
                    for share, more in ((0.75, -unsure), (1.0, 0.0), (1.25, unsure))
                )
                columns, rows = (_sides(line, self.scale, sliver) for line in lines)
                for line in lines:
                    ends = (_sides(line, self.scale, area) for area in (least, largest))
                    spread = max(spread, *(abs(one - other) for one, other in zip(*ends, strict=True)))
            found = (left + columns[0], top + rows[0], left + columns[1], top + rows[1])
            origin = (window.x1, window.y1, window.x1, window.y1)
            box = [edge / self.scale + start for edge, start in zip(found, origin, strict=True)]
            return box, count, spread / self.scale
        return None, 0, 0.0

    def picture(self, width: int, height: int, most: int) -> np.ndarray:
        """The mask at picture size, (height, width) uint16: each pixel's commonest code; above `most` counts as 0."""
        picture = np.zeros((height, width), np.uint16)
        for window, indices in self.bands:
            pins = np.where(indices <= most, indices, 0).astype(np.uint16)
            picture[window.y1 : window.y2, window.x1 : window.x2] = _majority(pins, self.scale)
        return picture


def _sides(lines: list[int], scale: int, sliver_px2: float) -> tuple[float, float]:
    """Where the pixels of a code begin and end, in lines of mask pixels, each as `_side` finds it."""
    return _side(lines, scale, sliver_px2), len(lines) - _side(lines[::-1], scale, sliver_px2)


def _side(counts: list[int], scale: int, sliver_px2: float) -> float:
    """The line at which a code's pixels begin, in mask pixels; `counts` holds their number in each row or column.

    This is the first line that has some, unless the first `sliver_px2` of them extend over more than 0.6 px: then the
    side moves inwards, gradually, up to where they end. Otherwise chance would decide at any scale whether the mask
    shows a sliver (a thin strip between two other pins), and the side would jump by pixels.
    """
    least = sliver_px2 * scale**2
    first = next(i for i, count in enumerate(counts) if count)
    last, reached = first, float(counts[first])
    while reached < least:
        last += 1
        reached += counts[last]
    return first + min(last - first, max(0.0, 2.0 * (last - first - _SLIVER_PX * scale)))


def _covered(hulls: np.ndarray, corner: tuple[int, int], shape: tuple[int, int], scale: int) -> int:
    """The number of mask pixels whose centre lies in the union of convex hulls.

    Args:
        hulls: (S, V, 2) px of the picture.
        corner: first column and row of the searched rectangle, in mask pixels.
        shape: its number of rows and columns.
        scale: mask pixels per picture pixel.
    """
    x, y = ((start + np.arange(size) + 0.5) / scale for start, size in zip(corner, shape[::-1], strict=True))
    inside = np.zeros(shape, bool)
    for hull in convex_hulls(hulls):
        step = np.roll(hull, -1, axis=0) - hull
        # Inside is left of every edge: across . (x, y) >= least.
        across = np.stack([-step[:, 1], step[:, 0]], axis=1)
        least = np.sum(across * hull, axis=1)
        values = (across[:, 0, None] * x - least[:, None])[:, None] + across[:, 1, None, None] * y[:, None]
        inside |= np.all(values >= 0.0, axis=0)
    return int(np.count_nonzero(inside))


def _majority(indices: np.ndarray, scale: int) -> np.ndarray:
    """The most frequent code of each block of scale x scale mask pixels; of equally frequent codes the smallest."""
    rows, columns = indices.shape[0] // scale, indices.shape[1] // scale
    blocks = indices.reshape(rows, scale, columns, scale).swapaxes(1, 2).reshape(rows, columns, scale * scale)
    result = blocks[..., 0].copy()
    mixed = np.any(blocks != blocks[..., :1], axis=-1)
    samples = np.sort(blocks[mixed], axis=-1)
    best, votes = np.zeros(len(samples), np.uint16), np.zeros(len(samples), int)
    for i in range(scale * scale):
        count = np.count_nonzero(samples == samples[:, i : i + 1], axis=-1)
        better = count > votes
        best[better], votes[better] = samples[better, i], count[better]
    result[mixed] = best
    return result
