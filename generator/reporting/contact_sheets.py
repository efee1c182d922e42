"""The report's contact sheets: pictures with their boxes, masks and NSOART, and what is wrong in each."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from generator.dataset.labels import BENDNG, OK, OTHERNG
from generator.dataset.rows import ObjectRow, PictureRow
from generator.io.palette import hue, rgb
from generator.io.pictures import open_picture, open_upright
from generator.reporting.overview import Overview, Sample
from generator.reporting.pages import data_uri

# Longest side of a picture on the page; larger ones are reduced.
LONGEST_PX = 720
# Of many pictures, so that a page stays below what a mail takes.
LONGEST_OF_MANY_PX = 400
MANY = 60
# What the contact sheets can be filtered and laid out by.
FILTERS = ("class", "split", "scene", "housing", "terminal", "camera", "lighting", "marking")


def contact_sheets(shown: Overview) -> dict[str, Any]:
    """What `templates/contact_sheets.html.j2` shows: the sheets of all classes, and what they can be filtered by."""
    every = [sample for samples in shown.samples.values() for sample in samples]
    longest = LONGEST_PX if len(every) <= MANY else LONGEST_OF_MANY_PX
    levels = [[name, *_levels(sample)] for name, samples in shown.samples.items() for sample in samples]
    several = [n for n, name in enumerate(FILTERS) if name == "class" or len({each[n] for each in levels}) > 1]
    return {
        "filters": [(number, FILTERS[number]) for number in several],
        "has_masks": any(sample.mask for sample in every),
        "sheets": [
            (
                name,
                sum(counts[name] for counts in shown.by_split.values()),
                [_card(sample, name, longest) for sample in shown.samples[name]],
            )
            for name in shown.classes
        ],
    }


def _levels(sample: Sample) -> list[str]:
    """The picture's level of each of FILTERS but its class."""
    levels = (sample.row.manifest[factor] for factor in FILTERS[1:])
    return ["" if level is None else str(level) for level in levels]


def _card(sample: Sample, name: str, longest: int) -> dict[str, Any]:
    row = sample.row
    run, factors = row.manifest["run"], ("split", "camera", "lighting", "housing", "terminal", "marking")
    flags = [text for text, on in (("not observable", row.observable is False), ("grey zone", row.grey)) if on]
    found = findings(row) or ["every pin within tolerance" if name == OK else "it is not known where the defect is"]
    objects = row.objects or ()
    return {
        "run": run,
        "levels": [name, *_levels(sample)],
        "shown_levels": [row.manifest[factor] for factor in factors if row.manifest[factor] is not None],
        "findings": [*found, *flags],
        "image": _picture(sample.image, f"row {run}, column image", longest),
        "nsoart": _picture(sample.nsoart, f"row {run}, column nsoart", longest),
        "mask": _mask(row, sample.mask) if sample.mask else None,
        "width": row.width,
        "height": row.height,
        "good": [each.box for each in objects if each.category == OK],
        "bad": [(each.box, each.category, _tag(each, row.width)) for each in objects if each.category != OK],
    }


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


def _mask(row: PictureRow, mask: bytes) -> str:
    """The mask as a transparent PNG: pins in the colour of their class."""
    palette = np.zeros((2**16, 4), np.uint8)
    for each in row.objects or ():
        if each.id is not None:
            palette[each.id] = (*rgb(hue(each.category).on_picture), 255)
    indices = np.asarray(open_upright(mask, f"row {row.manifest['run']}, column mask"))
    buffer = io.BytesIO()
    # A few colours: quantised it is a kilobyte.
    Image.fromarray(palette[indices]).quantize(8, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "png")


def _tag(each: ObjectRow, width: int) -> dict[str, Any]:
    """Where a box's address stands: above it where there is room, and never across the picture's edge."""
    x1, y1, x2, y2 = each.box
    size = round(max(width / 32, 6), 1)
    baseline = y1 - 0.4 * size if y1 > 1.5 * size else y2 + 1.1 * size
    middle = min(max((x1 + x2) / 2, 1.4 * size), width - 1.4 * size)
    return {"x": round(middle, 1), "y": round(baseline, 1), "size": size, "address": each.address or ""}


def _picture(content: bytes, name: str, longest: int) -> str:
    """A picture for the page: JPEG without colour subsampling, which would smear NSOART's channels."""
    picture = open_picture(content, name).convert("RGB")
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return data_uri(buffer.getvalue(), "jpeg")
