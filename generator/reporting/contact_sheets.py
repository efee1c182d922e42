"""Make a report's contact sheets: pictures of each class with boxes, masks, NSOART and a list of their defects."""

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

# Longest side of a picture on the page, px; larger pictures are reduced.
LONGEST_PX = 720
# Longest side with more than MANY pictures, px, so that the page is small enough for an e-mail.
LONGEST_OF_MANY_PX = 400
MANY = 60
# Properties by which the contact sheets can be filtered and grouped.
FILTERS = ("class", "split", "scene", "housing", "terminal", "camera", "lighting", "marking")


def contact_sheets(data: Overview) -> dict[str, Any]:
    """Return the values for `templates/contact_sheets.html.j2`, by name: pictures of each class, names of filters."""
    every = [sample for samples in data.samples.values() for sample in samples]
    longest = LONGEST_PX if len(every) <= MANY else LONGEST_OF_MANY_PX
    levels = [[name, *_levels(sample)] for name, samples in data.samples.items() for sample in samples]
    several = [n for n, name in enumerate(FILTERS) if name == "class" or len({each[n] for each in levels}) > 1]
    return {
        "filters": [(number, FILTERS[number]) for number in several],
        "has_masks": any(sample.mask for sample in every),
        "sheets": [
            (
                name,
                sum(counts[name] for counts in data.by_split.values()),
                [_card(sample, name, longest) for sample in data.samples[name]],
            )
            for name in data.classes
        ],
    }


def _levels(sample: Sample) -> list[str]:
    """Return the picture's values of FILTERS, without the first (its class), as text."""
    levels = (sample.row.manifest[factor] for factor in FILTERS[1:])
    return ["" if level is None else str(level) for level in levels]


def _card(sample: Sample, name: str, longest: int) -> dict[str, Any]:
    row = sample.row
    run, factors = row.manifest["run"], ("split", "camera", "lighting", "housing", "terminal", "marking")
    flags = [text for text, on in (("not observable", row.observable is False), ("grey zone", row.grey)) if on]
    found = findings(row) or ["every pin is within tolerance" if name == OK else "the place of the defect is not known"]
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
    """Return a line of text on each NG pin or defect in a picture: address, kind of defect, measure, visible share."""
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
    if kind == "protruding" and each.protrusion_mm is not None:
        return f"protruding by {each.protrusion_mm:.2f} mm"
    return kind


def _kinds(each: ObjectRow, row: PictureRow) -> tuple[str, ...]:
    """Return the kinds of defect of an NG object that stores none: of a photograph or an older dataset."""
    if each.category == OTHERNG:
        return row.kinds or ("defect",)
    if not row.synthetic:  # a photograph has a class, but no measures
        return (each.category,)
    if each.true_position_mm is None:
        return ("missing",)
    return ("bent",) if each.category == BENDNG else ("retracted",)


def _mask(row: PictureRow, mask: bytes) -> str:
    """Draw the instance mask as a transparent PNG, with pins in the colour of their class; returned as a data URI."""
    palette = np.zeros((2**16, 4), np.uint8)
    for each in row.objects or ():
        if each.id is not None:
            palette[each.id] = (*rgb(hue(each.category).on_picture), 255)
    indices = np.asarray(open_upright(mask, f"row {row.manifest['run']}, column mask"))
    buffer = io.BytesIO()
    # Quantised to its few colours, it takes about a kilobyte.
    Image.fromarray(palette[indices]).quantize(8, Image.Quantize.FASTOCTREE).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "png")


def _tag(each: ObjectRow, width: int) -> dict[str, Any]:
    """Return where a box's address is written: above it if there is room, else below; inside the picture's width."""
    x1, y1, x2, y2 = each.box
    size = round(max(width / 32, 6), 1)
    baseline = y1 - 0.4 * size if y1 > 1.5 * size else y2 + 1.1 * size
    middle = min(max((x1 + x2) / 2, 1.4 * size), width - 1.4 * size)
    return {"x": round(middle, 1), "y": round(baseline, 1), "size": size, "address": each.address or ""}


def _picture(content: bytes, name: str, longest: int) -> str:
    """Encode a picture as JPEG data URI, without colour subsampling, which would blur NSOART's channels."""
    picture = open_picture(content, name).convert("RGB")
    picture.thumbnail((longest, longest))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return data_uri(buffer.getvalue(), "jpeg")
