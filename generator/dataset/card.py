"""The dataset card: what a stranger must know before using the data, and the YAML that the Hub reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from generator.dataset.folder import SHEET, ordered_splits
from generator.dataset.labels import ANSWER_LABELS, OBSERVABLE_SHARE, OTHERNG, Tolerance
from generator.soart.nsoart import FEW

MEANINGS = {
    "BENDNG": "tip out of true position, the pin in its cavity",
    "NUKENG": "terminal backed out of its cavity beyond tolerance, or missing",
    "OK": "every position within tolerance, nothing else wrong",
    "OTHERNG": "broken or wrong terminal, foreign body, housing, print or stain",
}
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class DatasetFacts:
    """What a build knows about the dataset it made.

    Attributes:
        counts: pictures by split and class.
        tolerances: by scene, as applied.
        limits: those that the user set in place of the scene's.
        grey: fraction of a limit; `grey_rows` pictures lie that near to one.
        observable_px: how far a bend or a retraction has to move a tip in a view to count as seen there.
        hidden_rows: NG pictures in which no defect can be seen.
        missing_rows: rows of the manifests that were left out because they have no record.
        manifests: name and SHA-256 of each.
        sizes: (width, height) of the pictures in px.
        nsoart: contents of nsoart.json.
        content_sha256: of pictures and labels together.
        answer: how `bbox_str` names classes, of ANSWER_LABELS.
        ceilings: boxes in answers, and the sum and the least of the IoU that a perfect answer reaches with them.
    """

    counts: Mapping[str, Mapping[str, int]]
    classes: Sequence[str]
    tolerances: Mapping[str, Tolerance]
    limits: Mapping[str, float]
    grey: float
    grey_rows: int
    observable_px: float
    hidden_rows: int
    missing_rows: int
    manifests: Sequence[tuple[str, str]]
    renderers: Sequence[str]
    blenders: Sequence[str]
    sizes: Sequence[tuple[int, int]]
    extras: Sequence[str]
    nsoart: Mapping[str, Any]
    license: str
    content_sha256: str
    answer: str
    ceilings: tuple[int, float, float]

    @property
    def rows(self) -> int:
        return sum(sum(counts.values()) for counts in self.counts.values())


def make_card(facts: DatasetFacts) -> str:
    """README.md of a dataset: YAML header and text."""
    return f"---\n{_header(facts)}---\n\n{_text(facts)}"


def read_settings(card: str) -> dict[str, Any]:
    """What the build wrote about itself into a card: tolerance by scene, grey fraction, renderer.

    Raises:
        ValueError: a card that no build wrote.
    """
    parts = card.split("---\n", 2)
    header = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    if not isinstance(header, dict) or not isinstance(header.get("pinsight"), dict):
        raise ValueError("expected a YAML header with the key pinsight")
    return header["pinsight"]


def balance_table(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str:
    """Pictures by split and class as a Markdown table."""
    lines = [f"| split | {' | '.join(classes)} | all |", "|---|" + "---:|" * (len(classes) + 1)]
    for split in ordered_splits(counts):
        cells = [counts[split].get(name, 0) for name in classes]
        lines.append(f"| {split} | {' | '.join(map(str, cells))} | {sum(cells)} |")
    return "\n".join(lines)


def _header(facts: DatasetFacts) -> str:
    header: dict[str, Any] = {
        "pretty_name": _title(facts),
        "license": facts.license,
        **({"license_name": "not-stated"} if facts.license == "other" else {}),
        "task_categories": ["image-classification", "object-detection"],
        "tags": ["synthetic", "industrial-inspection", "connector", "florence-2", "pinsight"],
        "size_categories": [size_category(facts.rows)],
        "configs": [
            {
                "config_name": "default",
                # `load_dataset` finds a folder's former copy in its cache by what stands here, not by the files.
                "description": f"Content {facts.content_sha256[:16]}",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split in ordered_splits(facts.counts)
                ],
            }
        ],
        "pinsight": {
            "tolerance": {scene: asdict(facts.tolerances[scene]) for scene in sorted(facts.tolerances)},
            "tolerance_set_by_user": dict(facts.limits),
            "grey": facts.grey,
            "observable_px": facts.observable_px,
            "renderer": list(facts.renderers),
            "blender": list(facts.blenders),
            "answer": facts.answer,
            "content_sha256": facts.content_sha256,
            "manifests": [{"name": name, "sha256": sha256} for name, sha256 in facts.manifests],
        },
    }
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=110)


def size_category(rows: int) -> str:
    """The Hub's word for a number of rows."""
    return next((name for limit, name in _SIZES if rows < limit), "n>1M")


