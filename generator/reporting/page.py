"""The report's HTML: one file, no script to load, no font, no picture from elsewhere; light or dark as the reader."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from generator.reporting.contact_sheets import contact_sheets
from generator.reporting.overview import Overview
from generator.reporting.plots import histogram, position_map

# Title, unit and decimals of a measure.
TITLES = {
    "true_position_mm": ("True position at the tip (diametral)", "mm", 3),
    "retraction_mm": ("Retraction", "mm", 3),
    "tilt_deg": ("Tilt of the tip", "degrees", 1),
    "box_px": ("Size of the box (root of its area)", "px", 1),
    "visible": ("Visible share", "of the pin; of a missing pin: of its cavity's mouth", 2),
}


def make_page(shown: Overview) -> str:
    """The page of a dataset.

    Args:
        shown: what `overview` read.
    """
    style, script = (_beside(f"page.{ending}") for ending in ("css", "js"))
    switches = "".join(
        f'<input type="checkbox" class="switch" id="{name}" {"" if name in ("good", "masks") else "checked"}>'
        for name in ("boxes", "names", "good", "masks", "side")
    )
    classes = "".join(
        f".fill-{name} {{ fill: var(--{name}); }} .back-{name} {{ background: var(--{name}); }}"
        for name in shown.classes
    )
    title = f"Dataset {escape(shown.name)}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}{classes}</style></head><body>{switches}
<header><h1>{title}</h1>{_origin(shown)}{_tiles(shown)}</header>
<main>
<h2>Splits</h2>{_key(shown.classes)}{_split_table(shown)}
<h2>Measures against the tolerance</h2>{_measures(shown)}
<h2>Where the defective pins are</h2>{_places(shown)}
<h2>Factors</h2>{_factors(shown)}
<h2>Contact sheets</h2>{contact_sheets(shown)}
<footer>Rendered pictures: what is said here holds for renders, not for parts. Numbers of this page as JSON are in its
source, in the element with id “numbers”.</footer>
</main><script type="application/json" id="numbers">{_numbers(shown)}</script>
<script>{script}</script></body></html>
"""


def _beside(name: str) -> str:
    """A file that lies beside this one, also where the project is installed."""
    return Path(__file__).with_name(name).read_text("utf-8")


def _origin(shown: Overview) -> str:
    settings = shown.settings
    if not settings:
        return '<p class="quiet">No card of ours beside the data: tolerance and origin are not known.</p>'
    if "tolerance" not in settings:
        return '<p class="quiet">Imported: labels are those of the people who made them, without measures.</p>'
    chosen = settings.get("tolerance_set_by_user", {})
    limits = "; ".join(
        f"{escape(scene)}: true position {limit['true_position_mm']:g} mm, retraction {limit['retraction_mm']:g} mm"
        for scene, limit in settings["tolerance"].items()
    )
    manifests = ", ".join(escape(manifest["name"]) for manifest in settings["manifests"])
    return (
        f"<p><b>Tolerance</b> {limits} {'(set for this build)' if chosen else '(the scene’s own)'}.<br>"
        f'<span class="quiet">Manifests {manifests}. Renderer {escape(", ".join(settings["renderer"]))}, '
        f"Blender {escape(', '.join(settings['blender']))}.</span></p>"
    )


def _tiles(shown: Overview) -> str:
    bad = sum(counts["NG"] for counts in shown.verdicts.values())
    pins = sum(
        len(values) for scenes in shown.measures.get("true_position_mm", {}).values() for values in scenes.values()
    )
    pins += sum(shown.unmeasured.values())
    tiles = [
        (f"{shown.rows:,}", "pictures"),
        (f"{bad:,}", f"NG, {bad / shown.rows:.0%} of all"),
        (f"{shown.rows - bad:,}", "OK"),
        (f"{pins:,}", "pin positions labelled"),
        (f"{shown.hidden:,}", "NG with no defect in view"),
        (f"{shown.grey:,}", "in the grey zone"),
    ]
    return f'<div class="tiles">{"".join(f"<div class=tile><b>{n}</b><span>{t}</span></div>" for n, t in tiles)}</div>'


def _key(classes: Sequence[str]) -> str:
    items = "".join(f'<span><i class="dot back-{name}"></i>{name}</span>' for name in classes)
    return f'<div class="key">{items}</div>'


def _bar(counts: Mapping[str, int], classes: Sequence[str]) -> str:
    total = sum(counts.values()) or 1
    parts = "".join(
        f'<i class="back-{name}" style="width:{100 * counts[name] / total:.1f}%" title="{name} {counts[name]}"></i>'
        for name in classes
        if counts.get(name)
    )
    return f'<div class="bar">{parts}</div>'


def _cells(counts: Mapping[str, int], names: Sequence[str]) -> str:
    return "".join(f'<td class="{"" if counts.get(name) else "zero"}">{counts.get(name, 0):,}</td>' for name in names)


