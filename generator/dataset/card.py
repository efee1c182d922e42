"""The card (README.md) of a dataset built from renders: what a stranger must know before using the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blender_scripts.contract.tolerance import Tolerance
from generator.dataset.card_header import balance_table, card_header, classes_table
from generator.dataset.folder import SHEET
from generator.dataset.labels import ANSWER_LABELS, OBSERVABLE_SHARE, OTHERNG
from generator.soart.nsoart import FEW, is_golden


@dataclass(frozen=True)
class DatasetFacts:
    """Counts and settings of a built dataset, for its card.

    Attributes:
        counts: number of pictures by split and class.
        classes: classes that the dataset declares.
        tolerances: tolerance applied to each scene.
        limits: limits in mm that the user set instead of the scene's, by name (`r1c2.retraction_mm`: of one position).
        grey: a picture is marked grey if a measure differs from its limit by at most this fraction of the limit.
        grey_rows: number of pictures marked grey.
        observable_px: a bend or a wrong height counts as visible in a picture if it moves the tip by at least this, px.
        hidden_rows: number of NG pictures in which no defect is visible.
        blank_rows: number of pictures in which nothing can be seen, or, of a good part, no pin.
        unseen_rows: number of other OK pictures in which some pin cannot be seen at all.
        missing_rows: number of manifest rows that were left out because they have no record.
        manifests: file name and SHA-256 of each manifest.
        renderers, blenders: versions of Pinsight's renderer and of Blender in the records.
        sizes: (width, height) of the pictures, px.
        extras: names of the user's own manifest columns.
        nsoart: contents of nsoart.json.
        license: licence identifier; `other`: not stated.
        content_sha256: SHA-256 of all pictures and labels.
        answer: how `bbox_str` names the classes: `short`, `words` or `hyphenated`.
        ceilings: (number of boxes in all `bbox_str`, sum and minimum of their IoU with the exact boxes); the IoU is
            below 1 because edges in `bbox_str` are rounded to a thousandth of the picture.
        connectors: number of connectors in connectors.json.
        source_sha256: SHA-256 of the build's inputs and options.
        code_sha256: SHA-256 of Pinsight's source code. Datasets in which both hashes are equal are equal.
    """

    counts: Mapping[str, Mapping[str, int]]
    classes: Sequence[str]
    tolerances: Mapping[str, Tolerance]
    limits: Mapping[str, float]
    grey: float
    grey_rows: int
    observable_px: float
    hidden_rows: int
    blank_rows: int
    unseen_rows: int
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
        """Number of pictures in all splits."""
        return sum(sum(counts.values()) for counts in self.counts.values())


def make_card(facts: DatasetFacts) -> str:
    """Return the contents of the dataset's README.md: YAML header and text."""
    return f"---\n{_header(facts)}---\n\n{_text(facts)}"


