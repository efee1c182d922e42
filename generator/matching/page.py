"""The page of a match: photographs beside renders of the fitted scene, differences in numbers, all values."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from generator.io.drawing import Cell, grid, scaled
from generator.matching.fitting import Matched
from generator.reporting.pages import data_uri, render

# Photographs that the page shows, and their width in px.
_SHOWN, _WIDTH_PX = 6, 480


def make_page(matched: Matched, document: Mapping[str, Any]) -> str:
    """Return the page as HTML; `document` is the content of the match's JSON file."""
    lines = []
    for photo, one in list(zip(matched.used, matched.renders, strict=True))[:_SHOWN]:
        factor = max(1, round(_WIDTH_PX / photo.pixels.shape[1]))
        both = [scaled(Image.fromarray(pixels), factor) for pixels in (photo.pixels, one.pixels)]
        lines.append([Cell(both[0], [photo.name]), Cell(both[1], ["render of the fitted scene, another part"])])
    buffer = io.BytesIO()
    grid(lines).save(buffer, "PNG")
    known = [each for each in matched.quantities if each.value is not None]
    unknown = [each for each in matched.quantities if each.value is None]
    return render(
        "generator.matching",
        "match.html.j2",
        title=f"Match of the scene {document['scene']}",
        document=document,
        picture=data_uri(buffer.getvalue(), "png"),
        known=[[".".join(q.key), _said(q.before), _said(q.value), _said(q.u), q.reason] for q in known],
        unknown=[[".".join(q.key), _said(q.before), q.reason] for q in unknown],
        regions=_regions(matched),
        measures=_measures(matched),
    )


def _said(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _regions(matched: Matched) -> list[list[str]]:
    assert matched.differences is not None
    rows = []
    for name, values in matched.differences.regions:
        pairs = np.array(values).reshape(2, 3)
        rows.append(
            [name, *(f"{pairs[side, column]:.{d}f}" for column, d in ((0, 1), (1, 3), (2, 3)) for side in (0, 1))]
        )
    return rows


def _measures(matched: Matched) -> list[list[str]]:
    assert matched.differences is not None
    found = matched.differences
    rows = [["width of edges (standard deviation), px", *(f"{value:.3f}" for value in found.edge_px)]]
    if found.noise:
        rows.append(["noise, share of a full pixel, at the median light", *(f"{value:.5f}" for value in found.noise)])
    return rows
