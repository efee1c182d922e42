"""Judge picture files with a Florence-2 run; called by `trainer.predict`.

With a table of the pins' positions each box also gets address and cavity of the pin it overlaps most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from generator.io.pin_boxes import read_pin_boxes
from trainer.core.errors import InputError, as_input_error
from trainer.core.prediction import Judged, Judging
from trainer.core.split import open_picture
from trainer.florence2.detect import Inspector
from trainer.florence2.truth import Pin
from trainer.florence2.verdicts import annotate, verdict_of
from trainer.vit.network.letterbox import rgb

BATCH = 8


def pins_of(positions: Path) -> list[Pin]:
    """Read the pins' boxes from a table of positions (CSV) or a record (JSON), as `generator inspect` does.

    Raises:
        InputError: The file is wrong; the message names the line or position.
    """
    with as_input_error():
        boxes, _ = read_pin_boxes(positions)
    return [Pin(one.address, one.cavity or "", one.box, "") for one in boxes]


def judging(
    run: Path,
    files: Sequence[Path],
    positions: Path | None,
    threshold: float | None,
    batch_size: int | None,
    sheets: bool,
) -> Judging:
    """Make the iterator of verdicts on picture files, which judges one batch at a time.

    Args:
        run: The run's folder.
        files: Picture files.
        positions: Table of the pins' positions: see `generator.io.pin_boxes`; None: boxes get no address.
        threshold: Confidence from which a box counts; None: the run's own.
        batch_size: Pictures per batch; None: 8.
        sheets: Whether to draw each picture with its boxes.
    """
    return Judging(_outcomes(run, files, positions, threshold, batch_size or BATCH, sheets), list(files))


def _outcomes(
    run: Path,
    files: Sequence[Path],
    positions: Path | None,
    threshold: float | None,
    batch_size: int,
    sheets: bool,
) -> Iterator[Judged]:
    pins = pins_of(positions) if positions else []
    inspector = Inspector.load(run)
    threshold = inspector.detector.threshold if threshold is None else threshold
    for start in range(0, len(files), batch_size):
        yield from _batch(inspector, files[start : start + batch_size], threshold, pins, sheets)


def _batch(
    inspector: Inspector, files: Sequence[Path], threshold: float, pins: Sequence[Pin], sheets: bool
) -> Iterator[Judged]:
    pictures: list[tuple[Path, Image.Image]] = []
    for file in files:
        try:
            pictures.append((file, rgb(open_picture(file, str(file)))))
        except InputError as e:
            yield Judged(file, problems=e.problems)
    found = inspector.find([picture for _, picture in pictures]) if pictures else []
    for (file, picture), boxes in zip(pictures, found, strict=True):
        verdict = verdict_of(boxes, picture.size, str(file), threshold, pins)
        said = ", ".join(f"{b.address or '?'} {b.label} {b.confidence:.2f}" for b in verdict.boxes)
        line = f"{verdict.verdict}  {file}  {said}".rstrip()
        yield Judged(file, asdict(verdict), line, annotate(picture, verdict) if sheets else None)
