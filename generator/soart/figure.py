"""Draw the result of an inspection with Pillow: the picture with its anomalies, and the maps behind the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import batched

import numpy as np
from PIL import Image, ImageChops

from generator.io.drawing import PAPER, Box, Cell, draw_boxes, enlargement, grid, under_title, under_verdict
from generator.soart.inspection import NOT_SEEN, UNNOTICED, Finding, InspectedPin
from generator.soart.soart3_maps import CHANNELS
from generator.verdict.envelope import Verdict

# Colours from dark to bright in even steps of lightness, readable without colour vision too.
HEAT = np.array([[8, 8, 30], [70, 18, 100], [160, 40, 100], [230, 90, 50], [252, 170, 40], [252, 250, 160]], float)

# A picture is dark if fewer than 0.5 % of its pixels, of which glints are a few, are brighter than DARK in any colour.
# It is drawn so that these reach BRIGHT; between the two values pictures are bright enough as they are.
DARK, BRIGHT, GLINTS = 160, 220, 0.005


def brightened(picture: Image.Image) -> tuple[Image.Image, float]:
    """Return a picture as RGB, a dark one brighter, and the factor by which its values were multiplied.

    The factor is 1 for a picture that is not dark.
    """
    rgb = picture.convert("RGB")
    red, green, blue = rgb.split()
    counts = np.cumsum(ImageChops.lighter(ImageChops.lighter(red, green), blue).histogram())
    bright = int(np.searchsorted(counts, (1 - GLINTS) * counts[-1]))
    if bright >= DARK:
        return rgb, 1.0
    factor = BRIGHT / max(bright, 1)
    return rgb.point([min(255, round(level * factor)) for level in range(256)] * 3), factor


def heat(values: np.ndarray, low: float, high: float) -> Image.Image:
    """Draw a map (h, w) in false colours: the darkest for values <= `low`, the brightest for values >= `high`."""
    levels = np.linspace(0, len(HEAT) - 1, 256)
    colours = np.stack([np.interp(levels, range(len(HEAT)), HEAT[:, c]) for c in range(3)], axis=-1)
    share = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return Image.fromarray(np.round(colours).astype(np.uint8)[np.round(255 * share).astype(np.uint8)])


def overlay(picture: Image.Image, finding: Finding) -> Image.Image:
    """Draw an inspected picture under its verdict, with boxes round anomalies and pins.

    Boxes of OK pins have thin lines, those of pins that would not be missed dashed ones. A dark picture is drawn
    brighter, and the sheet says by how much.
    """
    rgb, factor = brightened(picture)
    if finding.boxes:
        glow = Image.fromarray(np.round(np.clip((finding.anomaly - 0.6) / 1.4, 0, 1) * (255 * 0.65)).astype(np.uint8))
        rgb = Image.composite(heat(finding.anomaly, 0, 2), rgb, glow)
    boxes = [Box(box[:4], "anomaly") for box in finding.boxes]
    boxes += [box for pin in finding.pins if (box := _box_of(pin, rgb.size))]
    sheet = draw_boxes(rgb, boxes, enlargement(rgb.size, 900))
    if factor > 1:
        sheet = under_title(sheet, _said(factor))
    return under_verdict(sheet, finding.verdict, finding.reasons or [f"{finding.score:.2f} times the limit"])


def _box_of(pin: InspectedPin, size: tuple[int, int]) -> Box | None:
    """Return how a pin is drawn on a picture of `size`, (w, h) px; None: not at all, as its place is not known."""
    x1, y1, x2, y2 = pin.box
    if pin.is_named:
        is_unnoticed = pin.measure.hint == UNNOTICED
        return Box(pin.box, pin.decision, pin.measure.address, "dashed" if is_unnoticed else "solid")
    if pin.decision == "OK":
        return Box(pin.box, "OK", line="thin")
    is_near = pin.decision == NOT_SEEN and x2 > 0 and y2 > 0 and x1 < size[0] and y1 < size[1]
    return Box(pin.box, "INVALID", pin.measure.address) if is_near else None


def _said(factor: float) -> str:
    return f"shown {factor:.1f} times brighter"


def unreadable(reasons: Sequence[str]) -> Image.Image:
    """Draw what stands in place of an overlay if a picture cannot be read: the verdict INVALID and the reasons."""
    empty = Image.new("RGB", (900, 300), PAPER)
    return under_verdict(empty, str(Verdict.INVALID), reasons[0] if len(reasons) == 1 else reasons)


def figure(picture: Image.Image, finding: Finding, width: int = 420) -> Image.Image:
    """Draw a picture, its three SOART3 maps and its anomaly degree on one sheet, each `width` px wide."""
    count = len(finding.maps) // 3
    rgb, factor = brightened(picture)
    panels = [(f"picture, {_said(factor)}" if factor > 1 else "picture", rgb)]
    for c, name in enumerate(CHANNELS):
        values = finding.maps.reshape(count, 3, *finding.maps.shape[1:])[:, c].mean(axis=0)
        low, high = np.percentile(values, [1, 99.8])
        panels.append((f"{name}  {low:.2f} to {high:.2f}", heat(values, low, high)))
    panels.append(("anomaly  0 to 2 times the limit", heat(finding.anomaly, 0, 2)))
    size = width, round(width * picture.height / picture.width)
    return grid(batched((Cell(panel.resize(size, Image.Resampling.BICUBIC), [name]) for name, panel in panels), 3))


def sheet_of_views(sheets: Mapping[str, Image.Image], verdict: Verdict, said: str, columns: int = 2) -> Image.Image:
    """Draw the sheets of a part's views, each under the view's name, on one sheet under the part's verdict."""
    cells = batched((Cell(sheet, [view]) for view, sheet in sheets.items()), columns)
    return under_verdict(grid(cells), str(verdict), said)
