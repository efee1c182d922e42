"""`python -m generator inspect`: judge pictures by comparison with pictures of OK parts (SOARTC), without a network.

    python -m generator inspect new/*.png --golden ok_folder -o verdicts
    python -m generator inspect new.png --golden ok_folder --positions record.json -o verdicts --save unit.npz
    python -m generator inspect incoming/ --golden unit.npz -o verdicts --watch
    python -m generator inspect station/ --golden ok_parts --views center,left,top -o verdicts
    python -m generator inspect new/*.png --golden ok_folder --features lite0.onnx -o verdicts
    python -m generator inspect photographs/ --golden ok_photographs --model gauge.onnx -o verdicts

It writes NAME.json (verdict, reasons, boxes, pins) and NAME.png (the marked picture; for a picture that cannot be read
the verdict INVALID with the reason) for each picture, with --figures also NAME_maps.png, and adds each verdict as one
line to verdicts.jsonl. Files of earlier verdicts on the same pictures are removed before the first is judged.

With --views, each part gets one verdict by its pictures of several views, whose names state part and view
(`generator.io.view_names`).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.io.given_once import GivenOnce
from generator.io.number_option import number, whole_number
from generator.io.output_file import LONGEST_NAME
from generator.io.pictures import find_pictures, is_picture, passed_over, pictures_in
from generator.io.view_names import parts_of, view_list
from generator.io.wording import some_of
from generator.soart.inspect_options import check_options
from generator.soart.inspection import InspectionModel, unnoticed_pins
from generator.soart.judging import Judge, PartJudge, bytes_of
from generator.soart.learning import EDGE_GRID, few_of, inspection_model_of, part_model_of, warn_of_members
from generator.soart.part_model import is_of_parts
from generator.soart.verdict_log import VerdictLog, files_of, foreign_files
from generator.soart.watch import Arrival, arrivals, arriving_parts

# Seconds that --watch waits for the missing views of a part.
WAIT_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator inspect` to its parser."""
    inspected = "pictures to inspect, or folders of pictures"
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help=inspected)
    golden = "folder of golden pictures, which show OK parts, or the file of a unit space that --save wrote (.npz)"
    parser.add_argument("--golden", required=True, type=Path, metavar="OK", help=golden)
    views = "cameras (views) that show each part, such as center,left,top: each part gets one verdict by its pictures, "
    views += "which are named after part and view, part7_left.png or part7/left.png, also in the folder OK"
    parser.add_argument("--views", action=GivenOnce, type=view_list, metavar="NAMES", help=views)
    out = "folder for verdicts (.json) and overlays (.png, marked pictures)"
    parser.add_argument("-o", "--out", required=True, type=Path, help=out)
    save = "file for the unit space (what was learned from the OK pictures), which a later --golden can read"
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help=save)
    parser.add_argument(
        "--positions",
        type=Path,
        metavar="FILE",
        help="boxes of the pins: a record of the renderer (.json), or CSV with address,x1,y1,x2,y2 in px; with --views "
        "a folder with such a file for each view, such as left.csv",
    )
    parser.add_argument(
        "--positions-of",
        type=Path,
        metavar="PICTURE",
        help="picture in which the boxes of --positions lie; with --views a part, such as OK/part7 (default: if "
        "--positions is a record, the picture of this record; else the first OK picture)",
    )
    model = "a gauge's ONNX file (see trainer.export): in each picture it finds the part, at any place, turn and 0.5 "
    model += "to 2 times its scale; pictures are then compared as if the part lay still, and pins are judged. The "
    model += "other commands call this option --locate"
    parser.add_argument("--model", "--locate", dest="model", type=Path, metavar="FILE.onnx", help=model)
    for name in ("scene", "housing", "terminal"):
        of_part = f"with --model, {name} of the part; needed if the gauge knows several that differ"
        parser.add_argument(f"--{name}", metavar="NAME", help=of_part)
    camera = "with --model but without --views, the gauge's camera that looks from the same direction as the pictures' "
    parser.add_argument("--camera", metavar="VIEW", help=camera + "(default: center)")
    window = "side of the windows that are compared, px of the reduced picture (default: 5)"
    parser.add_argument("--window", type=whole_number, help=window)
    grid = "reduce pictures to at most this number of windows along their longer side (default: 250)"
    parser.add_argument("--grid", type=whole_number, help=grid)
    edge = f"reduce pictures more than by default, for a small computer: the same as --grid {EDGE_GRID}"
    parser.add_argument("--edge", action="store_true", help=edge)
    parser.add_argument(
        "--similarity",
        choices=("pixels", "gram"),
        help="what is compared of each window A: its pixels, or (gram) its row-Gram matrix A A^T, which states how "
        "alike the window's rows are; gram is there to compare the two methods (default: pixels)",
    )
    parser.add_argument(
        "--reference",
        choices=("golden", "self"),
        help="what each window of a picture is compared with; golden: the same window in the mean of the OK pictures; "
        "self: the mean of all windows of the same picture (default: golden)",
    )
    _of_method_and_output(parser)


