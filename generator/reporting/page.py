"""The report's HTML: one file, no script to load, no font, no picture from elsewhere; light or dark as the reader."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from generator.dataset.labels import BENDNG, OK, OTHERNG
from generator.reporting.plots import histogram, position_map

if TYPE_CHECKING:
    from generator.reporting.report import Overview, Sample

# Longest side of a picture on the page; larger ones are reduced.
LONGEST_PX = 720
# Of many pictures, so that a page stays below what a mail takes.
LONGEST_OF_MANY_PX = 400
MANY = 60
# Title, unit and decimals of a measure.
TITLES = {
    "true_position_mm": ("True position at the tip (diametral)", "mm", 3),
    "retraction_mm": ("Retraction", "mm", 3),
    "tilt_deg": ("Tilt of the tip", "degrees", 1),
    "box_px": ("Size of the box (root of its area)", "px", 1),
    "visible": ("Visible share", "of the pin; of a missing pin: of its cavity's mouth", 2),
}
# What the contact sheets can be filtered and laid out by.
FILTERS = ("class", "split", "scene", "housing", "terminal", "camera", "lighting", "marking")
SCRIPT = """
(() => {
  const sheets = document.getElementById("sheets"), count = document.getElementById("count");
  const by = document.getElementById("by"), selects = [...document.querySelectorAll("select[data-n]")];
  const cards = [...sheets.querySelectorAll(".card")].map(e => [e, JSON.parse(e.dataset.levels)]);
  const words = document.getElementById("words");
  for (const s of selects) {
    const levels = [...new Set(cards.map(([, l]) => l[s.dataset.n]))].sort();
    for (const level of levels) s.add(new Option(level || "(empty)", level));
  }
  function show() {
    const text = words.value.trim().toLowerCase();
    const want = selects.filter(s => s.selectedIndex > 0).map(s => [s.dataset.n, s.value]);
    const left = cards.filter(([e, l]) => want.every(([n, v]) => l[n] === v) &&
      (!text || e.querySelector(".caption").textContent.toLowerCase().includes(text)));
    const groups = new Map();
    for (const [e, l] of left) {
      const level = l[by.value];
      if (!groups.has(level)) groups.set(level, []);
      groups.get(level).push(e);
    }
    sheets.replaceChildren(...[...groups].flatMap(([level, members]) => {
      const title = document.createElement("h3"), sheet = document.createElement("div");
      title.textContent = `${by.selectedOptions[0].text} ${level || "(empty)"}: ${members.length}`;
      sheet.className = "sheet";
      sheet.append(...members);
      return [title, sheet];
    }));
    count.textContent = `${left.length} of ${cards.length} shown`;
  }
  for (const s of [by, ...selects]) s.addEventListener("change", show);
  words.addEventListener("input", show);
  document.getElementById("filters").hidden = false;
  count.textContent = `${cards.length} of ${cards.length} shown`;
})();
"""
STYLE = """
:root { color-scheme: light dark; --paper: #fff; --panel: #f6f7f9; --ink: #1a1f26; --quiet: #626d7a;
  --line: #d9dee4; --limit: #c0231c; --heat: #2f6fb3;
  --BENDNG: #d98200; --NUKENG: #c2297d; --OTHERNG: #6b55c9; --OK: #12866a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --panel: #1d2126; --ink: #e5e8ec; --quiet: #98a2ae;
  --line: #343b43; --limit: #ff6b5e; --heat: #5fa2e6;
  --BENDNG: #f0a02c; --NUKENG: #f065ac; --OTHERNG: #a493f5; --OK: #3fbf9b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue",
  Arial, sans-serif; font-variant-numeric: tabular-nums; }
