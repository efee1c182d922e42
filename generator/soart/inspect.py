"""`python -m generator inspect`: judge pictures by comparison with pictures of OK parts (SOARTC), without a network.

    python -m generator inspect new/*.png --golden ok_folder -o verdicts
    python -m generator inspect new.png --golden ok_folder --positions record.json -o verdicts --save unit.npz
    python -m generator inspect incoming/ --golden unit.npz -o verdicts --watch
    python -m generator inspect new/*.png --golden ok_folder --features lite0.onnx -o verdicts

It writes NAME.json (verdict, reasons, boxes, pins) and NAME.png (the marked picture; for a picture that cannot be read
the verdict INVALID with the reason) for each picture, with --figures also NAME_maps.png, and adds each verdict as one
line to verdicts.jsonl. Files of earlier verdicts on the same pictures are removed before the first is judged.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.io.output_file import LONGEST_NAME, check_file, check_folder, write_whole
from generator.io.pictures import is_picture, open_picture, passed_over, pictures_in
from generator.io.pin_boxes import PinBox, read_pin_boxes
from generator.soart.estimator import SoartC
from generator.soart.feature_file import FeatureNetwork, read_feature_file
from generator.soart.feature_stage import FeatureStage
from generator.soart.figure import figure, overlay, unreadable
from generator.soart.golden import choose, read_golden
from generator.soart.inspection import Finding, Station, as_values, pins_in_unit_space, read_picture
from generator.soart.verdict_log import VerdictLog, files_of
from generator.soart.watch import arrivals
from generator.verdict.envelope import Envelope, Verdict
from generator.verdict.gates import PictureGates

EDGE_GRID = 100
# Settings of a new unit space; a saved one keeps its own.
DEFAULTS: dict[str, Any] = {
    "window": 5,
    "grid": 250,
    "similarity": "pixels",
    "reference": "golden",
    "rotation": 3.0,
    "above": 0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator inspect` to its parser."""
    inspected = "pictures to inspect, or folders of pictures"
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help=inspected)
    golden = "folder of pictures of OK parts, or the file of a unit space that --save wrote (.npz)"
    parser.add_argument("--golden", required=True, type=Path, metavar="OK", help=golden)
    out = "folder for verdicts (.json) and overlays (.png, marked pictures)"
    parser.add_argument("-o", "--out", required=True, type=Path, help=out)
    save = "file for the unit space (what was learned from the OK pictures), which a later --golden can read"
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help=save)
    parser.add_argument(
        "--positions",
        type=Path,
        metavar="FILE",
        help="boxes of the pins: a record of the renderer (.json), or CSV with address,x1,y1,x2,y2 in px",
    )
    parser.add_argument(
        "--positions-of",
        type=Path,
        metavar="PICTURE",
        help="picture in which the boxes of --positions lie (default: if --positions is a record, the picture of this "
        "record; else the first OK picture)",
    )
    window = "side of the windows that are compared, px of the reduced picture (default: 5)"
    parser.add_argument("--window", type=int, help=window)
    grid = "reduce pictures to at most this number of windows along their longer side (default: 250)"
    parser.add_argument("--grid", type=int, help=grid)
    edge = f"reduce pictures more than by default, for a small computer: the same as --grid {EDGE_GRID}"
    parser.add_argument("--edge", action="store_true", help=edge)
    parser.add_argument(
        "--similarity",
        choices=("pixels", "gram"),
        help="what is compared of each window A: its pixels, or its row-Gram matrix A A^T (default: pixels)",
    )
    parser.add_argument(
        "--reference",
        choices=("golden", "self"),
        help="what each window of a picture is compared with; golden: the same window in the mean of the OK pictures; "
        "self: the mean of all windows of the same picture (default: golden)",
    )
    parser.add_argument("--colour", action="store_true", help="compare red, green and blue separately, not grey")
    parser.add_argument(
        "--rotation",
        type=float,
        metavar="DEG",
        help="largest rotation that is corrected, degrees either way (default: 3)",
    )
    above = "number of OK pictures that may score above the limit (default: 0)"
    parser.add_argument("--above", type=int, metavar="N", help=above)
    outliers = "also use OK pictures that differ much from the other OK pictures, which are left out otherwise"
    parser.add_argument("--keep-outliers", action="store_true", help=outliers)
    features = "compare features that this network computes (written by `python -m trainer.export`), not SOART3"
    parser.add_argument("--features", type=Path, metavar="FILE.onnx", help=features)
    figures = "also write NAME_maps.png: maps of the three SOART3 numbers and of the anomaly degree"
    parser.add_argument("--figures", action="store_true", help=figures)
    watch = "inspect the folder's pictures that have no verdict in verdicts.jsonl, then each new picture, until Ctrl-C"
    parser.add_argument("--watch", action="store_true", help=watch)