def _of_method_and_output(parser: argparse.ArgumentParser) -> None:
    """Add the rarer settings of a new unit space, and the options on what is written and when."""
    parser.add_argument("--colour", action="store_true", help="compare red, green and blue separately, not grey")
    parser.add_argument(
        "--rotation",
        type=number,
        metavar="DEG",
        help="largest rotation that is corrected, degrees either way (default: 3)",
    )
    above = "number of OK pictures that may score above the limit, which is then lower: smaller defects are found, and "
    above += "more good parts called NG; for many OK pictures, of which the highest scores are exceptions (default: 0)"
    parser.add_argument("--above", type=whole_number, metavar="N", help=above)
    outliers = "also use OK pictures that differ much from the other OK pictures, which are left out otherwise"
    parser.add_argument("--keep-outliers", action="store_true", help=outliers)
    features = "compare features that this network computes (written by `python -m trainer.export`), not SOART3"
    parser.add_argument("--features", type=Path, metavar="FILE.onnx", help=features)
    figures = "also write NAME_maps.png: maps of the three SOART3 numbers (with --features they are not what is "
    figures += "compared) and of the anomaly degree"
    parser.add_argument("--figures", action="store_true", help=figures)
    watch = "inspect the folder's pictures that have no verdict in verdicts.jsonl, then each new picture, until Ctrl-C"
    parser.add_argument("--watch", action="store_true", help=watch)
    wait = "with --watch, seconds to wait for a part's missing views before it is judged without them, which never is "
    wait += f"OK (default: {WAIT_S:g})"
    parser.add_argument("--wait", type=number, metavar="S", help=wait)


def run(options: argparse.Namespace) -> int:
    """Inspect the pictures, and write verdicts and marked pictures; returns 0.

    Raises:
        InputError: an option or input is wrong; or, after all pictures were inspected, some could not be read.
    """
    has_views = options.views is not None or (options.golden.is_file() and is_of_parts(options.golden))
    check_options(options, has_views)
    if has_views:
        return _run_on_parts(options)
    paths = [] if options.watch else _pictures(options)
    inspection, colour, straightener = inspection_model_of(options)
    _say(options, inspection.limit.promise, inspection.limit.count, "pictures", inspection.lacks)
    _warn_of_unnoticed(inspection, options.golden)
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        inspection.model.save(options.save)
    with VerdictLog(options.out, resume=options.watch) as log:
        judge = Judge(inspection, log, options.golden.stem, colour, options.figures, straightener)
        return _watch(judge, options.images[0]) if options.watch else _inspect_all(judge, paths)


