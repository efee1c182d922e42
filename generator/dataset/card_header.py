"""What the cards of all datasets have: the YAML that the Hub reads, and tables of splits and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from generator.dataset.folder import ordered_splits

MEANINGS = {
    "BENDNG": "tip out of true position, the pin in its cavity",
    "NUKENG": "terminal backed out of its cavity beyond tolerance, or missing",
    "OK": "every position within tolerance, nothing else wrong",
    "OTHERNG": "broken or wrong terminal, foreign body, housing, print or stain",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card_header(
    title: str,
    license_id: str,
    synthetic: bool,
    counts: Mapping[str, Mapping[str, int]],
    settings: Mapping[str, Any],
) -> str:
    """The YAML at the top of README.md, without its rules.

    Args:
        title: what the dataset is.
        license_id: identifier.
        synthetic: whether no picture is a photograph.
        counts: pictures by split and class.
        settings: for the key `pinsight`, `content_sha256` among them.
    """
    rows = sum(sum(split.values()) for split in counts.values())
    header: dict[str, Any] = {
        "pretty_name": title,
        "license": license_id,
        **({"license_name": "not-stated"} if license_id == "other" else {}),
        "task_categories": ["image-classification", "object-detection"],
        "tags": [
            *(["synthetic"] if synthetic else []),
            *("industrial-inspection", "connector", "florence-2", "pinsight"),
        ],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>1M")],
        "configs": [
            {
                "config_name": "default",
                # `load_dataset` finds a folder's former copy in its cache by what stands here, not by the files.
                "description": f"Content {settings['content_sha256'][:16]}",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in ordered_splits(counts)],
            }
        ],
        "pinsight": dict(settings),
    }
    return str(yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=110))


def read_header(card: str) -> dict[str, Any]:
    """The YAML at the top of a card, as `card_header` wrote it.

    Raises:
        ValueError: a card that no command of ours wrote.
    """
    parts = card.split("---\n", 2)
    try:
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (yaml.YAMLError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("pinsight"), dict):
        raise ValueError("expected a YAML header with the key pinsight")
    return header


def read_settings(card: str) -> dict[str, Any]:
    """What the build wrote about itself into a card: tolerance by scene, grey fraction, renderer.

    Raises:
        ValueError: a card that no command of ours wrote.
    """
    return dict(read_header(card)["pinsight"])


def read_splits(card: str) -> list[str]:
    """The splits that a card names.

    Raises:
        ValueError: a card that no command of ours wrote.
    """
    try:
        return [str(each["split"]) for each in read_header(card)["configs"][0]["data_files"]]
    except (LookupError, TypeError):
        raise ValueError("expected a YAML header with the splits' files") from None


def balance_table(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str:
    """Pictures by split and class as a Markdown table."""
    lines = [f"| split | {' | '.join(classes)} | all |", "|---|" + "---:|" * (len(classes) + 1)]
    for split in ordered_splits(counts):
        cells = [counts[split].get(name, 0) for name in classes]
        lines.append(f"| {split} | {' | '.join(map(str, cells))} | {sum(cells)} |")
    return "\n".join(lines)


def classes_table(classes: Sequence[str]) -> str:
    """Number, name and meaning of each class as a Markdown table."""
    lines = ["| number | class | meaning |", "|---:|---|---|"]
    lines += [f"| {number} | `{name}` | {MEANINGS[name]} |" for number, name in enumerate(classes)]
    return "\n".join(lines)
