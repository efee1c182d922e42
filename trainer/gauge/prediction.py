"""Verdicts of a gauge's run on parts, each shown by one or more views, for `trainer.predict`.

Part and view are read from the pictures' names (`generator.io.view_names`); a picture without a view's name is a part
of its own, called by its path without suffix, or with it if another part has this name. Only the pictures and the run
are read: the pose is found in the pictures.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from blender_scripts.contract import wide_limits
from blender_scripts.contract.tolerance import Tolerance
from generator.io.certificate import Certificate, read_certificate
from generator.io.view_names import DEFAULT_VIEW, parts_of, view_of
from generator.locating.drawings import StatedDrawing, choose, fitting, parse_drawings
from generator.locating.factors import Factors
from generator.locating.gauge import Gauge, Inspected, inspect_part, inspect_photograph
from generator.locating.judge import CHARACTERISTICS
from generator.locating.landmarks import queries
from generator.locating.rig import check_views, expiry_warning, scale_note
from generator.locating.sheet import draw_sheet, sentence
from generator.verdict.envelope import Envelope, Verdict
from trainer.core import adaptation, run_folder
from trainer.core.adaptation import Adaptation
from trainer.core.console import say
from trainer.core.errors import InputError, as_input_error
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.core.prediction import Prediction, Predictions, sha256_or_none
from trainer.core.split import open_picture
from trainer.gauge.finder import TorchFinder
from trainer.gauge.gates import load_gates
from trainer.gauge.limits import connector_tolerance, replaced
from trainer.gauge.run import load_run

CONNECTORS = "connectors.json"


@dataclass(frozen=True)
class Options:
    """Options of a prediction.

    Args:
        scene, housing, terminal: Names of the part's scene, housing and terminal; None: any. If several
            connectors of the run's training fit these names, they may not differ in positions, walls or cameras.
        camera: View of pictures whose names state no view, with `find` of all; None: center, if the run has it.
        judged: Characteristics that the verdict covers.
        sheets: Whether to draw the measures into a picture of each part.
        tolerance: Limits in mm of `--tolerance`, by name; empty: the run's own.
        calibration: Calibration certificate of the station's cameras; None: they are nominal.
        find: Whether the pictures are photographs in which the part must be searched for.
    """

    scene: str | None = None
    housing: str | None = None
    terminal: str | None = None
    camera: str | None = None
    judged: tuple[str, ...] = CHARACTERISTICS
    sheets: bool = False
    tolerance: Mapping[str, float] = field(default_factory=dict)
    calibration: Path | None = None
    find: bool = False


@dataclass(frozen=True)
class Bench:
    """What is needed to judge parts.

    Args:
        gauge: The network with its uncertainty, gates and limits.
        drawing, tolerance: Drawing of the connector, and limits in mm.
        model: `name` of the run, and `hash`, the SHA-256 of its weights.
        options: Options of the prediction.
        adaptation: How pictures are changed before they are measured; None: the run was not adapted to a station.
        assumed: Which terminal was taken, if the options name none and others would give other measures; else empty.
        replaced: The judged limits that are not the run's, see `trainer.gauge.limits.replaced`; else empty.
        wide: Warnings of limits that hardly any pin of the connector exceeds.
    """

    gauge: Gauge
    drawing: StatedDrawing
    tolerance: Tolerance
    model: Mapping[str, str]
    options: Options
    adaptation: Adaptation | None = None
    assumed: str = ""
    replaced: str = ""
    wide: tuple[str, ...] = ()

    @property
    def lengths_mm(self) -> dict[str, float]:
        """By address, the height of each position's nominal tip above its foot, mm."""
        return {each.address: float(each.standing_mm or 0.0) for each in self.drawing.positions}

    def seen(self, pictures: Mapping[str, Image.Image]) -> dict[str, Image.Image]:
        """Return a part's pictures, by view, as the gauge measures them.

        Raises:
            InputError: The run was adapted by photographs that do not show one of the views.
        """
        if self.adaptation is None:
            return dict(pictures)
        return {view: self.adaptation.apply(picture, view) for view, picture in pictures.items()}

    @property
    def warned(self) -> dict[str, list[str]]:
        """The key `warnings` of each entry of predictions.json; {} without a warning."""
        adapted = adaptation.WARNING if self.adaptation is not None else ""
        texts = [each for each in (adapted, self.assumed, *self.wide, expiry_warning(self.gauge.certificate)) if each]
        return {"warnings": texts} if texts else {}

    def said(self, found: Inspected) -> str:
        """Return the line on a part for the terminal: verdict and worst pin, and whether the certificate expired."""
        late = "; certificate expired, no conformity stated" if expiry_warning(self.gauge.certificate) else ""
        return f"{sentence(found, self.tolerance, self.replaced)}{late}"

    def document(self, found: Inspected, files: Mapping[str, Path], part: str) -> dict[str, Any]:
        """Make a part's entry of predictions.json; `found`: its inspection; `files`: its pictures' paths, by view."""
        envelope = Envelope(
            found.verdict,
            found.reasons,
            files={view: str(file) for view, file in files.items()},
            sha256={view: digest for view, file in files.items() if (digest := sha256_or_none(file))},
            model=self.model,
            tolerance={self.drawing.key[0]: self.tolerance.complete()},
            judged=list(self.options.judged),
            pins=found.pins,
        )
        said = self.said(found)
        more = found.document(self.drawing, self.options.judged)
        return envelope.to_json(part=part, sentence=said, **self.warned, **more)

    def unjudged(self, file: Path, problems: Sequence[str]) -> dict[str, Any]:
        """Make the entry of predictions.json for a `file` that belongs to no part: INVALID, `problems` as reasons."""
        reasons = [f"file: {problem}" for problem in problems]
        known = {"model": self.model, "judged": list(self.options.judged)}
        envelope = Envelope(Verdict.INVALID, reasons, file=str(file), **known)  # type: ignore[arg-type]
        return envelope.to_json(**self.warned, scale=scale_note(self.gauge.certificate))


