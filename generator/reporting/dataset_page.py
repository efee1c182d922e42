"""Make the HTML page of a dataset from `templates/dataset.html.j2` and the results of `overview`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from generator.reporting.contact_sheets import contact_sheets
from generator.reporting.overview import Overview
from generator.reporting.pages import render
from generator.reporting.plots import histogram, position_map

# Title, unit and number of decimals of each measure.
TITLES = {
    "true_position_mm": ("True position at the tip", "mm", 3),
    "retraction_mm": ("Retraction", "mm", 3),
    "tilt_deg": ("Tilt of the tip", "degrees", 1),
    "box_px": ("Size of the box: square root of its area", "px", 1),
    "visible": ("Visible share of the pin; for a missing pin, of its cavity's opening", "share", 2),
}


def make_page(data: Overview) -> str:
    """Return the page of a dataset as HTML, from the counts and pictures in `data`."""
    return render(
        "generator.reporting",
        "dataset.html.j2",
        title=f"Dataset {data.name}",
        classes=data.classes,
        **_origin(data.settings),
        tiles=_tiles(data),
        by_split=data.by_split,
        verdicts=data.verdicts,
        measures=list(_measures(data)),
        lacking=[] if all(data.measures.get(name) for name in data.lacking) else data.lacking,
        missing_pins=sum(data.unmeasured.values()),
        places={scene: _maps(data, scene) for scene in data.places},
        factors={
            factor: [(level, counts, _where(data, factor, level)) for level, counts in sorted(levels.items())]
            for factor, levels in data.factors.items()
        },
        **contact_sheets(data),
        numbers=_numbers(data),
    )


def _origin(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the pictures come from and, for rendered ones, tolerance, manifests and versions."""
    if "tolerance" not in settings:
        return {"origin": "imported" if settings else "unknown"}
    return {
        "origin": "rendered",
        "tolerance": settings["tolerance"],
        "tolerance_was_set": bool(settings.get("tolerance_set_by_user")),
        "manifests": [manifest["name"] for manifest in settings["manifests"]],
        "renderers": settings["renderer"],
        "blenders": settings["blender"],
    }


def _tiles(data: Overview) -> list[tuple[int, str]]:
    bad = sum(counts["NG"] for counts in data.verdicts.values())
    measured = data.measures.get("true_position_mm", {}).values()
    pins = sum(len(values) for scenes in measured for values in scenes.values()) + sum(data.unmeasured.values())
    return [
        (data.rows, "pictures"),
        (bad, f"NG, {bad / data.rows:.0%} of all"),
        (data.rows - bad, "OK"),
        (pins, "labelled pin positions"),
        (data.hidden, "NG, but not observable: no defect is visible"),
        (data.grey, "in the grey zone"),
    ]


def _measures(data: Overview) -> Iterator[dict[str, Any]]:
    """Yield title, unit, plot and table rows of each measure and scene."""
    for measure, (title, unit, decimals) in TITLES.items():
        scenes = data.measures.get(measure, {})
        for scene, values in scenes.items():
            limits = data.settings.get("tolerance", {}).get(scene, {})
            lower = -limits["protrusion_mm"] if measure == "retraction_mm" and "protrusion_mm" in limits else None
            ordered = {name: values[name] for name in data.classes if values.get(name)}
            yield {
                "title": f"{title}, {scene}" if len(scenes) > 1 else title,
                "unit": unit,
                "plot": histogram(ordered, limits.get(measure), unit, lower),
                "rows": [_quantiles(name, numbers, decimals) for name, numbers in ordered.items()],
            }


def _quantiles(name: str, numbers: Sequence[float], decimals: int) -> list[Any]:
    return [name, len(numbers), *(f"{np.quantile(numbers, q):.{decimals}f}" for q in (0, 0.5, 0.95, 1))]


def _maps(data: Overview, scene: str) -> list[tuple[str, int, str]]:
    """Return (split, number of defective pins, map as SVG) of each split with defective pins."""
    counts = {split: data.places[scene][split] for split in data.by_split if split in data.places[scene]}
    most = max(count for places in counts.values() for count in places.values())
    return [
        (split, sum(places.values()), position_map(data.extents[scene], places, most))
        for split, places in counts.items()
    ]


def _where(data: Overview, factor: str, level: str) -> str:
    """Return "only in SPLITS" for a factor's level that some splits lack, such as a held-out housing; "" for others."""
    splits = data.level_splits[factor, level]
    return "" if len(splits) == len(data.by_split) else "only in " + ", ".join(splits)


def _numbers(data: Overview) -> dict[str, Any]:
    return {
        "by_split": data.by_split,
        "verdicts": data.verdicts,
        "factors": data.factors,
        "tolerance": data.settings.get("tolerance", {}),
        "defective_positions": {
            scene: {split: {f"r{r}c{c}": n for (r, c), n in places.items()} for split, places in splits.items()}
            for scene, splits in data.places.items()
        },
    }
