"""Draw the connector from the front, with the splits in which each pin has defects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import Manifest
from generator.doe.frame import defects_by_position

if TYPE_CHECKING:
    import pandas as pd

# Distinguishable with any colour vision (Okabe and Ito 2008).
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
# More numbers than these would run into those of the next position.
_SPLITS_A_LINE = 2


def write_position_map(manifest: Manifest, path: Path) -> None:
    """Draw each scene's connector from the front, with the splits in which each pin has defects, as a PNG file.

    Each pin is a disc with the colours of these splits; below it stands its number of defects in all pictures of each.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    splits = list(dict.fromkeys(run.split for run in manifest.runs))
    colours = {split: _COLOURS[number % len(_COLOURS)] for number, split in enumerate(splits)}
    scenes = list(manifest.connectors.items())
    extents = [_extent(connector) for _, connector in scenes]
    heights = [max(1.6, 9.0 * min(high / wide, 0.6)) for _, _, wide, high in extents]
    figure = Figure(figsize=(10.0, sum(heights) + 0.6 * len(scenes) + 0.5))
    axes = figure.subplots(len(scenes), 1, squeeze=False, height_ratios=heights)
    for axis, (name, connector) in zip(axes[:, 0], scenes, strict=True):
        _draw(axis, connector, defects_by_position(manifest, name), colours)
        axis.set_title(name, fontsize=11, loc="left")
    legend = [Patch(color=colour, label=split) for split, colour in colours.items()]
    legend.append(Patch(facecolor="#ffffff", edgecolor="#888888", label="never defective"))
    figure.legend(handles=legend, loc="lower center", ncols=len(legend), frameon=False, fontsize=10)
    figure.tight_layout(rect=(0, 0.5 / figure.get_figheight(), 1, 1))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110, format="png", metadata={"Software": None})
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got: {error.strerror}") from None


def _extent(connector: Connector) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of the housing, mm."""
    (left, bottom), (right, top) = connector.shell.outside.bounds
    return left, bottom, right - left, top - bottom


def _draw(axis: Any, connector: Connector, counts: pd.DataFrame, colours: dict[str, str]) -> None:
    from matplotlib.patches import Circle, Polygon, Wedge

    left, bottom, width, height = _extent(connector)
    for contour, colour in ((connector.shell.outside, "#d9dde1"), (connector.shell.opening, "#f3f4f6")):
        corners = [point.at(contour.radius_mm) for point in contour.points]
        axis.add_patch(Polygon(corners, closed=True, fc=colour, ec="#888888", lw=0.8))
    places = connector.positions
    apart = min(
        (max(abs(a.x_mm - b.x_mm), abs(a.y_mm - b.y_mm)) for i, a in enumerate(places) for b in places[i + 1 : i + 60]),
        default=min(width, height) / 2,
    )
    radius = 0.36 * apart
    letters = max(3.5, min(9.0, 600.0 * radius / max(width, height) / 2.2))
    for place in places:
        x, y = place.x_mm, place.y_mm
        found = counts.loc[place.address]
        axis.add_patch(Circle((x, y), radius, fc="#ffffff", ec="#888888", lw=0.8))
        present = [split for split in colours if found[split]]
        for number, split in enumerate(present):
            angles = (90 + 360 * number / len(present), 90 + 360 * (number + 1) / len(present))
            axis.add_patch(Wedge((x, y), radius, *angles, fc=colours[split], ec="none"))
        axis.text(
            x, y, place.address, ha="center", va="center", fontsize=letters, color="#ffffff" if present else "#555555"
        )
        if present:
            pairs = (present[start : start + _SPLITS_A_LINE] for start in range(0, len(present), _SPLITS_A_LINE))
            numbers = "+\n".join("+".join(str(found[split]) for split in pair) for pair in pairs)
            axis.text(
                x, y - 1.12 * radius, numbers,
                ha="center", va="top", fontsize=0.8 * letters, color="#333333",
            )  # fmt: skip
    axis.set_xlim(left - 0.03 * width, left + 1.03 * width)
    axis.set_ylim(bottom - 0.03 * width, bottom + height + 0.03 * width)
    axis.set_aspect("equal")
    axis.axis("off")
