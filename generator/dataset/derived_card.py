"""The card (README.md) of a dataset that is not built from renders alone: augmented, imported or mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.dataset.card_header import balance_table, card_header, classes_table, read_header
from generator.dataset.folder import ordered_splits
from generator.dataset.writer import ORIGINS

BY_PEOPLE = "People labelled the photographs; no pin on them was measured. "


def read_card(text: str) -> tuple[dict[str, Any], str]:
    """Return build settings and licence from a card (README.md); ({}, "other") if Pinsight did not write the card."""
    try:
        header = read_header(text)
    except ValueError:
        return {}, "other"
    return dict(header["pinsight"]), str(header.get("license", "other"))


def make_derived_card(
    title: str,
    how: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    origins: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
    settings: Mapping[str, Any],
    license_id: str,
    content: str,
) -> str:
    """Return the contents of the dataset's README.md: YAML header and text.

    Args:
        title, how: title of the dataset, and paragraphs on how it was made.
        counts: number of pictures by split and class.
        origins: number of pictures by split and by origin: `renders`, `photographs`, `copies`.
        classes: classes that the dataset declares.
        settings: build settings for the header's key `pinsight`; `source_sha256` and `code_sha256` are left out.
        license_id: licence identifier; `other`: not stated.
        content: SHA-256 of all pictures and labels.
    """
    is_synthetic = not any(split.get("photographs") for split in origins.values())
    # These two keys identify a dataset that `build` made, and this dataset was not made by it.
    kept = {name: value for name, value in settings.items() if name not in ("source_sha256", "code_sha256")}
    header = card_header(title, license_id, is_synthetic, counts, {**kept, "content_sha256": content})
    paragraphs = "\n\n".join(how)
    return f"""---
{header}---

# {title}

{paragraphs}

## Classes

{classes_table(classes)}

## Splits and balance

{balance_table(counts, classes)}

{_origins_table(origins)}

Copies are augmented pictures, in the split of their originals; `original` names the row that was copied,
`augmentation` the operation.

## Columns

`image` is the picture; `nsoart` (NSOART) has three channels: texture maps of the picture, standardised by good parts.
`label` is the class of the picture, `verdict` is OK or NG (“no good”: any class but OK), `bbox_str` the Florence-2
`<OD>` answer, `objects` the boxes. `grey` marks pictures in the grey zone, so close to a limit of the tolerance that OK
and NG can hardly be told apart; `observable` is false for an NG picture in which no defect is visible, and for a
picture that shows nothing. `synthetic` is false for photographs. All columns are those of a dataset that Pinsight
builds from renders. Null means not known: a photograph has no `true_position_mm` (twice the distance of a pin's tip
from its place on the drawing), and `objects` and `bbox_str` are null where only the class of the picture was given.

## Limits

{"" if is_synthetic else BY_PEOPLE}Balance says nothing about how often defects occur.
"""


def _origins_table(origins: Mapping[str, Mapping[str, int]]) -> str:
    table = ["| split | " + " | ".join(ORIGINS) + " |", "|---|" + "---:|" * len(ORIGINS)]
    for split in ordered_splits(origins):
        cells = " | ".join(str(origins[split].get(kind, 0)) for kind in ORIGINS)
        table.append(f"| {split} | {cells} |")
    return "\n".join(table)
