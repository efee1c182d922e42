"""The card of a dataset that was not built from renders alone: augmented, imported or mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from generator.dataset.card_header import balance_table, card_header, classes_table, read_header
from generator.dataset.folder import ordered_splits
from generator.dataset.writer import ORIGINS


def read_card(text: str) -> tuple[dict[str, Any], str]:
    """What a build wrote about itself, and the licence; empty and `other` of a card that no build wrote."""
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
    """README.md: YAML header and text.

    Args:
        title: what it is.
        how: paragraphs on what was done.
        counts: pictures by split and class.
        origins: pictures by split and by `renders`, `photographs`, `copies`.
        classes: that the dataset declares.
        settings: for the header's key `pinsight`.
        license_id: identifier.
        content: SHA-256 of pictures and labels.
    """
    is_synthetic = not any(split.get("photographs") for split in origins.values())
    # It is not the dataset of the renders any more.
    kept = {name: value for name, value in settings.items() if name not in ("source_sha256", "code_sha256")}
    header = card_header(title, license_id, is_synthetic, counts, {**kept, "content_sha256": content})
    paragraphs = "\n\n".join(how)
    return f"""---
{header}---

# {title}

{paragraphs}

## Splits and balance

{balance_table(counts, classes)}

{_origins_table(origins)}

Copies are augmented pictures, in the split of their original: `original` names it, `augmentation` says what was done.

## Classes

{classes_table(classes)}

## Columns

Those of a dataset that Pinsight builds from renders. `synthetic` is false for photographs. Null means that it is not
known: a photograph has no measured `true_position_mm`, and `objects` and `bbox_str` are null where only the class of
the picture was given.

## Limits

Labels of photographs are those of the people who made them. Balance says nothing about how often defects occur.
"""


def _origins_table(origins: Mapping[str, Mapping[str, int]]) -> str:
    table = ["| split | " + " | ".join(ORIGINS) + " |", "|---|" + "---:|" * len(ORIGINS)]
    for split in ordered_splits(origins):
        cells = " | ".join(str(origins[split].get(kind, 0)) for kind in ORIGINS)
        table.append(f"| {split} | {cells} |")
    return "\n".join(table)
