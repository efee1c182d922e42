"""`python -m generator inspect`: pictures against a folder of good ones, by SOARTC. No training, no torch.

    python -m generator inspect new/*.png --golden ok_folder -o verdicts
    python -m generator inspect new.png --golden ok_folder --positions record.json -o verdicts --save unit.npz
    python -m generator inspect incoming/ --golden unit.npz -o verdicts --watch

Of each picture OUT gets NAME.json (verdict, boxes, pins) and NAME.png (overlay), with --figures also NAME_maps.png.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.io.output_file import LONGEST_NAME, check_file, check_folder, write_whole
from generator.io.pictures import pictures_in
from generator.io.pin_boxes import PinBox, read_pin_boxes
from generator.soart.estimator import SoartC
from generator.soart.figure import figure, overlay
from generator.soart.inspection import Station, pins_in_unit_space, read_picture

EDGE_GRID = 100
# What a unit space is made with where the user says nothing else; a saved one has its own.
DEFAULTS: dict[str, Any] = {
    "window": 8,
    "grid": 250,
    "similarity": "pixels",
    "reference": "golden",
    "rotation": 3.0,
    "above": 0,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    parser.add_argument(
        "--golden",
        required=True,
        type=Path,
        metavar="OK",
        help="folder of OK pictures, or a saved unit space (.npz)",
    )
    parser.add_argument("-o", "--out", required=True, type=Path, help="folder for verdicts and overlays")
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="keep the unit space made of the folder")
    parser.add_argument(
        "--positions",
        type=Path,
        metavar="FILE",
        help="the pins: a renderer's record, or CSV: address,x1,y1,x2,y2",
    )
    parser.add_argument(
        "--positions-of",
        type=Path,
        metavar="PICTURE",
        help="the picture on which the boxes lie (default: the record's, else the first OK picture)",
    )
    parser.add_argument("--window", type=int, help="side of the windows, px (default: 8)")
    parser.add_argument("--grid", type=int, help="most windows along the longer side (default: 250)")
    parser.add_argument("--edge", action="store_true", help=f"a small computer: --grid {EDGE_GRID}")
    parser.add_argument("--similarity", choices=("pixels", "gram"), help="default: pixels")
    parser.add_argument("--reference", choices=("golden", "self"), help="default: golden")
    parser.add_argument("--colour", action="store_true", help="red, green and blue each by itself")
    parser.add_argument("--rotation", type=float, metavar="DEG", help="how far a part may be turned (default: 3)")
    parser.add_argument("--above", type=int, metavar="N", help="OK pictures that may lie above the limit (default: 0)")
    parser.add_argument("--figures", action="store_true", help="also draw the three maps and the anomaly degree")
    parser.add_argument("--watch", action="store_true", help="go on with what arrives in the folder, until Ctrl-C")


def run(options: argparse.Namespace) -> int:
    _check(options)
    paths = [] if options.watch else _pictures(options)
    station, colour = _station(options)
    print(f"limit: {station.limit.promise}")
    if station.limit.count < 20:
        print(f"warning: {station.limit.count} OK pictures say little about false alarms; take 20 at least")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        station.model.save(options.save)
    if options.watch:
        return _watch(station, options, colour)
    problems = []
    for path in tqdm(paths, disable=None if len(paths) > 4 else True, unit="picture"):
        try:
            tqdm.write(inspect_picture(station, path, options.out, colour, options.figures))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return 0


def _pictures(options: argparse.Namespace) -> list[Path]:
    """The pictures to inspect, each with a name of its own."""
    paths = [p for path in options.images for p in (pictures_in(path) if path.is_dir() else [path])]
    if not paths:
        raise InputError(f"{options.images[0]}: expected pictures, got an empty folder")
    taken: dict[str, Path] = {}
    for path in paths:
        _claim(path, options.figures, taken)
    return paths


def _claim(path: Path, figures: bool, taken: dict[str, Path]) -> None:
    """Keep the names of a picture's files for it.

    Args:
        path: the picture.
        figures: whether its maps are drawn too.
        taken: the picture of each file's name.

    Raises:
        InputError: another picture's files have one of these names, or they are too long.
    """
    names = [f"{path.stem}.json", f"{path.stem}.png", *([f"{path.stem}_maps.png"] if figures else [])]
    for name in names:
        if taken.get(name, path) != path:
            raise InputError(
                f"{path}: expected pictures of different names, got {taken[name]} too, whose {name} would be lost"
            )
    if len(os.fsencode(max(names, key=len))) > LONGEST_NAME:
        raise InputError(f"{path}: expected a shorter name, got one that makes a file's name too long")
    taken.update(dict.fromkeys(names, path))


def inspect_picture(station: Station, path: Path, out: Path, colour: bool = False, figures: bool = False) -> str:
    """Inspect one picture and write what was found; the verdict as a line of text."""
    image = read_picture(path, colour)
    start = time.perf_counter()
    try:
        finding = station.inspect(image)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    spent = time.perf_counter() - start
    report = {
        "picture": path.name,
        **finding.to_json(),
        "limit": station.limit.to_json(),
        "seconds": round(spent, 4),
    }
    shown = Image.fromarray(np.round(255 * image).astype(np.uint8))
    write_whole(out / f"{path.stem}.png", _png(overlay(shown, finding)))
    if figures:
        write_whole(out / f"{path.stem}_maps.png", _png(figure(shown, finding)))
    write_whole(out / f"{path.stem}.json", f"{json.dumps(report, indent=1)}\n".encode())
    bad = [f"{pin.address} ({pin.hint})" for pin, is_bad in finding.pins if is_bad]
    return f"{finding.verdict}  {path.name}  {finding.score:.2f} of the limit" + (f"  {', '.join(bad)}" if bad else "")


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
        yield "--watch: expected one folder"
    if not options.golden.exists():
        yield f"--golden: expected a folder of OK pictures or a saved unit space, got {options.golden}"
    if options.positions_of and not options.positions:
        yield "--positions-of: expected --positions beside it"


def _wrong_places(options: argparse.Namespace) -> Iterator[str]:
    """What would be written over what is read, or cannot be written."""
    sources = {p.resolve() if p.is_dir() else p.resolve().parent for p in options.images}
    if options.golden.is_dir():
        sources.add(options.golden.resolve())
    if options.positions and options.positions.suffix.lower() == ".json":  # as a verdict is
        sources.add(options.positions.resolve().parent)
    if options.positions_of:
        sources.add(options.positions_of.resolve().parent)
    if options.out.resolve() in sources:
        yield (
            f"--out: expected a folder apart from pictures and records, got {options.out}, where verdicts "
            "would take their names"
        )
    try:
        check_folder(options.out, "--out")
        if options.save:
            check_file(options.save, "--save", (".npz",))
    except InputError as error:
        yield from error.problems


def _wrong_settings(options: argparse.Namespace) -> Iterator[str]:
    if options.edge and options.grid is not None:
        yield "--edge: expected no --grid beside it"
    of_unit_space = ("positions", "save", *DEFAULTS, "edge", "colour")
    # By identity, as an angle of 0 equals False.
    given = [n for n in of_unit_space if not any(getattr(options, n) is none for none in (None, False))]
    if options.golden.is_file() and given:
        yield (
            f"--golden: expected a folder beside {', '.join(f'--{name}' for name in given)}, got "
            f"{options.golden}: a saved unit space has its own"
        )
    for name, low in (("window", 1), ("grid", 1), ("above", 0)):
        value = getattr(options, name)
        if value is not None and value < low:
            yield f"--{name}: expected a number >= {low}, got {value}"
    if options.rotation is not None and not 0 <= options.rotation <= 180:
        yield f"--rotation: expected 0 to 180 degrees, got {options.rotation}"


def _station(options: argparse.Namespace) -> tuple[Station, bool]:
    """The station, and whether it looks at colours."""
    if options.golden.is_file():
        try:
            station = Station.load(options.golden)
        except ValueError as error:
            raise InputError(str(error)) from None
        return station, station.model.reference_.ndim == 3
    paths = pictures_in(options.golden)
    model = _model(options)
    try:
        model.fit(read_picture(path, options.colour) for path in paths)
        station = Station(model)
    except ValueError as error:
        raise InputError(f"{options.golden}: {error}") from None
    if not options.positions:
        return station, options.colour
    boxes, picture = _boxes(options, paths[0])
    try:
        pins = pins_in_unit_space(model, boxes, read_picture(picture, options.colour))
    except ValueError as error:
        raise InputError(f"{picture}: {error}") from None
    try:
        return Station(model, pins), options.colour
    except ValueError as error:
        raise InputError(f"{options.positions}: {error}") from None


def _model(options: argparse.Namespace) -> SoartC:
    chosen = {name: value for name in DEFAULTS if (value := getattr(options, name)) is not None}
    settings = DEFAULTS | ({"grid": EDGE_GRID} if options.edge else {}) | chosen
    return SoartC(rotation_deg=settings.pop("rotation"), **settings)


def _boxes(options: argparse.Namespace, first: Path) -> tuple[list[PinBox], Path]:
    """The pins' boxes, each address once, and the picture on which they lie; `first` is the first OK picture."""
    boxes, picture = read_pin_boxes(options.positions)
    if not boxes:
        raise InputError(f"{options.positions}: expected at least one box, got none")
    if several := [address for address, count in Counter(b.address for b in boxes).items() if count > 1]:
        raise InputError(f"{options.positions}: expected each address once, got {', '.join(several)} more than once")
    if options.positions_of is None and picture is None and options.positions.suffix.lower() == ".json":
        raise InputError(f"{options.positions}: expected a record with its run, or --positions-of, got neither")
    return boxes, options.positions_of or picture or first


def arrivals(folder: Path, pause_s: float = 0.5) -> Iterator[Path]:
    """Pictures as they arrive in a folder, each once its size has stopped changing; without end."""
    seen: dict[Path, tuple[int, int]] = {}
    done: set[tuple[Path, int, int]] = set()
    while True:
        for path in pictures_in(folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            state = (status.st_size, status.st_mtime_ns)
            if seen.get(path) == state and (path, *state) not in done:
                done.add((path, *state))
                yield path
            seen[path] = state
        time.sleep(pause_s)


def _watch(station: Station, options: argparse.Namespace, colour: bool) -> int:
    print(f"watching {options.images[0]}; Ctrl-C ends", flush=True)
    taken: dict[str, Path] = {}
    try:
        for path in arrivals(options.images[0]):
            try:
                _claim(path, options.figures, taken)
                print(inspect_picture(station, path, options.out, colour, options.figures), flush=True)
            except InputError as error:
                print(*error.problems, sep="\n", flush=True)
    except KeyboardInterrupt:
        return 0
    return 0
