"""The colours of pages, plots, and boxes drawn on pictures.

Each class and verdict has the same hue everywhere, in a lightness for each background: light for boxes on pictures and
lighter for their texts, dark on white pages, light on dark pages.
"""

from __future__ import annotations

from typing import NamedTuple


class Hue(NamedTuple):
    """One hue as `#rrggbb` for each use: on white and dark pages, for boxes on pictures, and for their texts."""

    on_white: str
    on_dark: str
    on_picture: str
    text_on_picture: str


# The classes of `generator.dataset.labels`, then the verdicts.
HUES = {
    "BENDNG": Hue("#a86400", "#f0a02c", "#ffa726", "#ffc46b"),
    "NUKENG": Hue("#c2297d", "#f065ac", "#ff4fa3", "#ff9ccb"),
    "OTHERNG": Hue("#6b55c9", "#a493f5", "#b39cff", "#d3c6ff"),
    "OK": Hue("#12866a", "#3fbf9b", "#2fd6a5", "#8fecd0"),
    "NG": Hue("#c0231c", "#ff6b5e", "#ff5a4d", "#ffa59d"),
    "UNSURE": Hue("#8a6200", "#ffc233", "#ffb300", "#ffd773"),
    "INVALID": Hue("#5c6773", "#98a2ae", "#b8c0c9", "#dde2e7"),
}
# For classes of imported datasets, chosen by the class name.
_OTHERS = (
    Hue("#2f6fb3", "#5fa2e6", "#5ac8ff", "#a9e1ff"),
    Hue("#7a6a00", "#d6c23a", "#ffe14d", "#fff0a6"),
    Hue("#8a4b2a", "#d39372", "#ff9e6e", "#ffcbb0"),
    Hue("#3d7d3d", "#86c986", "#9be29b", "#cdf1cd"),
)


def hue(name: str) -> Hue:
    """Return the Hue of a class or verdict; any other name gets one of four hues, always the same for that name."""
    return HUES.get(name) or _OTHERS[sum(name.encode()) % len(_OTHERS)]


def rgb(colour: str) -> tuple[int, int, int]:
    """Convert `#rrggbb` to red, green and blue from 0 to 255."""
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


class Shade(NamedTuple):
    """One colour of the pages in the light and the dark theme, as `#rrggbb`."""

    light: str
    dark: str


PAGE = {
    "paper": Shade("#ffffff", "#14171b"),
    "panel": Shade("#f6f7f9", "#1d2126"),
    "ink": Shade("#1a1f26", "#e5e8ec"),
    "quiet": Shade("#5c6773", "#98a2ae"),
    "line": Shade("#d9dee4", "#343b43"),
    "accent": Shade("#2f6fb3", "#5fa2e6"),
}
