"""Judge picture files with a Florence-2 run; called by `trainer.predict`.

With a table of the pins' positions, or with a gauge that locates the part in each picture, each box also gets address
and cavity of the pin that it overlaps most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import batched
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from generator.io.pin_boxes import PinBox, read_pin_boxes
from generator.locating.pin_places import PinLocator, PinPlaces
from generator.verdict.envelope import overall
from trainer.core import frozen_threshold
from trainer.core.calibration import Calibration
from trainer.core.decision import Thresholds
from trainer.core.errors import InputError, as_input_error
from trainer.core.fitness import NOT_MEASURED
from trainer.core.gates import Gates
from trainer.core.golden_input import GoldenInput
from trainer.core.prediction import PartFiles, Prediction, Predictions, VerdictWriter
from trainer.core.run_folder import BEST
from trainer.core.split import open_picture
from trainer.florence2.detect import Inspector
from trainer.florence2.gates import watch
from trainer.florence2.run import load_config
from trainer.florence2.truth import Pin
from trainer.florence2.verdicts import DetectionVerdict, annotate, annotate_part, verdict_of
from trainer.vit.network.letterbox import rgb

BATCH = 8


@dataclass(frozen=True)
class Options:
    """Options of a prediction.

    Args:
        positions: Table of the pins' positions: see `generator.io.pin_boxes`; None: boxes get no address.
        threshold: Confidence from which a box counts and the verdict is NG; None: the run's own.
        batch_size: Pictures per batch; None: 8.
        allow_unfit: Whether to judge pictures although the run is unfit.
        sheets: Whether to draw each picture with its boxes.
        tolerance: Limits in mm of `--tolerance`, by name; empty: not given.
        part: The options `scene`, `housing`, `terminal`, `camera` and `marking` by name, which choose NSOART's golden
            reference; None: not given.
        views: Cameras whose pictures of a part get one verdict; empty: each picture gets its own.
        locate: A gauge's ONNX file, which locates the part of `part` in each picture, in place of `positions`.
    """

    positions: Path | None = None
    threshold: float | None = None
    batch_size: int | None = None
    allow_unfit: bool = False
    sheets: bool = False
    tolerance: Mapping[str, float] = field(default_factory=dict)
    part: Mapping[str, str | None] = field(default_factory=dict)
    views: tuple[str, ...] = ()
    locate: Path | None = None


class _Guides(NamedTuple):
    """Golden references of NSOART (None: pictures are judged as they are), and what finds the pins (None: nothing)."""

    golden: GoldenInput | None
    locator: PinLocator | None


@dataclass(frozen=True)
class _By:
    """What judges: network, thresholds, gates, the run for every verdict, the pins' positions, guides; whether to draw,
    the camera of pictures whose names state none, and calibration (None: the run has none)."""

    inspector: Inspector
    limits: Thresholds
    gates: Gates
    writer: VerdictWriter
    pins: Sequence[Pin]
    guides: _Guides
    sheets: bool
    camera: str | None
    calibration: Calibration | None


class _Opened(NamedTuple):
    """A file, its picture, what the network is given, and where the picture shows the pins (None: not asked for)."""

    file: Path
    picture: Image.Image
    given: Image.Image
    places: PinPlaces | None


def pins_of(positions: Path) -> list[Pin]:
    """Read the pins' boxes from a table of positions (CSV) or a record (JSON), as `generator inspect` does.

    Raises:
        InputError: The file is wrong; the message names the line or position.
    """
    with as_input_error():
        boxes, _ = read_pin_boxes(positions)
    return _pins(boxes)


def _pins(boxes: Sequence[PinBox]) -> list[Pin]:
    return [Pin(one.address, one.cavity or "", one.box, "") for one in boxes]


def predictions(run: Path, files: Sequence[Path], options: Options) -> Predictions:
    """Prepare to judge picture files; the verdicts are computed, one batch at a time, while `outcomes` is read.

    A picture that cannot be read, or differs in shape from its golden reference, gets the verdict INVALID. The outcomes
    are in the order of the files. With `options.views` there is one outcome per part, then one, INVALID, for each file
    that belongs to no complete part.

    Raises:
        InputError: RUN/config.json or RUN/nsoart.json cannot be read, or the run has no golden reference for a
            picture, or none at all although `options.part` has values; or the gauge cannot be read, or lacks the part
            or a camera. Reading the first outcome raises it if model, frozen.json, gates or the table of positions
            cannot be read.
    """
    guides = _guides(run, files, options)
    if options.views:
        found = PartFiles.of(files, options.views)
        return Predictions(_of_parts(run, found, options, guides), found.places)
    return Predictions(_outcomes(run, files, options, guides), list(files))


def _guides(run: Path, files: Sequence[Path], options: Options) -> _Guides:
    """Load golden references and gauge, and check that they know the cameras of all pictures."""
    column, part = load_config(run)[1].input, options.part
    # With a gauge, a run without golden references may be given the part, too.
    named = dict.fromkeys(part) | {"marking": part.get("marking")} if options.locate else part
    golden = GoldenInput.of(run, column, named)
    if golden is not None:
        golden = replace(golden, part=part)
        golden.check(files, options.views)
    if options.locate is None:
        return _Guides(golden, None)
    if golden is None and column == "nsoart":
        raise InputError(
            f"--locate: expected a run that is given photographs, got {run}, which is given NSOART pictures"
        )
    with as_input_error():
        scene, housing, terminal = (part.get(name) for name in ("scene", "housing", "terminal"))
        locator = PinLocator.read(options.locate, scene, housing, terminal, torch.get_num_threads())
        for view in options.views:
            locator.known(view)
        for file in () if options.views else files:
            locator.view(file, part.get("camera"))
    return _Guides(golden, locator)


def _by(run: Path, options: Options, guides: _Guides) -> _By:
    """Load what judges.

    Raises:
        InputError: The run or the table of positions cannot be read.
    """
    pins = pins_of(options.positions) if options.positions else []
    inspector = Inspector.load(run)
    held = frozen_threshold.load(run)
    unfit = (NOT_MEASURED,) if held is None or held.fitness is None else held.fitness.unfit
    limits = Thresholds.at(inspector.detector.threshold) if held is None else held.limits
    sha256 = frozen_threshold.sha256_of_weights(run / BEST) if held is None else held.weights_sha256
    gates = Gates.load(run)
    unfit = (*unfit, *gates.missing)
    writer = VerdictWriter.of(run, sha256, inspector.detector.labels, unfit, options.allow_unfit, options.tolerance)
    limits, camera = limits.with_threshold(options.threshold), options.part.get("camera")
    calibration = None if held is None else held.calibration
    return _By(inspector, limits, gates, writer, pins, guides, options.sheets, camera, calibration)


def _outcomes(run: Path, files: Sequence[Path], options: Options, guides: _Guides) -> Iterator[Prediction]:
    by, size = _by(run, options, guides), options.batch_size or BATCH
    for start in range(0, len(files), size):
        yield from _batch(by, files[start : start + size])


def _of_parts(run: Path, found: PartFiles, options: Options, guides: _Guides) -> Iterator[Prediction]:
    """Judge each part by its pictures: its verdict is the first of NG, INVALID, UNSURE, OK that one of them has."""
    by = _by(run, options, guides)
    for place, files in found.parts.items():
        part = str(place.with_suffix(""))
        pictures: list[_Opened] = []
        unread: list[str] = []
        for view, file in files.items():
            try:
                pictures.append(_opened(by, file, view))
            except InputError as e:
                unread += e.problems
        if unread:
            yield Prediction(place, by.writer.unjudged(files, unread, part=part, by_view={}), problems=unread)
            continue
        size = options.batch_size or BATCH
        verdicts = [one for some in batched(pictures, size) for one in _verdicts(by, some)]
        judged = dict(zip(files, verdicts, strict=True))
        yield _part(by, part, files, judged, {view: _said(one) for view, one in zip(files, pictures, strict=True)})
    yield from found.left_out(by.writer)


def _part(
    by: _By,
    part: str,
    files: Mapping[str, Path],
    judged: Mapping[str, tuple[Image.Image, DetectionVerdict]],
    said: Mapping[str, Mapping[str, Any]],
) -> Prediction:
    """Combine the verdicts of a part's views, each given with its picture, into the part's outcome; `said`: `_said`."""
    verdicts = {view: verdict for view, (_, verdict) in judged.items()}
    verdict = overall(one.verdict for one in verdicts.values())
    of_run = by.writer.invalid
    reasons = [f"{why} (view {view})" for view, one in verdicts.items() for why in one.reasons if why not in of_run]
    reasons = [*of_run, *reasons]
    of_views = {view: {**asdict(one), **said[view]} for view, one in verdicts.items()}
    entry = by.writer.document(verdict, reasons, files, part=part, by_view=of_views)
    found = "; ".join(f"{view}: {one.said}" for view, one in verdicts.items() if one.said) if verdict == "NG" else ""
    return Prediction(
        Path(f"{part}.png"),
        entry,
        by.writer.line(verdict, found, part, reasons),
        annotate_part(judged, verdict, reasons) if by.sheets else None,
    )


def _opened(by: _By, file: Path, view: str | None = None) -> _Opened:
    """Open a file; the network is given the picture, or NSOART by the `view`'s reference.

    Raises:
        InputError: The picture cannot be read, or does not have the shape of its golden reference.
    """
    picture, (golden, locator) = rgb(open_picture(file, str(file))), by.guides
    given = golden.chart(picture, file, view) if golden else picture
    places = locator.find(picture, view or locator.view(file, by.camera)) if locator else None
    return _Opened(file, picture, given, places)


def _said(one: _Opened) -> dict[str, Any]:
    """Return the keys that state where the pins are; none without --locate."""
    if one.places is None:
        return {}
    boxes = {pin.address: [round(edge, 1) for edge in pin.box] for pin in one.places.boxes}
    orientation = {"orientation": one.places.orientation} if one.places.orientation else {}
    return {"pin_boxes": boxes or None, **orientation}


def _batch(by: _By, files: Sequence[Path]) -> Iterator[Prediction]:
    pictures: list[_Opened] = []
    outcomes = dict[Path, Prediction]()
    for file in files:
        try:
            pictures.append(_opened(by, file))
        except InputError as e:
            outcomes[file] = Prediction(file, by.writer.unjudged(file, e.problems), problems=e.problems)
    outcomes |= {one.file: one for one in _of_readable(by, pictures)}
    yield from (outcomes[file] for file in files)


def _of_readable(by: _By, pictures: Sequence[_Opened]) -> Iterator[Prediction]:
    for one, (picture, verdict) in zip(pictures, _verdicts(by, pictures), strict=True):
        own = asdict(verdict)
        entry = by.writer.document(
            own.pop("verdict"), own.pop("reasons"), one.file, own.pop("boxes"), **own, **_said(one)
        )
        line = by.writer.line(verdict.verdict, verdict.said, str(one.file), verdict.reasons)
        yield Prediction(one.file, entry, line, annotate(picture, verdict) if by.sheets else None)


def _verdicts(by: _By, pictures: Sequence[_Opened]) -> list[tuple[Image.Image, DetectionVerdict]]:
    """Return each picture with its verdict: INVALID, too, if the part is sought in it and not found."""
    if not pictures:
        return []
    given, verdicts = [one.given for one in pictures], []
    with watch(by.inspector.model) as seen:
        found = by.inspector.find(given)
    for one, boxes, unsuitable in zip(pictures, found, by.gates.reasons(given, seen.features), strict=True):
        pins, lost = (by.pins, ()) if one.places is None else (_pins(one.places.boxes), one.places.reasons)
        invalid = [*by.writer.invalid, *unsuitable, *lost]
        verdicts.append((one.picture, verdict_of(boxes, one.picture.size, by.limits, pins, invalid, by.calibration)))
    return verdicts
