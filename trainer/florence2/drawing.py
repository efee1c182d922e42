"""Boxes drawn on a picture for people, each in its label's colour with a text beside it."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

COLOURS = {"BENDNG": (255, 159, 28), "NUKENG": (255, 70, 70), "OTHERNG": (190, 90, 255)}


def draw_boxes(picture: Image.Image, boxes: Sequence[tuple[Sequence[float], str, str]], factor: int = 1) -> Image.Image:
    """A picture enlarged by a whole factor with boxes round their objects.

    Args:
        picture: RGB.
        boxes: (xyxy in px of the picture, label, text beside it).
        factor: How much larger.
    """
    sheet = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(sheet)
    size = max(10.0, sheet.height / 22)
    font = ImageFont.load_default(size=size)
    for box, label, text in boxes:
        x1, y1, x2, y2 = (round(v * factor) for v in box)
        colour = COLOURS.get(label, (90, 200, 255))
        draw.rectangle((x1 - 2, y1 - 2, x2 + 1, y2 + 1), outline=colour, width=max(1, factor // 2))
        # Above the box, or below it at the picture's top; never over what is boxed.
        left = min(x1 - 2, sheet.width - int(draw.textlength(text, font=font)) - 1)
        at, anchor = ((left, y1 - 4), "ls") if y1 > size * 1.3 else ((left, y2 + 3), "la")
        draw.text(at, text, fill=colour, font=font, anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))
    return sheet
