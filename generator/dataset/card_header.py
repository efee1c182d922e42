"""Parts of every dataset card: the YAML header that the Hub reads, and the tables of splits and classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from generator.dataset.folder import ordered_splits
from generator.dataset.labels import CLASS_MEANINGS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card_header(
    title: str, license_id: str, synthetic: bool, counts: Mapping[str, Mapping[str, int]], settings: Mapping[str, Any]
) -> str:
    """Return the YAML header of README.md, without the lines `---` around it.

    Args:
        title: title of the dataset.
        license_id: licence identifier; `other`: not stated.
        synthetic: whether all pictures are rendered.
        counts: number of pictures by split and class.
        settings: the dataset's build settings, stored under the key `pinsight`; `content_sha256` has to be one of them.
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
                # `load_dataset` uses its cached copy of a folder if this text is unchanged, even if the files differ.
                "description": f"Content {settings['content_sha256'][:16]}",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in ordered_splits(counts)],
            }
        ],
        "pinsight": dict(settings),
    }
    return str(yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=110))


def read_header(card: str) -> dict[str, Any]:
    """Return the YAML header of a card (text of README.md) that `card_header` wrote, parsed into a dict.

    Raises:
        ValueError: Pinsight did not write the card.
    """
    parts = card.split("---\n", 2)
    try:
        header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    except (yaml.YAMLError, RecursionError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("pinsight"), dict):
        raise ValueError("no YAML header with the key pinsight")
    return header


def read_settings(card: str) -> dict[str, Any]:
    """Return the build settings, such as the tolerance by scene, in the header of a card (text of README.md).

    Raises:
        ValueError: Pinsight did not write the card.
    """
    return dict(read_header(card)["pinsight"])


def read_splits(card: str) -> list[str]:
    """Return the names of the splits in the header of a card (text of README.md).

    Raises:
        ValueError: Pinsight did not write the card.
    """
    try:
        return [str(each["split"]) for each in read_header(card)["configs"][0]["data_files"]]
    except (LookupError, TypeError):
        raise ValueError("no YAML header with the splits' files") from None


def balance_table(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str:
    """Return a Markdown table of `counts`, the number of pictures by split and class, with a column for each class."""
    lines = [f"| split | {' | '.join(classes)} | all |", "|---|" + "---:|" * (len(classes) + 1)]
    for split in ordered_splits(counts):
        cells = [counts[split].get(name, 0) for name in classes]
        lines.append(f"| {split} | {' | '.join(map(str, cells))} | {sum(cells)} |")
    return "\n".join(lines)


def classes_table(classes: Sequence[str]) -> str:
    """Return number, name and meaning of each class as a Markdown table."""
    lines = ["| number | class | meaning |", "|---:|---|---|"]
    lines += [f"| {number} | `{name}` | {CLASS_MEANINGS[name]} |" for number, name in enumerate(classes)]
    return "\n".join(lines)