def run(options: argparse.Namespace) -> int:
    """Inspect the pictures, and write verdicts and marked pictures; returns 0.

    Raises:
        InputError: an option or input is wrong; or, after all pictures were inspected, some could not be read.
    """
    _check(options)
    paths = [] if options.watch else _pictures(options)
    station, colour = _station(options)
    print(f"limit of the score: {station.limit.promise}")
    if station.limit.count < 20:
        print(f"warning: {station.limit.count} OK pictures are too few to estimate false alarms; use at least 20")
    if station.lacks:
        print(
            f"warning: {options.golden} was saved by an older version and lacks {' and '.join(station.lacks)}; save it "
            "again: --golden with the folder of OK pictures, and --save"
        )
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        station.model.save(options.save)
    with VerdictLog(options.out, resume=options.watch) as log:
        judge = Judge(station, log, options.golden.stem, colour, options.figures)
        return _watch(judge, options.images[0]) if options.watch else _inspect_all(judge, paths)


def _inspect_all(judge: Judge, paths: list[Path]) -> int:
    problems: list[str] = []
    for path in paths:  # or an earlier OK would stay if a picture cannot be read, or the program is stopped
        judge.log.remove_earlier(path.stem)
    for path in tqdm(paths, disable=None if len(paths) > 4 else True, unit="picture"):
        sha256 = ""
        try:
            content = _bytes_of(path)
            sha256 = hashlib.sha256(content).hexdigest()
            tqdm.write(judge.write(path, content, sha256, path.stem))
        except InputError as error:
            problems += error.problems
            if sha256 and is_picture(path):
                judge.write_unreadable(path, sha256, path.stem, error)
    if problems:
        raise InputError(problems)
    return 0


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        expected = "a picture file that exists and can be read"
        raise InputError(f"{path}: expected {expected}, got: {error.strerror}") from None


def _pictures(options: argparse.Namespace) -> list[Path]:
    """List the pictures to inspect; InputError if there is none, or an output name is used twice or too long."""
    paths = [p for path in options.images for p in (pictures_in(path) if path.is_dir() else [path])]
    if not paths:
        raise InputError(f"{options.images[0]}: expected pictures, got a folder without pictures")
    taken: dict[str, Path] = {}
    for path in paths:
        _claim(path, options.figures, taken)
    for folder in [path for path in options.images if path.is_dir()]:
        if note := passed_over(folder, below=False):
            print(note)
    return paths


def _claim(path: Path, figures: bool, taken: dict[str, Path]) -> None:
    """Add the names of a picture's output files to `taken` (picture by name); InputError if one is used or too long."""
    names = files_of(path.stem)[: 3 if figures else 2]
    for name in names:
        if taken.get(name, path) != path:
            raise InputError(
                f"{path}: expected pictures with different names, got {taken[name]} too; both would write {name}"
            )
    if len(os.fsencode(max(names, key=len))) > LONGEST_NAME:
        raise InputError(
            f"{path}: expected a shorter file name, got one with which the name of an output file, {names[-1]}, "
            f"exceeds {LONGEST_NAME} bytes"
        )
    taken.update(dict.fromkeys(names, path))