def _header(facts: DatasetFacts) -> str:
    settings = {
        "tolerance": {scene: facts.tolerances[scene].complete() for scene in sorted(facts.tolerances)},
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
    # The section on classes comes first: later sections use their names.
    sections = (_opening, _classes, _splits, _columns, _nsoart, _origin, _licence)
    return "\n".join(section(facts) for section in sections)


def _opening(facts: DatasetFacts) -> str:
    sizes = ", ".join(f"{width} x {height}" for width, height in facts.sizes)
    return f"""# {_title(facts)}

{facts.rows} rendered pictures ({sizes} px) of male connectors with {_contents(facts)}, for
classification and detection. Every label is computed from the rendered geometry; no box was drawn by hand.

    from datasets import load_dataset
    data = load_dataset("PATH_OR_NAME_OF_THIS_DATASET")

![Some pictures with the boxes of their defects]({SHEET})
"""


def _splits(facts: DatasetFacts) -> str:
    return f"""## Splits and balance

{balance_table(facts.counts, facts.classes)}
{_left_out(facts)}"""


def _classes(facts: DatasetFacts) -> str:
    tolerances = "\n".join(
        f"| {scene} | {limits.true_position_mm:g} | {limits.retraction_mm:g} | {limits.protrusion_mm:g} |"
        for name, tolerance in sorted(facts.tolerances.items())
        for scene, limits in (
            (name, tolerance.limits()),
            *((f"{name}, {address}", tolerance.limits(address)) for address in sorted(tolerance.at)),
        )
    )
    return f"""## Classes and tolerance

{classes_table(facts.classes)}

NG means “no good”: any class but OK. A picture with several defects has the first of NUKENG, BENDNG, OTHERNG.

The tolerance is the largest deviation that is still good. True position is twice the distance of a pin's tip from its
place on the drawing; retraction is how far a terminal sits below its nominal height, protrusion how far above it (a
negative `retraction_mm`).

| scene | true position, mm | retraction, mm | protrusion, mm |
|---|---:|---:|---:|
{tolerances}

{_tolerance_note(facts)} A measure equal to its limit is good. Another tolerance needs no new rendering:
build again with `--tolerance`, or compare `objects.true_position_mm` and `objects.retraction_mm` yourself.
"""


def _columns(facts: DatasetFacts) -> str:
    extras = f" User's own factors: {', '.join(f'`{name}`' for name in facts.extras)}." if facts.extras else ""
    return f"""## Columns

- `image`: the picture. `nsoart`: three texture maps of the picture, standardised by good parts; see NSOART below.
- `label`: class of the picture. `verdict`: OK or NG, for the whole picture. `kinds`: every kind of defect in it.
- `grey`: {_grey_note(facts)}
- `observable`: {_observable_note(facts)}
- `bbox_str`: the Florence-2 `<OD>` answer: the boxes of NG objects of which at least {OBSERVABLE_SHARE:.0%} is visible,
  as `<loc_0>` to `<loc_999>`, grouped by label; empty for OK.{_answer_note(facts)}
- `objects`: every pin position and every foreign body, crack or print defect: `id` (its value in the instance mask),
  `bbox` (x, y, width, height in px, clipped to the picture), `category` (class), `area` (of the box, px²), `kinds`
  (what makes it NG), `in_answer` (whether `bbox_str` has its box), `address` (row and position: r2c5), `cavity` (label
  on the drawing), `visible` (share that is visible; of a missing pin: of its cavity), `dx_mm`, `dy_mm` (tip from its
  place on the drawing), `true_position_mm`, `retraction_mm`, `tilt_deg` (of the tip against the mating direction;
  measures are null where there is no pin), `tip_px`, `base_px` (tip and foot in the picture; a missing pin has no tip,
  but a foot: where it should be), `moved_px` (by how many px the bend or wrong height of an NG pin moves its tip in
  this picture; null for any other kind of defect). The box of a missing pin is around the place where it should be;
  that of a retracted pin, around this place and its visible part; any other box, around what is visible.
- `camera_json`: model, focal lengths (telecentric: px per mm) and centre in px, distortion in OpenCV's order,
  `matrix_world` of Blender's camera in mm.
- `tolerance_json`: the limits in mm behind `label`; under `at`, those of single positions.
- `housing_bbox`: COCO box of the visible part of the housing, clipped to the picture; null where none is visible.
- `synthetic`: true. `original`, `augmentation`: null; in augmented copies, the row that was copied, and how.
- `width`, `height` and the manifest's columns: `run`, `split`, `part`, `seed`, `scene`, `housing`, `terminal`,
  `defects`, `camera`, `lighting`, `marking`, `samples`, `world`.{extras}
{_connectors_note(facts)}"""


def _nsoart(facts: DatasetFacts) -> str:
    reference, where = "the mean window of the same picture", ""
    if is_golden(facts.nsoart):
        reference = (
            "the same window of\nthe golden reference: the mean picture of good parts, computed without this picture "
            "and aligned with it. Edges\nthat lie up to "
            f"{facts.nsoart['tolerance_px']} px beside those of the reference count as no difference"
        )
        where = " The references are in `nsoart/`."
    return f"""## NSOART

NSOART (normalised SOART) has three channels: amount (log_beta), shape (log_yita) and concentration (log_gamma) of the
difference between each small window ({_windows(facts)}) and {reference}. Each channel is
standardised by its mean and standard deviation over good parts, and coded to 8 bits by one fixed monotone function.
The good parts (the unit space) are the OK rows of the training split with the same scene, housing, terminal, camera
and marking.{_unit_note(facts)}

`nsoart.json` holds the parameters, the statistics and the names of the rows behind them;
`generator.soart.nsoart.nsoart_picture` applies them to any other picture.{where}
"""


def _origin(facts: DatasetFacts) -> str:
    manifests = "\n".join(f"- `{name}` (SHA-256 `{sha256[:16]}…`)" for name, sha256 in facts.manifests)
    return f"""## How it was made

Manifests, one row per picture:

{manifests}

Pinsight (renderer {", ".join(facts.renderers)}, Blender {", ".join(facts.blenders)}) rendered the manifests and built
this dataset; the same rows give the same bytes.

## Limits

Synthetic. Materials, light and manufacturing scatter are modelled, not measured on your parts: test a model that was
trained on this dataset with photographs of real parts, good and defective, before you use it. Balance and defect sizes
were chosen in the manifest and say nothing about how often defects occur.
"""


def _licence(facts: DatasetFacts) -> str:
    licence = (
        "Not stated: the pictures belong to the person who rendered them. Choose a licence before publishing."
        if facts.license == "other"
        else f"`{facts.license}`"
    )
    return f"""## Licence

{licence}
"""


def _connectors_note(facts: DatasetFacts) -> str:
    if not facts.connectors:
        return ""
    what = "the nominal position of every pin, and the housing's outline, for each scene, housing and terminal"
    return f"\n`connectors.json` has {what}.\n"


def _contents(facts: DatasetFacts) -> str:
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
            f" As edges\n  are rounded to a thousandth of the picture, a perfect answer reaches an IoU of "
            f"{total / count:.3f} with the exact boxes on average, {least:.3f} at worst."
        )
    return "".join(notes)