def parse_judge(text: str | None) -> tuple[str, ...]:
    """Parse the value of --judge (comma-separated characteristics; None: all); returns them in `CHARACTERISTICS` order.

    Raises:
        InputError: a name is unknown or given twice, or there is no name.
    """
    if text is None:
        return CHARACTERISTICS
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names) or not set(names) <= set(CHARACTERISTICS):
        raise InputError(f"--judge: expected some of {', '.join(CHARACTERISTICS)}, each once, got {text!r}")
    return tuple(name for name in CHARACTERISTICS if name in names)


def load_bench(run: Path, options: Options) -> Bench:
    """Load a gauge's run, and choose connector and tolerance by the options.

    Raises:
        InputError: The run cannot be read, none of its connectors fits the options, several fit that would give
            different measures, or a limit is missing.
    """
    loaded = load_run(run)
    with as_input_error():
        try:
            text = (run / CONNECTORS).read_text("utf-8")
        except OSError as error:
            raise InputError(f"{run / CONNECTORS}: expected a gauge's file of connectors, got: {error}") from None
        drawings = parse_drawings(text, str(run / CONNECTORS))
        named = options.scene, options.housing, options.terminal
        drawing = choose(drawings, *named, loaded.likeness.trained)
    try:
        queries(drawing)
    except ValueError as error:
        raise InputError(f"{run / CONNECTORS}: {error}") from None
    gates = {view: each for view, each in load_gates(run).items() if view in drawing.cameras}
    factors, limits = loaded.factors, loaded.uncertainty.fit_limits
    finder = TorchFinder(loaded.network, loaded.uncertainty.scales)
    certificate = _certificate(options.calibration)
    gauge = Gauge(finder, loaded.pitch_px, factors, limits, gates, certificate, loaded.likeness)
    stated = run_folder.recorded_tolerances(run) or {}
    place = f"{run / run_folder.CONFIG} {run_folder.TOLERANCE}"
    tolerance = connector_tolerance(stated, drawing, options.tolerance, place)
    usual = connector_tolerance(stated, drawing, {}, place) if drawing.key[0] in stated else None
    model = {"name": run.resolve().name, "hash": sha256_of_weights(run / run_folder.BEST)}
    others = fitting(drawings, *named, loaded.likeness.trained)
    assumed = _assumed(drawing, [each.key[2] for each in others], factors)
    if assumed:
        say(f"WARNING: {assumed}.")
    wide = tuple(f"--tolerance: {text}" for text in wide_limits.of_positions(options.tolerance, drawing.positions))
    for text in wide:
        say(f"WARNING: {text}.")
    said = replaced(tolerance, usual, options.judged)
    return Bench(gauge, drawing, tolerance, model, options, adaptation.load(run), assumed, said, wide)