class Judge:
    """Inspects pictures, writes the files of each verdict into the log's folder, and adds the verdicts to the log.

    Args:
        station: the unit space with pins and limits.
        log: the log of the output folder.
        name: name of the unit space, for the verdicts.
        colour: whether red, green and blue are compared separately; else grey values.
        figures: whether NAME_maps.png, with the SOART3 maps, is written.
    """

    def __init__(self, station: Station, log: VerdictLog, name: str, colour: bool = False, figures: bool = False):
        self.station, self.log, self.colour, self.figures = station, log, colour, figures
        self._model = {"name": name, "hash": station.hash()}
        for features in station.model.features_used:
            self._model |= {"features": features["name"], "features_sha256": features["sha256"]}

    def write(self, path: Path, content: bytes, sha256: str, name: str) -> str:
        """Inspect one picture, and write its files and log line; returns the verdict as a line of text.

        Args:
            path: the picture's file.
            content: the bytes of the file.
            sha256: SHA-256 of the bytes, in hex.
            name: name of the files to write, without suffix.

        Raises:
            InputError: the picture cannot be read, or is smaller than a window.
        """
        image = as_values(open_picture(content, str(path)), self.colour)
        shown = Image.fromarray(np.round(255 * image).astype(np.uint8))
        start = time.perf_counter()
        try:
            finding = self.station.inspect(image)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        spent = time.perf_counter() - start
        del image  # drawing takes as much memory again
        report, drawn, maps = (self.log.folder / file for file in files_of(name))
        write_whole(drawn, _png(overlay(shown, finding)))
        if self.figures:
            write_whole(maps, _png(figure(shown, finding)))
        envelope = self._envelope(path, sha256, finding.verdict, finding.reasons, finding)
        self._record(report, envelope, path, **finding.to_json(), seconds=round(spent, 4))
        return _line(path, finding)

    def write_unreadable(self, path: Path, sha256: str, name: str, error: InputError) -> str:
        """Write the verdict INVALID with the reason `error`, and return it as text; other arguments as for `write`."""
        reason = "file: " + error.problems[0].removeprefix(f"{path}: ")
        write_whole(self.log.folder / files_of(name)[1], _png(unreadable(reason)))
        envelope = self._envelope(path, sha256, Verdict.INVALID, [reason])
        self._record(self.log.folder / files_of(name)[0], envelope, path, score=None)
        return f"{Verdict.INVALID}  {path.name}  {reason}"

    def _envelope(
        self, path: Path, sha256: str, verdict: Verdict, reasons: Sequence[str], finding: Finding | None = None
    ) -> Envelope:
        return Envelope(
            verdict,
            tuple(reasons),
            file=str(path),
            sha256=sha256,
            model=self._model,
            judged=("appearance",),
            pins=finding.pins_to_json() if finding else (),
            boxes=[[round(v, 2) for v in box] for box in finding.boxes] if finding else (),
        )

    def _record(self, report: Path, envelope: Envelope, path: Path, **more: Any) -> None:
        document = envelope.to_json(picture=path.name, report=report.name, limit=self.station.limit.to_json(), **more)
        write_whole(report, f"{json.dumps(document, indent=1)}\n".encode())
        self.log.append(document)


def _line(path: Path, finding: Finding) -> str:
    bad = [
        f"{pin.address} ({pin.hint})"
        for (pin, _), said in zip(finding.pins, finding.decisions, strict=True)
        if said in ("NG", "UNSURE")
    ]
    others = [reason for reason in finding.reasons if not reason.startswith(("pin:", "anomaly:"))]
    said = f"  {', '.join(bad)}" if bad else ""
    return f"{finding.verdict}  {path.name}  score {finding.score:.2f} times the limit{said}" + "".join(
        f"  {r}" for r in others
    )


def _png(picture: Image.Image) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()


def _check(options: argparse.Namespace) -> None:
    problems = [*_wrong_inputs(options), *_wrong_places(options), *_wrong_settings(options)]
    if problems:
        raise InputError(problems)


def _wrong_inputs(options: argparse.Namespace) -> Iterator[str]:
    if options.watch and (len(options.images) != 1 or not options.images[0].is_dir()):
        yield f"--watch: expected one folder, got {', '.join(map(str, options.images))}"
    if not options.golden.exists():
        yield f"--golden: expected a folder of OK pictures or a saved unit space, got no such path: {options.golden}"
    if options.positions_of and not options.positions:
        yield "--positions-of: expected --positions with the boxes of the pins, got none"


def _wrong_places(options: argparse.Namespace) -> Iterator[str]:
    """List problems of --out and --save: files that cannot be written, or would overwrite inputs."""
    sources = {p.resolve() if p.is_dir() else p.resolve().parent for p in options.images}
    if options.golden.is_dir():
        sources.add(options.golden.resolve())
    if options.positions and options.positions.suffix.lower() == ".json":  # it has the form of a verdict's file name
        sources.add(options.positions.resolve().parent)
    if options.positions_of:
        sources.add(options.positions_of.resolve().parent)
    if options.out.resolve() in sources:
        yield (
            f"--out: expected a folder without input pictures and records, got {options.out}, whose files the "
            "verdicts could overwrite"
        )
    try:
        check_folder(options.out, "--out")
        if options.save:
            check_file(options.save, "--save", (".npz",))
    except InputError as error:
        yield from error.problems