def _title(facts: DatasetFacts) -> str:
    return "Rendered pin inspection: " + ", ".join(sorted(facts.tolerances))


def _text(facts: DatasetFacts) -> str:
    sizes = ", ".join(f"{width} x {height}" for width, height in facts.sizes)
    manifests = "\n".join(f"- `{name}` (SHA-256 `{sha256[:16]}…`)" for name, sha256 in facts.manifests)
    tolerances = "\n".join(
        f"| {scene} | {tolerance.true_position_mm:g} | {tolerance.retraction_mm:g} |"
        for scene, tolerance in sorted(facts.tolerances.items())
    )
    classes = "\n".join(
        f"| {number} | `{name}` | {MEANINGS[name]} |" for number, name in enumerate(facts.classes)
    )
    extras = (
        f" User's own factors: {', '.join(f'`{name}`' for name in facts.extras)}." if facts.extras else ""
    )
    licence = (
        "Not stated: the pictures belong to whoever rendered them. Choose a licence before publishing."
        if facts.license == "other"
        else f"`{facts.license}`"
    )
    return f"""# {_title(facts)}

{facts.rows} rendered pictures ({sizes} px) of male connectors with {_shown(facts)}, for
classification and detection. Every label follows from the geometry that was rendered; nobody drew a box by hand.

    from datasets import load_dataset
    data = load_dataset("PATH_OR_NAME_OF_THIS_DATASET")

![Some of the pictures with the boxes of their defects]({SHEET})

## Splits and balance

{balance_table(facts.counts, facts.classes)}
{_left_out(facts)}
## Classes and tolerance

| number | class | meaning |
|---:|---|---|
{classes}

A picture with several defects has the first of NUKENG, BENDNG, OTHERNG; `kinds` keeps all. `verdict` is OK or NG.

| scene | true position, mm (diametral, at the tip) | retraction, mm |
|---|---:|---:|
{tolerances}

{_tolerance_note(facts)} A measure equal to its limit is good. Another tolerance needs no new rendering:
build again with `--tolerance`, or compare `objects.true_position_mm` and `objects.retraction_mm` yourself.

## Columns

- `image`: the picture. `nsoart`: its NSOART channels, see below.
- `label`, `verdict`, `kinds`.
- `grey`: {_grey_note(facts)}
- `observable`: {_observable_note(facts)}
- `bbox_str`: the Florence-2 `<OD>` answer: NG objects of which at least {OBSERVABLE_SHARE:.0%} can be seen,
  `<loc_0>` to `<loc_999>`, grouped by label; empty for OK.{_answer_note(facts)}
- `objects`: every pin position and every other thing: `id`, `bbox` (x, y, width, height in px, clipped to the
  picture), `category`, `area` (of the box, px²), `address` (row and position), `cavity` (label on the drawing),
  `visible` (share that can be seen; of a missing pin: of its cavity), `true_position_mm`, `retraction_mm` (null where
  there is no pin). The box of a missing pin is where it should stand; of a retracted one, what is left of it and
  where it should stand; of any other, what can be seen of it.
- `housing_bbox`: COCO box of what can be seen of the housing, clipped to the picture; null where nothing can be.
- `synthetic`: true. `original`, `augmentation`: null; of augmented copies, the row they were made from and how.
- `width`, `height` and the manifest's columns: `run`, `split`, `part`, `seed`, `scene`, `housing`, `terminal`,
  `defects`, `camera`, `lighting`, `marking`, `samples`.{extras}

## NSOART

Normalised SOART: the three SOART3 maps of each picture's windows ({_windows(facts)}) against the mean of its
own windows (log_beta: amount, log_yita: shape, log_gamma: concentration), standardised by a unit space of good parts,
each coded to 8 bits by one fixed monotone function, stacked as a picture of the same size. The unit space are the OK
rows of the training split of the same scene, housing, terminal, camera and marking.{_unit_note(facts)}

Parameters, statistics and the rows behind them are in `nsoart.json`;
`generator.soart.nsoart.nsoart_picture` applies them to any other picture.

## How it was made

Manifests, one row per picture:

{manifests}

Renderer {", ".join(facts.renderers)}, Blender {", ".join(facts.blenders)}. Pinsight rendered the manifests and built
this dataset from them; the same rows give the same bytes.

## Limits

Synthetic. Materials, light and manufacturing scatter are modelled, not measured on your parts; a model trained here
has to be proven on photographs of real parts, good and defective, before it decides about any. Balance and defect
sizes are the manifest's choice and say nothing about how often defects occur.

## Licence

{licence}
"""


