"""Pictures of what an inspection found, drawn with Pillow alone so that an edge computer can."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from generator.soart.inspection import Finding
from generator.soart.soart3_maps import CHANNELS

RED, GREEN, WHITE, INK = (226, 52, 52), (60, 190, 90), (255, 255, 255), (30, 30, 30)
# Dark to bright, in even steps of lightness, so that it reads in grey too.
HEAT = np.array([[8, 8, 30], [70, 18, 100], [160, 40, 100], [230, 90, 50], [252, 170, 40], [252, 250, 160]], float)


def heat(values: np.ndarray, low: float, high: float) -> Image.Image:
    """A map in false colours from low (dark) to high (bright)."""
    levels = np.linspace(0, len(HEAT) - 1, 256)
    colours = np.stack([np.interp(levels, range(len(HEAT)), HEAT[:, c]) for c in range(3)], axis=-1)
    share = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return Image.fromarray(np.round(colours).astype(np.uint8)[np.round(255 * share).astype(np.uint8)])


def overlay(picture: Image.Image, finding: Finding) -> Image.Image:
    """The picture with what stands out glowing, boxed, and the pins that are NG named.

    Args:
        picture: as inspected.
        finding: of this picture.
    """
    rgb = picture.convert("RGB")
    glow = Image.fromarray(np.round(np.clip((finding.anomaly - 0.6) / 1.4, 0, 1) * (255 * 0.65)).astype(np.uint8))
    factor = max(1, round(900 / rgb.width))
    large = Image.composite(heat(finding.anomaly, 0, 2), rgb, glow).resize(
        (rgb.width * factor, rgb.height * factor), Image.Resampling.BICUBIC
    )
    strip = 24
    sheet = Image.new("RGB", (large.width, large.height + strip), INK)
    sheet.paste(large, (0, strip))
    draw = ImageDraw.Draw(sheet)
    for x1, y1, x2, y2, _ in finding.boxes:
        frame = [x1 * factor, y1 * factor + strip, x2 * factor, y2 * factor + strip]
        draw.rectangle(frame, outline=RED, width=2)
    for (pin, bad), box in zip(finding.pins, finding.pin_boxes, strict=True):
        if bad:
            x1, y1, x2, y2 = (v * factor for v in box)
            draw.rectangle([x1, y1 + strip, x2, y2 + strip], outline=WHITE, width=1)
            draw.text((x1, max(strip, y1 + strip - 12)), pin.address, fill=WHITE)
    colour = RED if finding.verdict == "NG" else GREEN
    bad_pins = "; ".join(f"{pin.address}: {pin.hint}" for pin, bad in finding.pins if bad)
    draw.text((6, 6), f"{finding.verdict}   {finding.score:.2f} of the limit   {bad_pins}", fill=colour)
    return sheet


def figure(picture: Image.Image, finding: Finding, width: int = 420) -> Image.Image:
    """The picture, the three stage 1 maps and the anomaly degree, side by side."""
    count = len(finding.maps) // 3
    panels = [("picture", picture.convert("RGB"))]
    for c, name in enumerate(CHANNELS):
        values = finding.maps.reshape(count, 3, *finding.maps.shape[1:])[:, c].mean(axis=0)
        low, high = np.percentile(values, [1, 99.8])
        panels.append((f"{name}  {low:.2f} to {high:.2f}", heat(values, low, high)))
    panels.append(("anomaly  0 to 2 of the limit", heat(finding.anomaly, 0, 2)))
    height = round(width * picture.height / picture.width)
    sheet = Image.new("RGB", (3 * (width + 8) + 8, 2 * (height + 26) + 8), WHITE)
    draw = ImageDraw.Draw(sheet)
    for number, (name, panel) in enumerate(panels):
        x, y = 8 + number % 3 * (width + 8), 4 + number // 3 * (height + 26)
        draw.text((x, y + 4), name, fill=INK)
        sheet.paste(panel.resize((width, height), Image.Resampling.BICUBIC), (x, y + 20))
    return sheet
