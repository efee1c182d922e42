"""Pieces of the self-contained HTML pages that commands write: tables and pictures, everything in one file."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:1150px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.6em 0}td,th{border:1px solid #ccc;padding:.25em .6em;text-align:left}"
    "th{background:#f3f3f3}img{max-width:100%;border:1px solid #ddd}code{background:#f3f3f3;padding:0 .2em}"
    "h2{margin-top:1.8em}.small{color:#666;font-size:.9em}"
)


def text(value: str) -> str:
    """Plain text as HTML."""
    return html.escape(value)


def head(title: str) -> str:
    """The page's beginning, up to its first heading."""
    name = html.escape(title)
    return f"<!doctype html><meta charset='utf-8'><title>{name}</title>\n<style>{STYLE}</style>\n<h1>{name}</h1>"


def shown(value: Any) -> str:
    """A number, a share, an interval or nothing, for people."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return f"{value[0]:.3f} to {value[1]:.3f}"
    return f"{value:.3f}" if isinstance(value, float) else f"{value}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; cells as `shown`."""
    top = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(shown(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def picture(path: Path, caption: str) -> str:
    """A PNG or GIF inside the page with its caption; nothing where the file is missing."""
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    alt = html.escape(caption)
    image = f'<img alt="{alt}" src="data:image/{path.suffix[1:]};base64,{data}">'
    return f'<figure>{image}<figcaption class="small">{alt}</figcaption></figure>'


def paragraph(plain: str, small: bool = False) -> str:
    """A paragraph of plain text."""
    return f"<p{' class="small"' if small else ''}>{html.escape(plain)}</p>"
