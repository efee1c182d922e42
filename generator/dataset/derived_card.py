"""The card of a dataset that was not built from renders alone: augmented, imported or mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from generator.dataset.card import MEANINGS, balance_table, read_settings, size_category
from generator.dataset.folder import ordered_splits


def read_card(text: str) -> tuple[dict[str, Any], str]:
    """What a build wrote about itself, and the licence; empty and `other` of a card that no build wrote."""
    try:
        settings = read_settings(text)
        header = yaml.safe_load(text.split("---\n", 2)[1])
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}, "other"
    return settings, str(header.get("license", "other"))


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
    rows = sum(sum(split.values()) for split in counts.values())
    real = any(split.get("photographs") for split in origins.values())
    header = {
        "pretty_name": title,
        "license": license_id,
        **({"license_name": "not-stated"} if license_id == "other" else {}),
        "task_categories": ["image-classification", "object-detection"],
        "tags": [
            *([] if real else ["synthetic"]),
            "industrial-inspection",
            "connector",
            "florence-2",
            "pinsight",
        ],
        "size_categories": [size_category(rows)],
        "configs": [
            {
                "config_name": "default",
                "description": f"Content {content[:16]}",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"} for split in ordered_splits(counts)
                ],
            }
        ],
        "pinsight": {**settings, "content_sha256": content},
    }
    kinds = ("renders", "photographs", "copies")
    table = ["| split | " + " | ".join(kinds) + " |", "|---|" + "---:|" * len(kinds)]
    for split in ordered_splits(origins):
        table.append(f"| {split} | " + " | ".join(str(origins[split].get(kind, 0)) for kind in kinds) + " |")
    meanings = "\n".join(f"| {at} | `{name}` | {MEANINGS[name]} |" for at, name in enumerate(classes))
    newline = "\n"
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=110)}---

# {title}

{(newline + newline).join(how)}

## Splits and balance

{balance_table(counts, classes)}

{newline.join(table)}

Copies are augmented pictures, in the split of their original: `original` names it, `augmentation` says what was done.

## Classes

| number | class | meaning |
|---:|---|---|
{meanings}

## Columns

Those of a dataset that Pinsight builds from renders. `synthetic` is false for photographs. Null means that it is not
known: a photograph has no measured `true_position_mm`, and `objects` and `bbox_str` are null where only the class of
the picture was given.

## Limits

Labels of photographs are those of the people who made them. Balance says nothing about how often defects occur.
"""