def _shown(facts: DatasetFacts) -> str:
    pins = "good, bent, retracted and missing pins"
    return f"{pins} and other defects" if OTHERNG in facts.classes else pins


def _answer_note(facts: DatasetFacts) -> str:
    notes = []
    if facts.answer != "short":
        names = ANSWER_LABELS[facts.answer]
        pairs = ", ".join(f"`{names[name]}` for {name}" for name in facts.classes if name != "OK")
        notes.append(f" Its labels: {pairs}.")
    count, total, least = facts.ceilings
    if count:
        notes.append(
            f" A perfect answer\n  reaches an IoU of {total / count:.3f} on average and {least:.3f} at worst: bins are "
            "a thousandth of the picture."
        )
    return "".join(notes)


def _tolerance_note(facts: DatasetFacts) -> str:
    if not facts.limits:
        return "These are the scene's own limits."
    return f"Set for this build: {', '.join(f'`{name}={limit:g}`' for name, limit in facts.limits.items())}."


def _left_out(facts: DatasetFacts) -> str:
    if not facts.missing_rows:
        return ""
    return f"\nPartial: {facts.missing_rows} rows of the manifests had not been rendered and are left out.\n"


def _unit_note(facts: DatasetFacts) -> str:
    sources = [group["unit_space"] for group in facts.nsoart["groups"]]
    notes = (
        ("few", f"have no such rows: the first OK rows of any split, at most {FEW}"),
        ("pooled", "have no OK rows: those of all groups"),
        ("all", "stand in a dataset without any OK row: all their rows"),
    )
    found = [
        f"{sources.count(source)} of {len(sources)} groups {note}"
        for source, note in notes
        if source in sources
    ]
    return f" {'; '.join(found)}." if found else ""


def _windows(facts: DatasetFacts) -> str:
    window, stride = facts.nsoart["window"], facts.nsoart["stride"]
    return f"{window} x {window} px, step {stride} px"


def _observable_note(facts: DatasetFacts) -> str:
    note = f"false where none of the defects can be seen in this view ({facts.hidden_rows} pictures)."
    if not facts.observable_px:
        return note
    least = f"{facts.observable_px:g} px"
    return (
        f"{note}\n  A bend or a retraction counts as seen where it moves the pin's tip by at least {least}."
    )


def _grey_note(facts: DatasetFacts) -> str:
    if not facts.grey:
        return "false; this dataset was built without a grey zone."
    return f"a measure lies within {facts.grey:.0%} of its limit ({facts.grey_rows} pictures)."
