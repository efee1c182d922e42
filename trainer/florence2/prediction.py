"""Judge picture files with a Florence-2 run; called by `trainer.predict`.

With a table of the pins' positions each box also gets address and cavity of the pin that it overlaps most.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import batched
from pathlib import Path

from PIL import Image

from generator.io.pin_boxes import read_pin_boxes
from generator.verdict.envelope import overall
from trainer.core import frozen_threshold
from trainer.core.calibration import Calibration
from trainer.core.decision import Limits
from trainer.core.errors import InputError, as_input_error
from trainer.core.fitness import NOT_MEASURED
from trainer.core.gates import Gates
from trainer.core.golden_input import GoldenInput
from trainer.core.prediction import Judge, Judged, Judging, PartFiles
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
    """

    positions: Path | None = None
    threshold: float | None = None
    batch_size: int | None = None
    allow_unfit: bool = False
    sheets: bool = False
    tolerance: Mapping[str, float] = field(default_factory=dict)
    part: Mapping[str, str | None] = field(default_factory=dict)
    views: tuple[str, ...] = ()


@dataclass(frozen=True)
class _By:
    """What judges: network, thresholds, gates, the run for every verdict, the pins' positions, golden references of
    NSOART (None: pictures are judged as they are); whether to draw; calibration (None: the run has none)."""

    inspector: Inspector
    limits: Limits
    gates: Gates
    judge: Judge
    pins: Sequence[Pin]
    golden: GoldenInput | None
    sheets: bool
    calibration: Calibration | None


def pins_of(positions: Path) -> list[Pin]:
    """Read the pins' boxes from a table of positions (CSV) or a record (JSON), as `generator inspect` does.

    Raises:
        InputError: The file is wrong; the message names the line or position.
    """
    with as_input_error():
        boxes, _ = read_pin_boxes(positions)
    return [Pin(one.address, one.cavity or "", one.box, "") for one in boxes]


def judging(run: Path, files: Sequence[Path], options: Options) -> Judging:
    """Prepare to judge picture files; the verdicts are computed, one batch at a time, while `outcomes` is read.

    A picture that cannot be read, or differs in shape from its golden reference, gets the verdict INVALID. The outcomes
    are in the order of the files. With `options.views` there is one outcome per part, then one, INVALID, for each file
    that belongs to no complete part.

    Raises:
        InputError: RUN/config.json or RUN/nsoart.json cannot be read, or the run has no golden reference for a
            picture, or none at all although `options.part` has values. Reading the first outcome raises it if model,
            frozen.json, gates or the table of positions cannot be read.
    """
    golden = GoldenInput.of(run, load_config(run)[1].input, options.part)
    if golden is not None:
        golden.check(files, options.views)
    if options.views:
        found = PartFiles.of(files, options.views)
        return Judging(_of_parts(run, found, options, golden), found.places)
    return Judging(_outcomes(run, files, options, golden), list(files))


def _by(run: Path, options: Options, golden: GoldenInput | None) -> _By:
    """Load what judges.

    Raises:
        InputError: The run or the table of positions cannot be read.
    """
    pins = pins_of(options.positions) if options.positions else []
    inspector = Inspector.load(run)
    held = frozen_threshold.load(run)
    unfit = (NOT_MEASURED,) if held is None or held.fitness is None else held.fitness.unfit
    limits = Limits.at(inspector.detector.threshold) if held is None else held.limits
    sha256 = frozen_threshold.digest(run / BEST) if held is None else held.weights_sha256
    gates = Gates.load(run)
    unfit = (*unfit, *gates.missing)
    judge = Judge.of(run, sha256, inspector.detector.labels, unfit, options.allow_unfit, options.tolerance)
    limits, calibration = limits.with_threshold(options.threshold), None if held is None else held.calibration
    return _By(inspector, limits, gates, judge, pins, golden, options.sheets, calibration)


def _outcomes(run: Path, files: Sequence[Path], options: Options, golden: GoldenInput | None) -> Iterator[Judged]:
    by, size = _by(run, options, golden), options.batch_size or BATCH
    for start in range(0, len(files), size):
        yield from _batch(by, files[start : start + size])


