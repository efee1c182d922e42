"""Draw the result of an inspection with Pillow: the picture with its anomalies, and the maps behind the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import batched

import numpy as np
from PIL import Image

from generator.io.drawing import PAPER, Box, Cell, draw_boxes, enlargement, grid, under_verdict
from generator.soart.inspection import NOT_SEEN, Finding
from generator.soart.soart3_maps import CHANNELS
from generator.verdict.envelope import Verdict

# Colours from dark to bright in even steps of lightness, readable without colour vision too.
HEAT = np.array([[8, 8, 30], [70, 18, 100], [160, 40, 100], [230, 90, 50], [252, 170, 40], [252, 250, 160]], float)


def heat(values: np.ndarray, low: float, high: float) -> Image.Image:
    """Draw a map (h, w) in false colours: the darkest for values <= `low`, the brightest for values >= `high`."""
    levels = np.linspace(0, len(HEAT) - 1, 256)
    colours = np.stack([np.interp(levels, range(len(HEAT)), HEAT[:, c]) for c in range(3)], axis=-1)
    share = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return Image.fromarray(np.round(colours).astype(np.uint8)[np.round(255 * share).astype(np.uint8)])


def overlay(picture: Image.Image, finding: Finding) -> Image.Image:
    """Draw an inspected picture under its verdict, with boxes round anomalies and round pins that are not OK."""
    rgb = picture.convert("RGB")
    if finding.boxes:
        glow = Image.fromarray(np.round(np.clip((finding.anomaly - 0.6) / 1.4, 0, 1) * (255 * 0.65)).astype(np.uint8))
        rgb = Image.composite(heat(finding.anomaly, 0, 2), rgb, glow)
    boxes = [Box(box[:4], "anomaly") for box in finding.boxes]
    for pin in finding.pins:
        box, address = pin.box, pin.measure.address
        if pin.is_named:
            boxes.append(Box(box, pin.decision, address))
        elif pin.decision == NOT_SEEN and box[2] > 0 and box[3] > 0 and box[0] < rgb.width and box[1] < rgb.height:
            boxes.append(Box(box, "INVALID", address))
    sheet = draw_boxes(rgb, boxes, enlargement(rgb.size, 900))
    return under_verdict(sheet, finding.verdict, "  ".join(finding.reasons) or f"{finding.score:.2f} times the limit")


def unreadable(reason: str) -> Image.Image:
    """Draw what stands in place of an overlay if a picture cannot be read: the verdict INVALID and the reason."""
    return under_verdict(Image.new("RGB", (900, 300), PAPER), str(Verdict.INVALID), reason)


def figure(picture: Image.Image, finding: Finding, width: int = 420) -> Image.Image:
    """Draw a picture, its three SOART3 maps and its anomaly degree on one sheet, each `width` px wide."""
    count = len(finding.maps) // 3
    panels = [("picture", picture.convert("RGB"))]
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