main, header { max-width: 1280px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 36px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 46px 0 12px; padding-bottom: 6px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 24px 0 8px; }
p { margin: 6px 0 12px; max-width: 76ch; }
.quiet, figcaption span, .note { color: var(--quiet); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 22px 0 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.tile b { display: block; font-size: 25px; font-weight: 600; line-height: 1.25; }
.tile span { color: var(--quiet); font-size: 13px; }
table { border-collapse: collapse; font-size: 14px; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--quiet); font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
th, td { min-width: 52px; }
td.wide, th.wide { text-align: left; padding-left: 10px; }
td.remark { white-space: normal; font-size: 13px; line-height: 1.3; width: 120px; }
.measure { display: grid; grid-template-columns: minmax(0, 1fr) max-content; gap: 10px 44px; align-items: center; }
td.zero { color: var(--quiet); opacity: .6; }
.tables { display: grid; grid-template-columns: repeat(auto-fill, minmax(570px, 1fr)); gap: 10px 40px;
  align-items: start; }
.tables table { width: 100%; }
.tables .bar { width: 110px; }
.scroll { overflow-x: auto; }
.bar { display: flex; width: 150px; height: 11px; border-radius: 3px; overflow: hidden; background: var(--panel); }
.bar i { display: block; height: 100%; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
.key { margin: 4px 0 14px; font-size: 13px; }
.key span { margin-right: 18px; white-space: nowrap; }
svg.plot { display: block; width: 100%; max-width: 760px; height: auto; font: 12px system-ui, sans-serif; }
svg.plot text { fill: var(--ink); }
svg.plot .quiet { fill: var(--quiet); font-size: 11px; }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; } svg .strong { font-weight: 600; }
svg .rule { stroke: var(--line); }
svg .limit { stroke: var(--limit); stroke-width: 1.5; stroke-dasharray: 5 3; }
svg.plot .limit-text { fill: var(--limit); font-weight: 600; }
svg .cell { fill: var(--panel); stroke: var(--line); }
svg .heat { fill: var(--heat); }
.grids { display: flex; flex-wrap: wrap; gap: 18px 40px; }
figure { margin: 0; }
figcaption { font-size: 14px; margin-bottom: 4px; font-weight: 600; }
figcaption span { font-weight: 400; margin-left: 8px; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 22px; margin: 10px 0 4px; font-size: 14px; }
.controls label { cursor: pointer; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(570px, 1fr)); gap: 20px 24px; }
.filters { display: flex; flex-wrap: wrap; gap: 8px 16px; margin: 12px 0; font-size: 14px; align-items: center; }
.filters[hidden] { display: none; }
.filters select, .filters input { font: inherit; color: inherit; background: var(--paper); padding: 3px 6px;
  border: 1px solid var(--line); border-radius: 5px; margin-left: 6px; max-width: 190px; }
.mask { mix-blend-mode: normal; position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated;
  opacity: .55; display: none !important; }