def _split_table(shown: Overview) -> str:
    heads = "".join(f"<th>{name}</th>" for name in (*shown.classes, "verdict OK", "verdict NG", "all"))
    rows = "".join(
        f"<tr><td>{escape(split)}</td>{_cells(counts, shown.classes)}{_cells(shown.verdicts[split], ('OK', 'NG'))}"
        f'<td>{sum(counts.values()):,}</td><td class="wide">{_bar(counts, shown.classes)}</td></tr>'
        for split, counts in shown.by_split.items()
    )
    return f'<div class="scroll"><table><tr><th>split</th>{heads}<th></th></tr>{rows}</table></div>'


def _measures(shown: Overview) -> str:
    parts = [
        "<p>Every pin of every picture. The line is the tolerance that this dataset was labelled with; each row has "
        "its own height, because good pins outnumber defective ones.</p>"
    ]
    for measure, (words, unit, decimals) in TITLES.items():
        for scene, values in shown.measures.get(measure, {}).items():
            limit = shown.settings.get("tolerance", {}).get(scene, {}).get(measure)
            ordered = {name: values[name] for name in shown.classes if values.get(name)}
            title = f"{words}{', ' + escape(scene) if len(shown.measures[measure]) > 1 else ''}"
            plot = histogram(ordered, limit, unit)
            table = _quantiles(ordered, unit.split(" ")[0] if decimals > 2 else "", decimals)
            parts.append(f'<h3>{title}</h3><div class="measure">{plot}{table}</div>')
    if shown.lacking and not all(shown.measures.get(name) for name in shown.lacking):
        names = ", ".join(shown.lacking)
        parts.append(f'<p class="note">This dataset is older than its columns of {names}.</p>')
    if missing := sum(shown.unmeasured.values()):
        parts.append(f'<p class="note">{missing:,} missing pins have no position, retraction or tilt.</p>')
    return "".join(parts)


def _quantiles(values: Mapping[str, Sequence[float]], unit: str, decimals: int) -> str:
    heads = "".join(f"<th>{name}</th>" for name in ("pins", "smallest", "median", "95 %", "largest"))
    rows = "".join(
        f"<tr><td>{name}</td><td>{len(numbers):,}</td>"
        + "".join(f"<td>{np.quantile(numbers, q):.{decimals}f}</td>" for q in (0, 0.5, 0.95, 1))
        + "</tr>"
        for name, numbers in values.items()
    )
    return f'<div class="scroll"><table><tr><th>{unit}</th>{heads}</tr>{rows}</table></div>'


def _places(shown: Overview) -> str:
    if not shown.places:
        return '<p class="quiet">No pin is out of tolerance.</p>'
    parts = []
    for scene, counts in shown.places.items():
        ordered = {split: counts[split] for split in shown.by_split if split in counts}
        heading = f"<h3>{escape(scene)}</h3>" if len(shown.places) > 1 else ""
        parts.append(heading + position_map(shown.extents[scene], ordered))
    return "".join(parts)


def _factors(shown: Overview) -> str:
    tables = []
    heads = "".join(f"<th>{name}</th>" for name in shown.classes)
    for factor, levels in shown.factors.items():
        remarks = {level: _where(shown, factor, level) for level in levels}
        held_out = any(remarks.values())
        rows = "".join(
            f"<tr><td>{escape(level)}</td>{_cells(counts, shown.classes)}<td>{sum(counts.values()):,}</td>"
            f'<td class="wide">{_bar(counts, shown.classes)}</td>'
            f"{f'<td class="wide quiet remark">{remarks[level]}</td>' if held_out else ''}</tr>"
            for level, counts in sorted(levels.items())
        )
        tables.append(
            f'<div class="scroll"><h3>{escape(factor)}</h3><table><tr><th>level</th>{heads}<th>all</th><th></th>'
            f"{'<th></th>' if held_out else ''}</tr>{rows}</table></div>"
        )
    return (
        "<p>Pictures by level and class. A picture with two kinds of defect counts under both.</p>"
        f'<div class="tables">{"".join(tables)}</div>'
    )


def _where(shown: Overview, factor: str, level: str) -> str:
    """A remark where a level does not occur in every split, as one that is held out."""
    splits = shown.level_splits[factor, level]
    return "" if len(splits) == len(shown.by_split) else escape("only " + ", ".join(splits))


def _numbers(shown: Overview) -> str:
    numbers = {
        "by_split": shown.by_split,
        "verdicts": shown.verdicts,
        "factors": shown.factors,
        "tolerance": shown.settings.get("tolerance", {}),
        "defective_positions": {
            scene: {split: {f"r{r}c{c}": n for (r, c), n in places.items()} for split, places in splits.items()}
            for scene, splits in shown.places.items()
        },
    }
    # "</" would end the element it stands in.
    return json.dumps(numbers).replace("</", "<\\/")
