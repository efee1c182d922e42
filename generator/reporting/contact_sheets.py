"""The report's contact sheets: pictures with their boxes, masks and NSOART, and what is wrong in each."""

from __future__ import annotations

import base64
import io
import json
from html import escape

import numpy as np
from PIL import Image

from generator.dataset.labels import BENDNG, OK, OTHERNG
from generator.dataset.rows import ObjectRow, PictureRow
from generator.io.pictures import open_picture, open_upright
from generator.reporting.overview import Overview, Sample

# Longest side of a picture on the page; larger ones are reduced.
LONGEST_PX = 720
# Of many pictures, so that a page stays below what a mail takes.
LONGEST_OF_MANY_PX = 400
MANY = 60
# What the contact sheets can be filtered and laid out by.
FILTERS = ("class", "split", "scene", "housing", "terminal", "camera", "lighting", "marking")
_MASK_COLOURS = {
    "OK": (47, 214, 165),
    "BENDNG": (255, 167, 38),
    "NUKENG": (255, 79, 163),
    "OTHERNG": (179, 156, 255),
}


def contact_sheets(shown: Overview) -> str:
    """The sheets of all classes, with what they can be filtered and laid out by."""
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
        cards = "".join(_card(sample, name, longest) for sample in samples)
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
    told = sample.row.manifest
    return [name, *("" if told[factor] is None else str(told[factor]) for factor in FILTERS[1:])]


def _card(sample: Sample, name: str, longest: int) -> str:
    row = sample.row
    run, told = escape(row.manifest["run"]), row.manifest
    shown = ("split", "camera", "lighting", "housing", "terminal", "marking")
    levels = [str(told[factor]) for factor in shown if told[factor] is not None]
    flags = [text for text, on in (("not observable", row.observable is False), ("grey zone", row.grey)) if on]
    found = findings(row) or ["every pin within tolerance" if name == OK else "it is not known where the defect is"]
    data = escape(json.dumps(_levels(sample, name)), quote=True)
    image = _data_uri(sample.image, f"row {run}, column image", longest)
    chart = _data_uri(sample.nsoart, f"row {run}, column nsoart", longest)
    mask = f'<img class="mask" alt="" src="{_mask_uri(row, sample.mask)}">' if sample.mask else ""
    return (
        f'<div class="card" data-levels="{data}"><div class="pair"><div>'
        f'<img alt="{run}" src="{image}">{mask}'
        f'{_overlay(row)}</div><div><img alt="NSOART of {run}" src="{chart}">'
        f'</div></div><div class="caption"><b>{run}</b> {escape("; ".join([*found, *flags]))}'
        f'<span class="quiet">{escape(" · ".join(levels))}</span></div></div>'
    )


def findings(row: PictureRow) -> list[str]:
    """The defective pins in the trade's terms: address and what was measured."""
    found = []
    for each in row.objects or ():
        if each.category != OK:
            what = ", ".join(_words(kind, each) for kind in each.kinds or _kinds(each, row))
            seen = "" if each.visible is None else f" ({each.visible:.0%} visible)"
            found.append(f"{each.address or ''} {what}{seen}".strip())
    return found


def _words(kind: str, each: ObjectRow) -> str:
    if kind == "bent" and each.true_position_mm is not None:
        return f"bent, true position {each.true_position_mm:.2f} mm"
    if kind == "retracted" and each.retraction_mm is not None:
        return f"retracted by {each.retraction_mm:.2f} mm"
    return kind


def _kinds(each: ObjectRow, row: PictureRow) -> tuple[str, ...]:
    """What a defect is called that has no kinds: of a photograph, or in an older dataset."""
    if each.category == OTHERNG:
        return row.kinds or ("defect",)
    if not row.synthetic:  # its label says the class, and nothing of millimetres
        return (each.category,)
    if each.true_position_mm is None:
        return ("missing",)
    return ("bent",) if each.category == BENDNG else ("retracted",)


def _mask_uri(row: PictureRow, mask: bytes) -> str:
    """The mask as a transparent PNG: pins in the colour of their class."""
    palette = np.zeros((2**16, 4), np.uint8)
    for each in row.objects or ():
        if each.id is not None:
            palette[each.id] = (*_MASK_COLOURS[each.category], 255)
    indices = np.asarray(open_upright(mask, f"row {row.manifest['run']}, column mask"))
    buffer = io.BytesIO()
    # A few colours: quantised it is a kilobyte.
    Image.fromarray(palette[indices]).quantize(8, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _overlay(row: PictureRow) -> str:
    good, bad = [], []
    for each in row.objects or ():
        x1, y1, x2, y2 = each.box
        box = f'x="{x1:.2f}" y="{y1:.2f}" width="{x2 - x1:.2f}" height="{y2 - y1:.2f}"'
        if each.category == OK:
            good.append(f'<rect {box} class="ok box-OK"/>')
        else:
            bad.append(f'<rect {box} class="ng box-{each.category}"/>{_tag(each, row.width)}')
    size = f"0 0 {row.width} {row.height}"
    return f'<svg viewBox="{size}" preserveAspectRatio="none">{"".join(good + bad)}</svg>'


def _tag(each: ObjectRow, width: int) -> str:
    """A box's address, above it where there is room and never across the picture's edge."""
    x1, y1, x2, y2 = each.box
    letters = max(width / 32, 6)
    baseline = y1 - 0.4 * letters if y1 > 1.5 * letters else y2 + 1.1 * letters
    middle = min(max((x1 + x2) / 2, 1.4 * letters), width - 1.4 * letters)
    return (
        f'<text x="{middle:.1f}" y="{baseline:.1f}" font-size="{letters:.1f}" '
        f'stroke-width="{letters / 4:.1f}" class="text-{each.category}">{escape(each.address or "")}</text>'
    )


def _data_uri(content: bytes, name: str, longest: int) -> str:
    """A picture for the page: JPEG without colour subsampling, which would smear NSOART's channels."""
    picture = open_picture(content, name).convert("RGB")
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