def _run_on_parts(options: argparse.Namespace) -> int:
    """Inspect parts shown by several views; returns 0."""
    parts = {} if options.watch or options.views is None else _parts(options, options.views)
    inspection, colour, straighteners = part_model_of(options)
    views = tuple(inspection.by_view)
    if not options.watch and options.views is None:
        parts = _parts(options, views)
    _say(options, inspection.promise, inspection.limit.count, "parts", inspection.lacks)
    for view, one in inspection.by_view.items():
        _warn_of_unnoticed(one, options.golden, f"view {view}: ")
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        inspection.save(options.save)
    with VerdictLog(options.out, resume=options.watch) as log:
        if not options.watch:
            log.read()  # or a picture of an earlier part would not be noticed
        judge = PartJudge(inspection, log, options.golden.stem, colour, options.figures, straighteners)
        if options.watch:
            return _watch_parts(judge, options.images[0], WAIT_S if options.wait is None else options.wait)
        return _inspect_parts(judge, parts)


def _say(options: argparse.Namespace, promise: str, count: int, what: str, lacks: list[str]) -> None:
    print(f"limit of the score: {promise}")
    if count < 20:
        print(f"warning: {count} OK {what} are too few to estimate false alarms; use at least 20")
    if lacks:
        print(
            f"warning: {options.golden} was saved by an older version and lacks {' and '.join(lacks)}; save it "
            f"again: --golden with the folder of OK {what}, and --save"
        )


def _warn_of_unnoticed(inspection: InspectionModel, golden: Path, begin: str = "") -> None:
    """Warn of pins that are never OK, because even a missing one would not be noticed.

    `golden`: the folder of OK pictures, to which --positions adds boxes of pins, or the file of a saved unit space, to
    which nothing can be added.
    """
    if inspection.table is None:
        # A saved unit space is no mistake, and --positions is refused with it.
        without = (
            f"{golden} was saved without boxes of pins: "
            if golden.is_file()
            else "without boxes of pins (--positions), "
        )
        print(
            f"note: {begin}{without}whole pictures are compared, and a small defect, such as a missing pin, can be OK"
        )
        return
    for reason in unnoticed_pins(inspection.unnoticed, len(inspection.table.pins)):
        print(
            f"warning: {begin}{reason}. A pin named here is UNSURE, never OK. Perhaps it is bent or missing in some OK "
            "pictures, small (a larger --grid may help), or not in its box"
        )


def _inspect_all(judge: Judge, paths: list[Path]) -> int:
    problems: list[str] = []
    for path in paths:  # or an earlier OK would stay if a picture cannot be read, or the program is stopped
        judge.log.remove_earlier(path.stem)
    judge.log.remove_earlier_on(paths, of_parts=True)
    for path in tqdm(paths, disable=None if len(paths) > 4 else True, unit="picture"):
        sha256 = ""
        try:
            content = bytes_of(path)
            sha256 = hashlib.sha256(content).hexdigest()
            tqdm.write(judge.write(path, content, sha256, path.stem))
        except InputError as error:
            problems += error.problems
            if sha256 and is_picture(path):
                tqdm.write(judge.write_unreadable(path, sha256, path.stem, error))
    if problems:
        raise InputError(problems)
    return 0


def _inspect_parts(judge: PartJudge, parts: dict[str, dict[str, Path]]) -> int:
    problems: list[str] = []
    for part in parts:
        judge.log.remove_earlier(Path(part).name)
    judge.log.remove_earlier_on([path for files in parts.values() for path in files.values()], of_parts=False)
    for part, files in tqdm(parts.items(), disable=None if len(parts) > 4 else True, unit="part"):
        said, wrong = judge.write(Arrival(part, files), Path(part).name)
        tqdm.write(said)
        problems += wrong
    if problems:
        raise InputError(problems)
    return 0


def _pictures(options: argparse.Namespace) -> list[Path]:
    """List the pictures to inspect; InputError if there is none, or an output name is used already or too long."""
    paths = [p for path in options.images for p in (pictures_in(path) if path.is_dir() else [path])]
    if not paths:
        raise InputError(f"{options.images[0]}: expected pictures, got a folder without pictures")
    taken: dict[str, Path] = {}
    for path in paths:
        _claim(path, path.stem, options.figures, taken)
    _check_free(options.out, taken)
    for folder in [path for path in options.images if path.is_dir()]:
        if note := passed_over(folder, below=False, known=[options.out, options.golden]):
            print(note)
    warn_of_members(paths, pictures_in(options.golden) if options.golden.is_dir() else [])
    return paths