def _of_parts(run: Path, found: PartFiles, options: Options, golden: GoldenInput | None) -> Iterator[Judged]:
    """Judge each part by its pictures: its verdict is the first of NG, INVALID, UNSURE, OK that one of them has."""
    by = _by(run, options, golden)
    for place, files in found.parts.items():
        part = str(place.with_suffix(""))
        pictures: list[tuple[Path, Image.Image, Image.Image]] = []
        unread: list[str] = []
        for view, file in files.items():
            try:
                pictures.append(_opened(by, file, view))
            except InputError as e:
                unread += e.problems
        if unread:
            yield Judged(place, by.judge.unjudged(files, unread, part=part, by_view={}), problems=unread)
            continue
        size = options.batch_size or BATCH
        verdicts = [one for some in batched(pictures, size) for one in _verdicts(by, some)]
        yield _part(by, part, files, dict(zip(files, verdicts, strict=True)))
    yield from found.left_out(by.judge)


def _part(
    by: _By, part: str, files: Mapping[str, Path], judged: Mapping[str, tuple[Image.Image, DetectionVerdict]]
) -> Judged:
    """Combine the verdicts of a part's views, each given with its picture, into the part's outcome."""
    verdicts = {view: verdict for view, (_, verdict) in judged.items()}
    verdict = overall(one.verdict for one in verdicts.values())
    of_run = by.judge.invalid
    reasons = [f"{why} (view {view})" for view, one in verdicts.items() for why in one.reasons if why not in of_run]
    reasons = [*of_run, *reasons]
    of_views = {view: asdict(one) for view, one in verdicts.items()}
    entry = by.judge.document(verdict, reasons, files, part=part, by_view=of_views)
    said = "; ".join(f"{view}: {one.said}" for view, one in verdicts.items() if one.said) if verdict == "NG" else ""
    return Judged(
        Path(f"{part}.png"),
        entry,
        by.judge.line(verdict, said, part, reasons),
        annotate_part(judged, verdict, reasons) if by.sheets else None,
    )


def _opened(by: _By, file: Path, view: str | None = None) -> tuple[Path, Image.Image, Image.Image]:
    """Return a file, its picture, and what the network is given: the picture, or NSOART by the `view`'s reference.

    Raises:
        InputError: The picture cannot be read, or does not have the shape of its golden reference.
    """
    picture = rgb(open_picture(file, str(file)))
    return file, picture, by.golden.chart(picture, file, view) if by.golden else picture


def _batch(by: _By, files: Sequence[Path]) -> Iterator[Judged]:
    pictures: list[tuple[Path, Image.Image, Image.Image]] = []
    outcomes = dict[Path, Judged]()
    for file in files:
        try:
            pictures.append(_opened(by, file))
        except InputError as e:
            outcomes[file] = Judged(file, by.judge.unjudged(file, e.problems), problems=e.problems)
    outcomes |= {one.file: one for one in _of_readable(by, pictures)}
    yield from (outcomes[file] for file in files)


def _of_readable(by: _By, pictures: Sequence[tuple[Path, Image.Image, Image.Image]]) -> Iterator[Judged]:
    for (file, *_), (picture, verdict) in zip(pictures, _verdicts(by, pictures), strict=True):
        own = asdict(verdict)
        entry = by.judge.document(own.pop("verdict"), own.pop("reasons"), file, own.pop("boxes"), **own)
        line = by.judge.line(verdict.verdict, verdict.said, str(file), verdict.reasons)
        yield Judged(file, entry, line, annotate(picture, verdict) if by.sheets else None)


def _verdicts(
    by: _By, pictures: Sequence[tuple[Path, Image.Image, Image.Image]]
) -> list[tuple[Image.Image, DetectionVerdict]]:
    """Return each picture with its verdict."""
    if not pictures:
        return []
    with watch(by.inspector.model) as seen:
        found = by.inspector.find([given for *_, given in pictures])
    unsuitable = by.gates.reasons([given for *_, given in pictures], seen.features)
    return [
        (picture, verdict_of(boxes, picture.size, by.limits, by.pins, [*by.judge.invalid, *reasons], by.calibration))
        for (_, picture, _), boxes, reasons in zip(pictures, found, unsuitable, strict=True)
    ]