def _assumed(drawing: StatedDrawing, terminals: Sequence[str], factors: Factors) -> str:
    """Say which terminal was taken if another of `terminals` would give other measures; else return an empty text."""
    scene, housing, terminal = drawing.key
    others = sorted(each for each in set(terminals) if factors.differ(scene, terminal, each))
    if not others:
        return ""
    return (
        f"connector: measured as {scene} with housing {housing} and terminal {terminal}; with terminal "
        f"{' or '.join(others)} measures differ a little: --terminal NAME states the terminal"
    )


def _certificate(path: Path | None) -> Certificate | None:
    if path is None:
        return None
    with as_input_error():
        certificate = read_certificate(path)
    if certificate.expiry:
        say(f"WARNING: --calibration {path}: {certificate.expiry}, so no conformity is stated.")
    return certificate


def predictions(run: Path, files: Sequence[Path], options: Options) -> Predictions:
    """Load a run, and sort picture files into parts by their names; verdicts are computed while `outcomes` is read.

    Raises:
        InputError: `load_bench` raises it, `options.camera` is no view of the run, or the certificate does not fit the
            cameras or pictures.
    """
    bench = load_bench(run, options)
    if options.find and bench.adaptation is not None:
        raise InputError(f"--find: expected a run that was not adapted to pictures of a mounted station, got {run}")
    parts, left, problems = grouped(bench, files)
    # The suffix is added so that `with_suffix` does not cut a part's name at a dot.
    places = [*(Path(f"{part}.png") for part in parts), *left]
    return Predictions(outcomes(bench, parts, left, problems), places)


def outcomes(
    bench: Bench, parts: Mapping[str, Mapping[str, Path]], left: Sequence[Path] = (), problems: Sequence[str] = ()
) -> Iterator[Prediction]:
    """Measure and judge parts; each is measured when its prediction is read.

    Args:
        bench: what is needed to judge parts.
        parts, left, problems: what `grouped` returns: files by part and view, files of no part, and why.

    Raises:
        InputError: the certificate does not fit the cameras.
    """
    if bench.gauge.certificate is not None:
        with as_input_error():
            seen = dict.fromkeys(sorted({view for pictures in parts.values() for view in pictures}))
            check_views(bench.gauge.certificate, bench.drawing.cameras, seen)
    return _outcomes(bench, parts, left, problems)


