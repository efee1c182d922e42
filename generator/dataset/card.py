"""The card of a dataset that was built from renders: what a stranger must know before using the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from generator.dataset.card_header import balance_table, card_header, classes_table
from generator.dataset.folder import SHEET
from generator.dataset.labels import ANSWER_LABELS, OBSERVABLE_SHARE, OTHERNG, Tolerance
from generator.soart.nsoart import FEW


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
        connectors: how many connectors.json has.
        source_sha256: of the renders and the settings; `code_sha256`: of the code. Equal ones give the same dataset.
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
    connectors: int
    source_sha256: str
    code_sha256: str

    @property
    def rows(self) -> int:
        return sum(sum(counts.values()) for counts in self.counts.values())


def make_card(facts: DatasetFacts) -> str:
    """README.md of a dataset: YAML header and text."""
    return f"---\n{_header(facts)}---\n\n{_text(facts)}"


def _header(facts: DatasetFacts) -> str:
    settings = {
        "tolerance": {scene: asdict(facts.tolerances[scene]) for scene in sorted(facts.tolerances)},
        "tolerance_set_by_user": dict(facts.limits),
        "grey": facts.grey,
        "observable_px": facts.observable_px,
        "renderer": list(facts.renderers),
        "blender": list(facts.blenders),
        "answer": facts.answer,
        "content_sha256": facts.content_sha256,
        "source_sha256": facts.source_sha256,
        "code_sha256": facts.code_sha256,
        "manifests": [{"name": name, "sha256": sha256} for name, sha256 in facts.manifests],
    }
    return card_header(_title(facts), facts.license, True, facts.counts, settings)


def _title(facts: DatasetFacts) -> str:
    return "Rendered pin inspection: " + ", ".join(sorted(facts.tolerances))


def _text(facts: DatasetFacts) -> str:
    sections = (_opening, _splits, _classes, _columns, _nsoart, _origin, _licence)
    return "\n".join(section(facts) for section in sections)


def _opening(facts: DatasetFacts) -> str:
    sizes = ", ".join(f"{width} x {height}" for width, height in facts.sizes)
    return f"""# {_title(facts)}

{facts.rows} rendered pictures ({sizes} px) of male connectors with {_shown(facts)}, for
classification and detection. Every label follows from the geometry that was rendered; nobody drew a box by hand.

    from datasets import load_dataset
    data = load_dataset("PATH_OR_NAME_OF_THIS_DATASET")

![Some of the pictures with the boxes of their defects]({SHEET})
"""


def _splits(facts: DatasetFacts) -> str:
    return f"""## Splits and balance

{balance_table(facts.counts, facts.classes)}
{_left_out(facts)}"""


def _classes(facts: DatasetFacts) -> str:
    tolerances = "\n".join(
        f"| {scene} | {tolerance.true_position_mm:g} | {tolerance.retraction_mm:g} |"
        for scene, tolerance in sorted(facts.tolerances.items())
    )
    return f"""## Classes and tolerance

{classes_table(facts.classes)}

A picture with several defects has the first of NUKENG, BENDNG, OTHERNG; `kinds` keeps all. `verdict` is OK or NG.

| scene | true position, mm (diametral, at the tip) | retraction, mm |
|---|---:|---:|
{tolerances}

{_tolerance_note(facts)} A measure equal to its limit is good. Another tolerance needs no new rendering:
build again with `--tolerance`, or compare `objects.true_position_mm` and `objects.retraction_mm` yourself.
"""


def _columns(facts: DatasetFacts) -> str:
    extras = f" User's own factors: {', '.join(f'`{name}`' for name in facts.extras)}." if facts.extras else ""
    return f"""## Columns

- `image`: the picture. `nsoart`: its NSOART channels, see below.
- `label`, `verdict`, `kinds`.
- `grey`: {_grey_note(facts)}
- `observable`: {_observable_note(facts)}
- `bbox_str`: the Florence-2 `<OD>` answer: NG objects of which at least {OBSERVABLE_SHARE:.0%} can be seen,
  `<loc_0>` to `<loc_999>`, grouped by label; empty for OK.{_answer_note(facts)}