def _wrong_settings(options: argparse.Namespace) -> Iterator[str]:
    if options.edge and options.grid is not None:
        yield "--edge: expected --edge or --grid, got both"
    of_unit_space = ("positions", "save", *DEFAULTS, "edge", "colour", "keep_outliers")
    # Compared by identity, as a rotation of 0 equals False.
    given = [n for n in of_unit_space if not any(getattr(options, n) is none for none in (None, False))]
    if options.golden.is_file() and given:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        yield (
            f"--golden: expected a folder of OK pictures together with {named}, got {options.golden}, a saved unit "
            "space, which has its own settings"
        )
    for name, low in (("window", 1), ("grid", 1), ("above", 0)):
        value = getattr(options, name)
        if value is not None and value < low:
            yield f"--{name}: expected a number >= {low}, got {value}"
    if options.rotation is not None and not 0 <= options.rotation <= 180:
        yield f"--rotation: expected 0 to 180 degrees, got {options.rotation}"


def _station(options: argparse.Namespace) -> tuple[Station, bool]:
    """Load the station, or make it from the OK pictures; also return whether it compares colours."""
    network = read_feature_file(options.features) if options.features else None
    if options.golden.is_file():
        station = _saved_station(options.golden, network)
        return station, station.model.reference_.ndim == 3
    paths = pictures_in(options.golden)
    if note := passed_over(options.golden, below=False):
        print(note)
    model = _model(options)
    try:
        golden = choose([read_golden(path, model, options.colour) for path in paths], model, options.keep_outliers)
        if network:
            FeatureStage.fit(model, network)
        station = Station(model)
    except ValueError as error:
        raise InputError(f"{options.golden}: {error}") from None
    print(*golden.lines(), sep="\n", end="\n" if golden.lines() else "")
    model.notes["golden"] = golden.to_json()
    gates = PictureGates.of(open_picture(one.path, str(one.path)) for one in golden.kept)
    if not options.positions:
        return Station(model, (), gates), options.colour
    boxes, picture = _boxes(options, paths[0])
    if picture.name in golden.set_aside and options.positions_of is None:
        raise InputError(
            f"{options.positions}: expected --positions-of with the picture in which these boxes lie, got none; the "
            f"default, {picture.name}, is unlike the other OK pictures and was left out: if they lie in it, name it"
        )
    try:
        pins = pins_in_unit_space(model, boxes, read_picture(picture, options.colour))
    except ValueError as error:
        raise InputError(f"{picture}: {error}") from None
    try:
        return Station(model, pins, gates), options.colour
    except ValueError as error:
        raise InputError(f"{options.positions}: {error}") from None


def _saved_station(path: Path, network: FeatureNetwork | None) -> Station:
    """Load a station; InputError if the file is damaged, or was made with other features than these."""
    try:
        station = Station.load(path)
        FeatureStage.load(station.model, network)
    except ValueError as error:
        place = "" if str(path) in str(error) else f"{path}: "
        raise InputError(f"{place}{error}") from None
    return station


def _model(options: argparse.Namespace) -> SoartC:
    chosen = {name: value for name in DEFAULTS if (value := getattr(options, name)) is not None}
    settings = DEFAULTS | ({"grid": EDGE_GRID} if options.edge else {}) | chosen
    return SoartC(rotation_deg=settings.pop("rotation"), **settings)


def _boxes(options: argparse.Namespace, first: Path) -> tuple[list[PinBox], Path]:
    """Read the pins' boxes; also return the picture they belong to: --positions-of, the record's, or `first`."""
    boxes, picture = read_pin_boxes(options.positions)
    if not boxes:
        raise InputError(f"{options.positions}: expected the box of at least one pin, got none")
    if options.positions_of is None and picture is None and options.positions.suffix.lower() == ".json":
        raise InputError(
            f"{options.positions}: expected a record with the key `run`, or --positions-of PICTURE, got neither"
        )
    return boxes, options.positions_of or picture or first


def _watch(judge: Judge, folder: Path) -> int:
    """Inspect the pictures that come into a folder, except those that have a verdict in the log, until Ctrl-C."""
    print(f"waiting for pictures in {folder}; press Ctrl-C to stop", flush=True)
    try:
        for path in arrivals(folder):
            try:
                content = _bytes_of(path)
            except InputError as error:  # it is gone, or may not be read: no bytes that a verdict could be about
                print(*error.problems, sep="\n", flush=True)
                continue
            sha256 = hashlib.sha256(content).hexdigest()
            if (path.name, sha256) in judge.log:
                continue
            name = judge.log.name_for(path, sha256)
            try:
                said = judge.write(path, content, sha256, name)
            except InputError as error:
                said = judge.write_unreadable(path, sha256, name, error)
            print(said, flush=True)
    except KeyboardInterrupt:
        return 0
    return 0
