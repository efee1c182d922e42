"""Verdicts of a ViT's run on picture files, or on parts with a picture from each camera, for `trainer.predict`.

Pictures are letterboxed to the network's size as in training (one scale for both directions, centred, the border
repeated). The heat map is the patch head's 1 - P(OK), scaled to the picture. For a run trained on NSOART pictures (how
much each window differs from a reference) with golden references they are made here (`trainer.core.golden_input`); with
self references the files must be NSOART pictures. A run trained with `--views` judges parts: part and view are read
from the pictures' names (`generator.io.view_names`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from trainer.core import adaptation, adaptation_seal, fitness, frozen_threshold
from trainer.core.adaptation import Adaptation
from trainer.core.decision import Thresholds
from trainer.core.errors import InputError
from trainer.core.gates import Gates
from trainer.core.golden_input import GoldenInput
from trainer.core.prediction import PartFiles, Prediction, Predictions, VerdictWriter
from trainer.core.split import open_picture
from trainer.vit import results
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT
from trainer.vit.verdicts import (
    DEFAULT_THRESHOLDS,
    PartVerdict,
    PictureVerdict,
    annotate,
    annotate_part,
    judge,
    judge_part,
)


@dataclass(frozen=True)
class Classifier:
    """A run's network with its thresholds and temperature.

    Args:
        model: The network in evaluation mode.
        limits: Thresholds of P(NG) = 1 - P(OK).
        temperature: Divides the logits, above 0.
        writer: The run's name and tolerance for every verdict, and the reasons why the run is unfit.
        gates: The run's gates, which find pictures that cannot be judged.
        golden: Makes the NSOART pictures; None: the network judges the pictures as they are.
        both: Whether the network gets picture and NSOART picture.
        adaptation: How pictures are changed before; None: the run was not adapted to a station.
    """

    model: ViT
    limits: Thresholds
    temperature: float
    writer: VerdictWriter
    gates: Gates
    golden: GoldenInput | None = None
    both: bool = False
    adaptation: Adaptation | None = None

    def inputs(self, picture: Image.Image, file: Path, view: str | None = None) -> list[Image.Image]:
        """Return the pictures whose channels the network gets: `picture` as adapted, its NSOART picture, or both.

        `file` and `view`, the picture's file and camera, choose the golden reference: see `GoldenInput.chart`.

        Raises:
            InputError: The picture does not have the shape of its golden reference.
        """
        if self.adaptation is not None:
            picture = self.adaptation.apply(picture, view or "")
        if self.golden is None:
            return [picture]
        chart = self.golden.chart(picture, file, view)
        return [picture, chart] if self.both else [chart]


@dataclass(frozen=True)
class Options:
    """Options of a prediction.

    Args:
        weights: `best` or `last`; None: best.
        threshold: P(NG) in [0, 1] from which on the verdict is NG; None: the run's own.
        allow_unfit: Whether to judge pictures although the run is unfit.
        sheets: Whether to draw the verdict into a copy of each picture or part (a sheet).
        tolerance: Limits in mm of `--tolerance`, by name; empty: not given.
        part: The options `scene`, `housing`, `terminal`, `camera` and `marking` by name, which choose NSOART's golden
            reference; None: not given.
    """

    weights: str | None = None
    threshold: float | None = None
    allow_unfit: bool = False
    sheets: bool = False
    tolerance: Mapping[str, float] = field(default_factory=dict)
    part: Mapping[str, str | None] = field(default_factory=dict)


def unfit_reasons(run: Path, weights: str = "best") -> tuple[str, ...]:
    """Return why a run with these weights (`best` or `last`) is unfit, or why this is not known; empty if it is fit."""
    if weights != "best":
        return ("unfit: the fitness of the last epoch's weights is not measured, only that of the best",)
    known = results.fitness_of_run(run)
    if known is None:
        is_adapted = (run / adaptation_seal.FILE).is_file()
        return (fitness.NOT_MEASURED_ADAPTED if is_adapted else fitness.NOT_MEASURED,)
    return known.unfit


def load_classifier(run: Path, options: Options) -> Classifier:
    """Load a ViT's run; only the best weights, not the last, have thresholds, temperature and fitness.

    Raises:
        InputError: The run cannot be read, or it takes picture and NSOART picture together but has no golden
            references, or `options.part` has values although the run has no golden references.
    """
    _, settings = vit_run.load_config(run)
    golden = GoldenInput.of(run, settings.input, options.part)
    if "+" in settings.input and golden is None:
        raise InputError(
            f"--model {run}: expected golden references (`generator build --nsoart golden`), as the run was trained on "
            f"{settings.input}, got none; `python -m trainer.evaluate` can measure this run all the same"
        )
    weights = options.weights or "best"
    model = vit_run.load_model(run, weights)
    held = frozen_threshold.load(run) if weights == "best" else None
    gates = Gates.load(run, vit_run.WEIGHTS[weights])
    sha256, unfit = frozen_threshold.sha256_of_weights(run / vit_run.WEIGHTS[weights]), unfit_reasons(run, weights)
    adapted = adaptation.load(run)
    # Gates are those of the best weights: for others, `unfit` says why nothing is judged.
    lacking = gates.missing if weights == "best" else ()
    writer = VerdictWriter.of(
        run, sha256, model.config.classes, (*unfit, *lacking), options.allow_unfit, options.tolerance
    )
    if adapted is not None:
        writer = replace(writer, warnings=(*writer.warnings, adaptation.WARNING))
    return Classifier(
        model,
        (held.limits if held else DEFAULT_THRESHOLDS).with_threshold(options.threshold),
        held.temperature if held else 1.0,
        writer,
        gates,
        golden,
        "+" in settings.input,
        adapted,
    )


def predictions(run: Path, files: Sequence[Path], options: Options) -> Predictions:
    """Prepare to judge picture files with a ViT's run; each verdict is computed when it is read from `outcomes`.

    There is one outcome per picture; for a run on several views one per part, then one, INVALID, for each file that
    belongs to no complete part. A file that cannot be read also gives INVALID.

    Raises:
        InputError: RUN/config.json or RUN/nsoart.json cannot be read, or the run has no golden reference for a
            picture, or none at all although `options.part` has values. Reading the first outcome may raise the
            errors of `load_classifier`.
    """
    config, settings = vit_run.load_config(run)
    views = config.views
    if golden := GoldenInput.of(run, settings.input, options.part):
        golden.check(files, views)
    if not views:
        return Predictions(_of_pictures(run, files, options), list(files))
    found = PartFiles.of(files, views)
    return Predictions(_of_parts(run, found, options), found.places)


def _of_pictures(run: Path, files: Sequence[Path], options: Options) -> Iterator[Prediction]:
    """Judge each picture file."""
    by = load_classifier(run, options)
    for file in files:
        try:
            picture = open_picture(file, str(file))
            inputs = by.inputs(picture, file)
        except InputError as e:
            yield Prediction(file, by.writer.unjudged(file, e.problems), problems=e.problems)
            continue
        verdict, heat = judge(by.model, picture, by.limits, by.temperature, by.writer.invalid, by.gates, inputs)
        line = by.writer.line(verdict.verdict, verdict.said, str(file), verdict.reasons)
        sheet = annotate(picture, verdict, heat, by.model) if options.sheets else None
        yield Prediction(file, _entry(by, verdict, file), line, sheet)


def _of_parts(run: Path, found: PartFiles, options: Options) -> Iterator[Prediction]:
    """Judge each part; then name the files that belong to none."""
    by = load_classifier(run, options)
    for place, files in found.parts.items():
        part = str(place.with_suffix(""))
        pictures: dict[str, Image.Image] = {}
        inputs: dict[str, list[Image.Image]] = {}
        unread: list[str] = []
        for view, file in files.items():
            try:
                pictures[view] = open_picture(file, str(file))
                inputs[view] = by.inputs(pictures[view], file, view)
            except InputError as e:
                unread += e.problems
        if unread:
            yield Prediction(place, by.writer.unjudged(files, unread, part=part), problems=unread)
            continue
        verdict, heats = judge_part(by.model, pictures, by.limits, by.temperature, by.writer.invalid, by.gates, inputs)
        where = f"  most suspicious in view {verdict.peak_view}" if verdict.verdict == "NG" else ""
        line = by.writer.line(verdict.verdict, verdict.said, f"{part}{where}", verdict.reasons)
        sheet = annotate_part(pictures, verdict, heats, by.model) if options.sheets else None
        yield Prediction(place, _entry(by, verdict, files, part=part), line, sheet)
    yield from found.left_out(by.writer)


def _entry(
    by: Classifier, verdict: PictureVerdict | PartVerdict, of: Path | Mapping[str, Path], **more: Any
) -> dict[str, Any]:
    """Make the entry of predictions.json."""
    own = asdict(verdict)
    return by.writer.document(own.pop("verdict"), own.pop("reasons"), of, **more, **own)