def _parts(options: argparse.Namespace, views: tuple[str, ...]) -> dict[str, dict[str, Path]]:
    """Find the parts to inspect, files by part and view; InputError if names of pictures or of output files are wrong.

    A part may lack views.
    """
    files = [file for path in options.images for file in (find_pictures(path) if path.is_dir() else [path])]
    parts, problems = parts_of(list(dict.fromkeys(files)), views, all_views=False)
    if problems:
        raise InputError(few_of(problems))
    taken: dict[str, Path] = {}
    for part in parts:
        _claim(Path(part), Path(part).name, options.figures, taken, "parts")
    _check_free(options.out, taken)
    for folder in [path for path in options.images if path.is_dir()]:
        if note := passed_over(folder):
            print(note)
    warn_of_members(files, find_pictures(options.golden) if options.golden.is_dir() else [])
    return parts


def _claim(path: Path, stem: str, figures: bool, taken: dict[str, Path], what: str = "pictures") -> None:
    """Add the names of a verdict's output files to `taken` (picture by name); InputError if one is used or too long.

    `path` is that of the picture or part, `stem` its name without suffix.
    """
    names = files_of(stem)[: 3 if figures else 2]
    for name in names:
        if taken.get(name, path) != path:
            raise InputError(
                f"{path}: expected {what} with different names, got {taken[name]} too; both would write {name}"
            )
    if len(os.fsencode(max(names, key=len))) > LONGEST_NAME:
        raise InputError(
            f"{path}: expected a shorter file name, got one with which the name of an output file, {names[-1]}, "
            f"exceeds {LONGEST_NAME} bytes"
        )
    taken.update(dict.fromkeys(names, path))


def _check_free(out: Path, names: Iterable[str]) -> None:
    """Check that output files replace only those of earlier verdicts; InputError if some are others."""
    if foreign := foreign_files(out, names):
        raise InputError(
            f"--out {out}: expected an empty folder or verdicts of an earlier inspection, got other files, whose names "
            f"the verdicts need: {some_of(foreign)}; give another --out"
        )


def _watch(judge: Judge, folder: Path) -> int:
    """Inspect the pictures that come into a folder, except those that have a verdict in the log, until Ctrl-C."""
    print(f"waiting for pictures in {folder}; press Ctrl-C to stop", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        for path in arrivals(folder):
            try:
                content = bytes_of(path)
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
    return 0


def _watch_parts(judge: PartJudge, folder: Path, wait_s: float) -> int:
    """Inspect the parts whose pictures come into a folder, except pictures with a verdict in the log, until Ctrl-C."""
    print(f"waiting for pictures in {folder}; press Ctrl-C to stop", flush=True)

    def is_judged(part: str, view: str, sha256: str) -> bool:
        return judge.log.has_view(Path(part).name, view, sha256)

    with contextlib.suppress(KeyboardInterrupt):
        for arrival in arriving_parts(folder, tuple(judge.inspection.by_view), wait_s, is_judged):
            if arrival.problem:
                said = _unknown(judge, Path(arrival.part), arrival.problem)
            else:
                said, _ = judge.write(arrival)
            if said:
                print(said, flush=True)
    return 0


def _unknown(judge: PartJudge, path: Path, problem: str) -> str:
    """Write the verdict INVALID on a picture that belongs to no part; returns it as text, empty if it is in the log."""
    try:
        sha256 = hashlib.sha256(bytes_of(path)).hexdigest()
    except InputError as error:
        return "\n".join(error.problems)
    return "" if (path.name, sha256) in judge.log else judge.write_unknown(path, sha256, problem)
