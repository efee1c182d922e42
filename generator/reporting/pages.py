"""Render every page of the project from Jinja2 templates.

A page is one HTML file that contains its styles, pictures and numbers: it needs no other file and no network. Its
template lies in the folder `templates/` of the package that fills it, and extends `base.html.j2` of this package. Each
section of a page explains the terms that no section before it used (`glossary`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image

from generator.io.palette import HUES, PAGE
from generator.reporting.glossary import Explained

WIDE_PX = 700


def render(package: str, template: str, **context: Any) -> str:
    """Fill a template, and return the page as HTML.

    Args:
        package: package with the template in its folder `templates/`, such as `trainer.vit`.
        template: file name of the template.
        context: values for the template, by name; an error is raised if the template uses another name.
    """
    return _environment(package).get_template(template).render(explained=Explained(), **context)


@lru_cache
def _environment(package: str) -> Environment:
    own, shared = PackageLoader(package), PackageLoader("generator.reporting")
    environment = Environment(
        loader=ChoiceLoader([own, shared]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.filters["figure_columns"] = _figure_columns
    environment.globals |= {"hues": HUES, "shades": PAGE, "picture_uri": picture_uri, "is_wide": is_wide}
    return environment


def shown(value: Any) -> str:
    """Return the text that a table shows for a number, a text, an interval (list of two numbers) or None (a dash)."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return f"{value[0]:.3f} to {value[1]:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"


def _figure_columns(rows: Sequence[Sequence[Any]]) -> list[bool]:
    """Return for each column of a table whether all its cells are figures: it is then aligned to the right."""
    return [all(map(_is_figure, column)) for column in zip(*rows, strict=True)]


def _is_figure(value: Any) -> bool:
    """Whether a cell is a number, an interval, a count such as `3 of 7`, a share such as `3.1 %`, or None."""
    if isinstance(value, str):
        return re.fullmatch(r"-?[\d.,]+( of \d+)?( to [\d.,]+)?( %)?|–", value) is not None
    return value is None or (isinstance(value, int | float | list | tuple) and not isinstance(value, bool))


def data_uri(content: bytes, kind: str) -> str:
    """Return the bytes of a picture file as a data URI, which a page can contain; `kind`: its format, such as `png`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def picture_uri(path: Path) -> str | None:
    """Return a PNG or GIF file as a data URI, which a page can contain; None if there is no such file."""
    return data_uri(path.read_bytes(), path.suffix[1:]) if path.is_file() else None


def is_wide(path: Path) -> bool:
    """Return whether a picture is wider than WIDE_PX, so that a page lets a phone scroll it instead of shrinking it."""
    with Image.open(path) as picture:
        return picture.width > WIDE_PX