- `objects`: every pin position and every foreign body, crack or print defect: `id`, `bbox` (x, y, width, height in px,
  clipped to the picture), `category`, `area` (of the box, px²), `kinds` (what makes it NG), `in_answer` (whether
  `bbox_str` names it), `address` (row and position), `cavity` (label on the drawing), `visible` (share that can be
  seen; of a missing pin: of its cavity), `dx_mm`, `dy_mm`, `true_position_mm`, `retraction_mm`, `tilt_deg` (null where
  there is no pin), `tip_px`, `base_px`. The box of a missing pin is where it should stand; of a retracted one, what is
  left of it and where it should stand; of any other, what can be seen of it.
- `camera_json`: focal lengths and centre in px, distortion as OpenCV has it, `matrix_world` of Blender's camera in mm.
- `tolerance_json`: the limits in mm that `label` was decided under.
- `housing_bbox`: COCO box of what can be seen of the housing, clipped to the picture; null where nothing can be.
- `synthetic`: true. `original`, `augmentation`: null; of augmented copies, the row they were made from and how.
- `width`, `height` and the manifest's columns: `run`, `split`, `part`, `seed`, `scene`, `housing`, `terminal`,
  `defects`, `camera`, `lighting`, `marking`, `samples`.{extras}
{_connectors_note(facts)}"""


def _nsoart(facts: DatasetFacts) -> str:
    return f"""## NSOART

Normalised SOART: the three SOART3 maps of each picture's windows ({_windows(facts)}) against the mean of its
own windows (log_beta: amount, log_yita: shape, log_gamma: concentration), standardised by a unit space of good parts,
each coded to 8 bits by one fixed monotone function, stacked as a picture of the same size. The unit space are the OK
rows of the training split of the same scene, housing, terminal, camera and marking.{_unit_note(facts)}

Parameters, statistics and the rows behind them are in `nsoart.json`;
`generator.soart.nsoart.nsoart_picture` applies them to any other picture.
"""


def _origin(facts: DatasetFacts) -> str:
    manifests = "\n".join(f"- `{name}` (SHA-256 `{sha256[:16]}…`)" for name, sha256 in facts.manifests)
    return f"""## How it was made

Manifests, one row per picture:

{manifests}

Renderer {", ".join(facts.renderers)}, Blender {", ".join(facts.blenders)}. Pinsight rendered the manifests and built
this dataset from them; the same rows give the same bytes.

## Limits

Synthetic. Materials, light and manufacturing scatter are modelled, not measured on your parts; a model trained here
has to be proven on photographs of real parts, good and defective, before it decides about any. Balance and defect
sizes are the manifest's choice and say nothing about how often defects occur.
"""


def _licence(facts: DatasetFacts) -> str:
    licence = (
        "Not stated: the pictures belong to whoever rendered them. Choose a licence before publishing."
        if facts.license == "other"
        else f"`{facts.license}`"
    )
    return f"""## Licence

{licence}
"""


def _connectors_note(facts: DatasetFacts) -> str:
    if not facts.connectors:
        return ""
    what = "the nominal position of every pin, and the housing's outline, of each scene, housing and terminal"
    return f"\n`connectors.json` has {what}.\n"


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
    found = [f"{sources.count(source)} of {len(sources)} groups {note}" for source, note in notes if source in sources]
    return f" {'; '.join(found)}." if found else ""


def _windows(facts: DatasetFacts) -> str:
    window, stride = facts.nsoart["window"], facts.nsoart["stride"]
    return f"{window} x {window} px, step {stride} px"


def _observable_note(facts: DatasetFacts) -> str:
    note = f"false where none of the defects can be seen in this view ({facts.hidden_rows} pictures)."
    if not facts.observable_px:
        return note
    least = f"{facts.observable_px:g} px"
    return f"{note}\n  A bend or a retraction counts as seen where it moves the pin's tip by at least {least}."


def _grey_note(facts: DatasetFacts) -> str:
    if not facts.grey:
        return "false; this dataset was built without a grey zone."
    return f"a measure lies within {facts.grey:.0%} of its limit ({facts.grey_rows} pictures)."