def grouped(bench: Bench, files: Sequence[Path]) -> tuple[dict[str, dict[str, Path]], list[Path], list[str]]:
    """Sort picture files into parts by their names: the files by part and view, those of no part, and why.

    Raises:
        InputError: `bench.options.camera` is no view of the run.
    """
    options, views = bench.options, list(bench.gauge.gates)
    if options.camera is not None and options.camera not in views:
        raise InputError(f"--camera {options.camera}: expected a view known to the run ({', '.join(views)})")
    # In a photograph the part is found by itself: names say nothing of it.
    unnamed = [file for file in files if options.find or view_of(file, views) is None]
    parts, problems = parts_of([file for file in files if file not in set(unnamed)], views, all_views=False)
    view = options.camera or (DEFAULT_VIEW if DEFAULT_VIEW in views else None)
    if unnamed and view is not None:
        if options.camera is None:
            why = "are searched for a part (--find)" if options.find else "have no view in their names"
            say(f"{len(unnamed)} pictures {why}: judged as view {view}; --camera sets another.")
        parts |= _alone(unnamed, view, parts)
    elif unnamed:
        problems += [f"{file}: expected a name that ends in {' or '.join(views)}, or --camera" for file in unnamed]
    taken = {file for pictures in parts.values() for file in pictures.values()}
    left = [file for file in files if file not in taken]
    problems += [
        f"{file}: expected a name of its own, got {file.with_suffix('').name}, which is the name of another part, too"
        for file in left
        if file in unnamed and not any(one.startswith(f"{file}:") for one in problems)
    ]
    return parts, left, problems


def _alone(files: Sequence[Path], view: str, others: Mapping[str, Any]) -> dict[str, dict[str, Path]]:
    """Return each picture as a part of its own, by a name not in `others`: its path, if need be with suffix."""
    stems = Counter(str(file.with_suffix("")) for file in files)
    found = {}
    for file in files:
        part = str(file.with_suffix(""))
        part = str(file) if stems[part] > 1 or part in others else part
        if part not in others:
            found[part] = {view: file}
    return found


def _outcomes(
    bench: Bench, parts: Mapping[str, Mapping[str, Path]], left: Sequence[Path], problems: Sequence[str]
) -> Iterator[Prediction]:
    for part, files in parts.items():
        yield _of_part(bench, part, files)
    for number, file in enumerate(left):
        named = view_of(file, list(bench.gauge.gates))
        begins = tuple(f"{each}:" for each in (file, *(named or ())[:1]))
        why = [one for one in problems if one.startswith(begins)]
        why = why or ["expected at most one picture of each view of its part, got several"]
        yield Prediction(file, bench.unjudged(file, why), problems=[] if number else problems)


def _of_part(bench: Bench, part: str, files: Mapping[str, Path]) -> Prediction:
    place = Path(f"{part}.png")
    pictures: dict[str, Image.Image] = {}
    unread: list[str] = []
    for view, file in files.items():
        try:
            pictures[view] = open_picture(file, str(file))
        except InputError as error:
            unread += error.problems
    try:
        with as_input_error():
            if unread:
                raise InputError(unread)
            found = _inspect(bench, pictures)
    except InputError as error:
        reasons, scale = tuple(f"file: {problem}" for problem in error.problems), scale_note(bench.gauge.certificate)
        document = bench.document(Inspected(Verdict.INVALID, reasons, scale=scale), files, part)
        return Prediction(place, document, problems=error.problems)
    if bench.options.find:
        pictures = {each.name: Image.fromarray(each.pixels) for each in found.views} or pictures
    limits = bench.tolerance, bench.replaced
    sheet = draw_sheet(found, bench.drawing, pictures, *limits) if bench.options.sheets else None
    line = f"{bench.said(found)}  {part} ({', '.join(pictures)})"
    return Prediction(place, bench.document(found, files, part), line, sheet)


def _inspect(bench: Bench, pictures: Mapping[str, Image.Image]) -> Inspected:
    """Measure and judge a part in pictures of the station, by view, or in one photograph in which it is searched."""
    if bench.options.find:
        ((view, photograph),) = pictures.items()
        return inspect_photograph(bench.gauge, bench.drawing, view, photograph, bench.tolerance, bench.options.judged)
    seen = bench.seen(pictures)
    return inspect_part(bench.gauge, bench.drawing, seen, bench.tolerance, bench.options.judged)
