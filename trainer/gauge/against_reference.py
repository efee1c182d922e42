"""Prove a gauge on photographs of real parts whose pins a reference measured, for `trainer.evaluate --reference`.

    OUT/reference.csv    one line per pin that the reference names: both values, U, En, truth and decision
    OUT/reference.json   all numbers; OUT/report.html shows them
    OUT/reference.png    plot of measured over reference values, with U (k = 2)

Parts are measured and judged as `trainer.predict` does, by the functions of `trainer.gauge.prediction`. The truth of a
pin is the reference's value against the applied tolerance; a pin that is missing by the reference is NG.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from tqdm import tqdm

from generator.io.checksum import sha256_of
from trainer.core import adaptation, results_folder, run_folder
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.prediction import find_pictures
from trainer.core.run_folder import REPORT
from trainer.core.split import open_picture
from trainer.core.training_looks import refuse_copies
from trainer.gauge import prediction, reference_page
from trainer.gauge.prediction import Bench
from trainer.gauge.reference import Reference
from trainer.gauge.reference_figures import decisions, figures, missing_pins, worst
from trainer.gauge.reference_file import read_reference
from trainer.gauge.reference_pins import QUANTITIES, doubtful, parts_of, pins_of

DOCUMENT, PINS = "reference.json", "reference.csv"


@dataclass(frozen=True)
class ComparisonOptions:
    """Options of a comparison.

    Attributes:
        run: folder of the gauge's run.
        photos: folder of the photographs, named as for `trainer.predict`.
        reference: CSV file that `read_reference` reads.
        options: names of the part, tolerance, judged characteristics and certificate, as for `trainer.predict`.
    """

    run: Path
    photos: Path
    reference: Path
    options: prediction.Options


def files_of(_document: Mapping[str, Any]) -> set[str]:
    """Return the names of all files that a comparison writes beside reference.json."""
    return {PINS, REPORT, reference_page.PLOT}


def evaluate(asked: ComparisonOptions, out: Path, own_folder: bool) -> None:
    """Compare a gauge's measures and verdicts with a reference, write the results into `out`, and print the main ones.

    Args:
        asked, out: the options; the folder of the results.
        own_folder: whether `out` is RUN/reference, whose files may be replaced without a check.

    Raises:
        InputError: the run, a photograph, the reference or the certificate cannot be used; or a result would replace a
            file in `out` that no earlier comparison wrote, or lie among the photographs.
    """
    if out.resolve().is_relative_to(asked.photos.resolve()):
        raise InputError(f"--out {out}: expected a folder outside of the photographs {asked.photos}, got one in it")
    if asked.reference.resolve() == (out / PINS).resolve():
        raise InputError(
            f"--reference {asked.reference}: expected a file that the results do not replace, got {PINS} of --out "
            f"{out}; rename it, or give another --out"
        )
    if not own_folder:
        results_folder.check(out, asked.run, DOCUMENT, files_of, files_of({}))
    reference = read_reference(asked.reference)
    bench = prediction.load_bench(asked.run, asked.options)
    parts, others = _photographed(bench, asked.photos, reference)
    documents = _measured(bench, parts)
    options, sag = bench.options, bench.gauge.factors.sag
    pins = pins_of(documents, reference, bench.tolerance, bench.lengths_mm, options.judged, sag)
    document = _document(asked, bench, reference, documents, pins) | {"not_in_reference": others}
    with results_folder.replaced(out, DOCUMENT, files_of) as stage:
        reference_page.plot(pins, document["quantities"], bench.tolerance, stage / reference_page.PLOT)
        run_folder.replace_file(
            stage / PINS, lambda temporary: pins.to_csv(temporary, index=False, float_format="%.6g")
        )
        reference_page.write_page(stage, document)
        run_folder.write_json(stage / DOCUMENT, document)
    for line in reference_page.lines(document):
        say(line)
    say(f"report: {out / REPORT}")


def _photographed(bench: Bench, photos: Path, reference: Reference) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """The picture files of the reference's parts, by part and view; names of photographed parts that it does not have.

    Raises:
        InputError: a file belongs to no part, two files have the same pixels, or the reference does not fit the
            photographs or the drawing.
    """
    parts, left, problems = prediction.grouped(bench, find_pictures([photos]))
    if left:
        raise InputError(problems)
    named = {part: files for part, files in parts.items() if Path(part).name in reference.measures}
    addresses = [each.address for each in bench.drawing.positions]
    if wrong := reference.problems(named, addresses):
        raise InputError([f"--reference: {each}" for each in wrong])
    refuse_copies(_readable(file for files in named.values() for file in files.values()))
    return named, [Path(part).name for part in parts if part not in named]


def _readable(files: Iterable[Path]) -> Iterator[tuple[Path, Image.Image]]:
    """Yield file and picture; files that cannot be read are named when they are measured."""
    for file in files:
        with contextlib.suppress(InputError):
            yield file, open_picture(file, str(file))


def _measured(bench: Bench, parts: Mapping[str, Mapping[str, Path]]) -> list[dict[str, Any]]:
    """Entries of predictions.json, one for each part.

    Raises:
        InputError: a picture cannot be read, or the certificate does not fit.
    """
    found = list(tqdm(prediction.outcomes(bench, parts), total=len(parts), unit="part", leave=False, disable=None))
    if problems := dict.fromkeys(problem for one in found for problem in one.problems):
        raise InputError(list(problems))
    return [one.verdict for one in found]


def _document(
    asked: ComparisonOptions, bench: Bench, reference: Reference, documents: list[dict[str, Any]], pins: pd.DataFrame
) -> dict[str, Any]:
    """All numbers, as reference.json holds them."""
    addresses = [each.address for each in bench.drawing.positions]
    parts = parts_of(pins, documents, addresses)
    warnings = dict.fromkeys(text for one in documents for text in one.get("warnings", ()))
    warnings |= dict.fromkeys(doubtful(pins, bench.tolerance))
    return {
        "model": dict(bench.model),
        "reference": {
            "file": asked.reference.name,
            "sha256": sha256_of(asked.reference),
            "parts": len(parts),
            "pins": len(pins),
            "missing": int((pins.present == "no").sum()),
            "with_height": int(pins.reference_height.notna().sum()),
            "with_u": int(pins.u_reference.notna().sum()),
        },
        "connector": dict(zip(("scene", "housing", "terminal"), bench.drawing.key, strict=True)),
        "views": sorted({view for one in documents for view in one["files"]}),
        "tolerance": {bench.drawing.key[0]: bench.tolerance.complete()},
        "judged": list(bench.options.judged),
        "scale": documents[0]["scale"],
        "warnings": list(warnings),
        **adaptation.warned(bench.adaptation),
        "quantities": {name: figures(pins, name) for name in QUANTITIES},
        "worst": worst(pins),
        "missing_pins": missing_pins(pins),
        "decisions": decisions(pins, parts, bench.tolerance, bench.options.judged),
        "verdicts": parts,
    }