def _tolerance_note(facts: DatasetFacts) -> str:
    if not facts.limits:
        return "The limits are those of the scene file."
    return f"Limits set for this build: {', '.join(f'`{name}={limit:g}`' for name, limit in facts.limits.items())}."


def _left_out(facts: DatasetFacts) -> str:
    if not facts.missing_rows:
        return ""
    return f"\nIncomplete: {facts.missing_rows} rows of the manifests had not been rendered and are left out.\n"


def _unit_note(facts: DatasetFacts) -> str:
    sources = [group["unit_space"] for group in facts.nsoart["groups"]]
    notes = (
        ("few", f"have no such rows and use their first OK rows of any split, at most {FEW}"),
        ("marking", f"have fewer than {FEW} such rows and use those of every marking"),
        ("housing", f"have fewer than {FEW} such rows and use those of every marking and housing"),
        ("pooled", "have no OK rows and use those of all groups"),
        ("all", "use all their rows, since the dataset has no OK row"),
    )
    found = [f"{sources.count(source)} of {len(sources)} groups {note}" for source, note in notes if source in sources]
    return f" {'; '.join(found)}." if found else ""


def _windows(facts: DatasetFacts) -> str:
    window, stride = facts.nsoart["window"], facts.nsoart["stride"]
    return f"{window} x {window} px, step {stride} px"


def _observable_note(facts: DatasetFacts) -> str:
    note = f"false for an NG picture in which none of the defects is visible ({facts.hidden_rows} pictures)."
    if facts.blank_rows:
        note += f"\n  False, too, for {facts.blank_rows} pictures that show nothing: black, white, or no pin in view."
    if not facts.observable_px:
        return note
    least = f"{facts.observable_px:g} px"
    return f"{note}\n  A bend or a wrong height counts as visible if it moves the pin's tip by at least {least}."


def _grey_note(facts: DatasetFacts) -> str:
    zone = "in the grey zone, so close to a limit that OK and NG can hardly be told apart"
    if not facts.grey:
        return f"true for a picture {zone}; always false here, since no zone was set (`--grey`)."
    return (
        f"true for a picture {zone}: a measure is\n  within {facts.grey:.0%} of its limit ({facts.grey_rows} pictures)."
    )
