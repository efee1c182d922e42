"""Letters to draw on pictures: Pillow's built-in font, and texts that are shortened or broken into lines."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont


@cache
def font_of(px: float) -> ImageFont.FreeTypeFont:
    """Return Pillow's built-in font in a size of `px`."""
    font = ImageFont.load_default(px)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


class Letters:
    """Pillow's built-in font in a size of at least 12 px; `step` is the line spacing in px.

    Args:
        px: wanted size, px.
    """

    def __init__(self, px: float) -> None:
        px = max(12.0, px)
        self.font, self.step = font_of(px), round(1.4 * px)

    def width(self, text: str) -> float:
        """Return the width of a text in px."""
        return self.font.getlength(text)

    def cut(self, text: str, width: float) -> str:
        """Return the text; if it is wider than `width` px, an ellipsis replaces its middle."""
        if self.width(text) <= width:
            return text
        for kept in range(len(text) - 1, 1, -1):
            if self.width(shown := f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}") <= width:
                return shown
        return "…"

    def wrapped(self, text: str, width: float) -> list[str]:
        """Break a text into lines of at most `width` px.

        It is broken at double spaces, where needed at single spaces; a word longer than a line gets an ellipsis.
        """
        lines: list[str] = []
        for part in text.split("  "):
            fits = self.width(part) <= width
            for number, piece in enumerate([part] if fits else part.split(" ")):
                gap = "  " if number == 0 else " "
                if lines and self.width(f"{lines[-1]}{gap}{piece}") <= width:
                    lines[-1] += f"{gap}{piece}"
                else:
                    lines.append(self.cut(piece, width))
        return lines


def written(text: str) -> str:
    """Return the text with letters that Pillow's built-in font lacks (all but Latin) replaced by question marks."""
    return "".join(
        letter if letter in "…–" else letter.encode("latin-1", "replace").decode("latin-1") for letter in text
    )
