"""The page of a dataset: what `templates/dataset.html.j2` shows, out of what `overview` read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from generator.reporting.contact_sheets import contact_sheets
from generator.reporting.overview import Overview
from generator.reporting.pages import render
from generator.reporting.plots import histogram, position_map

# Title, unit and decimals of a measure.
TITLES = {
    "true_position_mm": ("True position at the tip", "mm", 3),
    "retraction_mm": ("Retraction", "mm", 3),
    "tilt_deg": ("Tilt of the tip", "degrees", 1),
    "box_px": ("Size of the box: root of its area", "px", 1),
    "visible": ("Visible share of the pin; of a missing one: of its cavity's mouth", "share", 2),
}


def make_page(shown: Overview) -> str:
    """The page of a dataset.

    Args:
        shown: what `overview` read.
    """
    return render(
        "generator.reporting",
        "dataset.html.j2",
        title=f"Dataset {shown.name}",
        classes=shown.classes,
        **_origin(shown.settings),
        tiles=_tiles(shown),
        by_split=shown.by_split,
        verdicts=shown.verdicts,
        measures=list(_measures(shown)),
        lacking=[] if all(shown.measures.get(name) for name in shown.lacking) else shown.lacking,
        missing_pins=sum(shown.unmeasured.values()),
        places={scene: _maps(shown, scene) for scene in shown.places},
        factors={
            factor: [(level, counts, _where(shown, factor, level)) for level, counts in sorted(levels.items())]
            for factor, levels in shown.factors.items()
        },
        **contact_sheets(shown),
        numbers=_numbers(shown),
    )


def _origin(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Where the pictures come from, and the tolerance of rendered ones."""
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


def _tiles(shown: Overview) -> list[tuple[int, str]]:
    bad = sum(counts["NG"] for counts in shown.verdicts.values())
    measured = shown.measures.get("true_position_mm", {}).values()
    pins = sum(len(values) for scenes in measured for values in scenes.values()) + sum(shown.unmeasured.values())
    return [
        (shown.rows, "pictures"),
        (bad, f"NG, {bad / shown.rows:.0%} of all"),
        (shown.rows - bad, "OK"),
        (pins, "pin positions labelled"),
        (shown.hidden, "NG, but not observable: no defect in view"),
        (shown.grey, "in the grey zone"),
    ]


def _measures(shown: Overview) -> Iterator[dict[str, Any]]:
    """Title, unit, plot and table of each measure of each scene."""
    for measure, (title, unit, decimals) in TITLES.items():
        scenes = shown.measures.get(measure, {})
        for scene, values in scenes.items():
            limit = shown.settings.get("tolerance", {}).get(scene, {}).get(measure)
            ordered = {name: values[name] for name in shown.classes if values.get(name)}
            yield {
                "title": f"{title}, {scene}" if len(scenes) > 1 else title,
                "unit": unit,
                "plot": histogram(ordered, limit, unit),
                "rows": [_quantiles(name, numbers, decimals) for name, numbers in ordered.items()],
            }


def _quantiles(name: str, numbers: Sequence[float], decimals: int) -> list[Any]:
    return [name, len(numbers), *(f"{np.quantile(numbers, q):.{decimals}f}" for q in (0, 0.5, 0.95, 1))]


def _maps(shown: Overview, scene: str) -> list[tuple[str, int, str]]:
    """Split, defective pins and map of each split that has some."""
    counts = {split: shown.places[scene][split] for split in shown.by_split if split in shown.places[scene]}
    most = max(count for places in counts.values() for count in places.values())
    return [
        (split, sum(places.values()), position_map(shown.extents[scene], places, most))
        for split, places in counts.items()
    ]


def _where(shown: Overview, factor: str, level: str) -> str:
    """A remark where a level does not occur in every split, as one that is held out."""
    splits = shown.level_splits[factor, level]
    return "" if len(splits) == len(shown.by_split) else "only " + ", ".join(splits)


def _numbers(shown: Overview) -> dict[str, Any]:
    return {
        "by_split": shown.by_split,
        "verdicts": shown.verdicts,
        "factors": shown.factors,
        "tolerance": shown.settings.get("tolerance", {}),
        "defective_positions": {
            scene: {split: {f"r{r}c{c}": n for (r, c), n in places.items()} for split, places in splits.items()}
            for scene, splits in shown.places.items()
        },
    }