#masks:checked ~ main .pair .mask { display: block !important; }
.card { content-visibility: auto; contain-intrinsic-size: auto 240px; }
.card { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; background: var(--panel); }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 2px; background: var(--line); }
.pair div { position: relative; background: #000; }
.pair img { display: block; width: 100%; height: auto; }
.pair svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.pair rect { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
.pair rect.ok { stroke-width: 1; stroke-opacity: .75; display: none; }
.pair text { font-family: system-ui, sans-serif; font-weight: 600; text-anchor: middle; paint-order: stroke;
  stroke: #000; }
.box-BENDNG { stroke: #ffa726; } .box-NUKENG { stroke: #ff4fa3; } .box-OTHERNG { stroke: #b39cff; }
.box-OK { stroke: #2fd6a5; }
.text-BENDNG { fill: #ffc46b; } .text-NUKENG { fill: #ff9ccb; } .text-OTHERNG { fill: #d3c6ff; }
.caption { padding: 8px 12px 10px; font-size: 13px; line-height: 1.45; }
.caption b { font-weight: 600; }
.caption .quiet { display: block; }
#boxes:not(:checked) ~ main .pair rect.ng, #names:not(:checked) ~ main .pair text { display: none; }
#good:checked ~ main .pair rect.ok { display: inline; }
#side:not(:checked) ~ main .pair { grid-template-columns: 1fr; }
#side:not(:checked) ~ main .pair div + div { display: none; }
input.switch { position: absolute; opacity: 0; pointer-events: none; }
.controls label::before { content: ""; display: inline-block; width: 14px; height: 14px; margin-right: 7px;
  vertical-align: -2px; border: 1px solid var(--quiet); border-radius: 3px; background: var(--paper); }
#boxes:checked ~ main [for=boxes]::before, #names:checked ~ main [for=names]::before,
#good:checked ~ main [for=good]::before,
#masks:checked ~ main [for=masks]::before, #side:checked ~ main [for=side]::before { background: var(--heat);
  border-color: var(--heat); box-shadow: inset 0 0 0 2px var(--paper); }
footer { color: var(--quiet); font-size: 13px; margin: 48px 0 40px; border-top: 1px solid var(--line);
  padding-top: 12px; }
@media (max-width: 900px) { .measure { grid-template-columns: 1fr; } }
@media (max-width: 640px) { .tables, .sheet { grid-template-columns: 1fr; } main, header { padding: 0 14px; } }
@media print { .card { break-inside: avoid; } }
"""


def make_page(shown: Overview) -> str:
    """The page of a dataset.

    Args:
        shown: what `report.overview` read.
    """
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
<title>{title}</title><style>{STYLE}{classes}</style></head><body>{switches}
<header><h1>{title}</h1>{_origin(shown)}{_tiles(shown)}</header>
<main>
<h2>Splits</h2>{_key(shown.classes)}{_split_table(shown)}
<h2>Measures against the tolerance</h2>{_measures(shown)}
<h2>Where the defective pins are</h2>{_places(shown)}
<h2>Factors</h2>{_factors(shown)}
<h2>Contact sheets</h2>{_sheets(shown)}
<footer>Rendered pictures: what is said here holds for renders, not for parts. Numbers of this page as JSON are in its
source, in the element with id “numbers”.</footer>
</main><script type="application/json" id="numbers">{_numbers(shown)}</script>
<script>{SCRIPT}</script></body></html>
"""


def _origin(shown: Overview) -> str:
    settings = shown.settings
    if not settings:
        return '<p class="quiet">No card of ours beside the data: tolerance and origin are not known.</p>'
    if "tolerance" not in settings:
        return (
            '<p class="quiet">Imported: labels are those of the people who made them, without measures.</p>'
        )
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
        len(values)
        for scenes in shown.measures.get("true_position_mm", {}).values()
        for values in scenes.values()
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
    return "".join(
        f'<td class="{"" if counts.get(name) else "zero"}">{counts.get(name, 0):,}</td>' for name in names
    )


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


def _sheets(shown: Overview) -> str:
    every = [sample for samples in shown.samples.values() for sample in samples]
    controls = [
        ("boxes", "defect boxes"),
        ("names", "addresses"),
        ("good", "boxes of good pins"),
        ("side", "NSOART beside the picture"),
    ]
    if any(sample.mask for sample in every):
        controls.insert(3, ("masks", "masks"))
    boxes = "".join(f'<label for="{name}">{text}</label>' for name, text in controls)
    longest = LONGEST_PX if len(every) <= MANY else LONGEST_OF_MANY_PX
    parts = [_filters(shown), f'<div class="controls">{boxes}</div><div id="sheets">']
    totals = {name: sum(counts[name] for counts in shown.by_split.values()) for name in shown.classes}
    for name in shown.classes:
        samples = shown.samples[name]
        count = f'<span class="quiet">{len(samples)} of {totals[name]}</span>'
        heading = f'<h3><i class="dot back-{name}"></i>{name} {count}</h3>'
        cards = "".join(_card(sample, name, shown.classes, longest) for sample in samples)
        parts.append(f'{heading}<div class="sheet">{cards}</div>')
    return "".join(parts) + "</div>"


def _filters(shown: Overview) -> str:
    """Shown by the page's script, which works without a network; without scripts all cards are there by class."""
    several = [
        number
        for number, name in enumerate(FILTERS)
        if name == "class" or len({_levels(s, "")[number] for ss in shown.samples.values() for s in ss}) > 1
    ]
    sheets = "".join(f'<option value="{number}">{FILTERS[number]}</option>' for number in several)
    selects = "".join(
        f'<label>{FILTERS[number]}<select data-n="{number}"><option value="">all</option></select></label>'
        for number in several
    )
    return (
        f'<div id="filters" class="filters" hidden><label>sheets by<select id="by">{sheets}</select></label>{selects}'
        '<label>words<input id="words" placeholder="r2c5, missing, a run"></label><span id="count" class="quiet">'
        "</span></div>"
    )


def _levels(sample: Sample, name: str) -> list[str]:
    """The card's level of each of FILTERS."""
    return [name, *("" if (level := sample.row[factor]) is None else str(level) for factor in FILTERS[1:])]


def _card(sample: Sample, name: str, classes: Sequence[str], longest: int) -> str:
    row = sample.row
    overlay = _overlay(row, classes)
    levels = [
        str(row[factor])
        for factor in ("split", "camera", "lighting", "housing", "terminal", "marking")
        if row[factor] is not None
    ]
    flags = [
        text
        for text, on in (("not observable", row["observable"] is False), ("grey zone", row["grey"]))
        if on
    ]
    found = _findings(row, classes) or [
        "every pin within tolerance" if name == OK else "it is not known where the defect is"
    ]
    data = escape(json.dumps(_levels(sample, name)), quote=True)
    mask = f'<img class="mask" alt="" src="{_mask_uri(sample, classes)}">' if sample.mask else ""
    return (
        f'<div class="card" data-levels="{data}"><div class="pair"><div>'
        f'<img alt="{escape(row["run"])}" src="{_data_uri(sample.image, longest)}">{mask}'
        f'{overlay}</div><div><img alt="NSOART of {escape(row["run"])}" src="{_data_uri(sample.nsoart, longest)}">'
        f'</div></div><div class="caption"><b>{escape(row["run"])}</b> {escape("; ".join([*found, *flags]))}'
        f'<span class="quiet">{escape(" · ".join(levels))}</span></div></div>'
    )


def _mask_uri(sample: Sample, classes: Sequence[str]) -> str:
    """The mask as a transparent PNG: pins in the colour of their class."""
    colours = {
        "OK": (47, 214, 165),
        "BENDNG": (255, 167, 38),
        "NUKENG": (255, 79, 163),
        "OTHERNG": (179, 156, 255),
    }
    things = sample.row["objects"]
    palette = np.zeros((2**16, 4), np.uint8)
    for number, category in zip(things["id"], things["category"], strict=True):
        palette[number] = (*colours[classes[category]], 255)
    indices = np.asarray(Image.open(io.BytesIO(sample.mask or b"")))
    buffer = io.BytesIO()
    # A few colours: quantised it is a kilobyte.
    Image.fromarray(palette[indices]).quantize(8, Image.Quantize.FASTOCTREE).save(
        buffer, "PNG", optimize=True
    )
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _findings(row: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """The defective pins in the trade's terms: address and what was measured."""
    things = row["objects"]
    if things is None or things["category"] is None:
        return []
    found = []
    for number, category in enumerate(things["category"]):
        if classes[category] == OK:
            continue
        # A photograph's label says the class, and nothing of millimetres.
        known = row.get("synthetic") is not False
        offset, depth = things["true_position_mm"][number], things["retraction_mm"][number]
        if classes[category] == OTHERNG:
            what = ", ".join(row["kinds"] or ["defect"])
        elif not known:
            what = classes[category]
        elif offset is None:
            what = "missing"
        elif classes[category] == BENDNG:
            what = f"bent, true position {offset:.2f} mm"
        else:
            what = f"retracted by {depth:.2f} mm"
        hidden = things["visible"][number]
        seen = "" if hidden is None else f" ({hidden:.0%} visible)"
        found.append(f"{things['address'][number] or ''} {what}{seen}".strip())
    return found


def _overlay(row: Mapping[str, Any], classes: Sequence[str]) -> str:
    things = row["objects"]
    good, bad = [], []
    for number, (x, y, width, height) in enumerate((things or {}).get("bbox") or ()):
        name = classes[things["category"][number]]
        box = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
        if name == OK:
            good.append(f'<rect {box} class="ok box-OK"/>')
            continue
        bad.append(f'<rect {box} class="ng box-{name}"/>{_tag(row, number, name)}')
    size = f"0 0 {row['width']} {row['height']}"
    return f'<svg viewBox="{size}" preserveAspectRatio="none">{"".join(good + bad)}</svg>'


def _tag(row: Mapping[str, Any], number: int, name: str) -> str:
    """A box's address, above it where there is room and never across the picture's edge."""
    x, y, width, height = row["objects"]["bbox"][number]
    letters = max(row["width"] / 32, 6)
    baseline = y - 0.4 * letters if y > 1.5 * letters else y + height + 1.1 * letters
    middle = min(max(x + width / 2, 1.4 * letters), row["width"] - 1.4 * letters)
    address = escape(row["objects"]["address"][number] or "")
    return (
        f'<text x="{middle:.1f}" y="{baseline:.1f}" font-size="{letters:.1f}" '
        f'stroke-width="{letters / 4:.1f}" class="text-{name}">{address}</text>'
    )


def _data_uri(content: bytes, longest: int) -> str:
    """A picture for the page: JPEG without colour subsampling, which would smear NSOART's channels."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _numbers(shown: Overview) -> str:
    numbers = {
        "by_split": shown.by_split,
        "verdicts": shown.verdicts,
        "factors": shown.factors,
        "tolerance": shown.settings.get("tolerance", {}),
        "defective_positions": {
            scene: {
                split: {f"r{r}c{c}": n for (r, c), n in places.items()} for split, places in splits.items()
            }
            for scene, splits in shown.places.items()
        },
    }
    # "</" would end the element it stands in.
    return json.dumps(numbers).replace("</", "<\\/")
