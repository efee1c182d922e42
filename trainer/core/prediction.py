"""Prediction by any kind of run: find pictures, judge each, check and write sheets and verdicts.

A sheet is a PNG of a picture with the findings drawn in, named after the picture. The checks make sure that a sheet
replaces no input picture and no file of another program.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from blender_scripts.contract.output_path import check_writable
from generator.io import pictures as decoder
from generator.io.checksum import sha256_of
from generator.io.png_mark import has_mark, marked_png
from generator.io.view_names import parts_of
from generator.io.wording import some_of
from generator.verdict.envelope import Envelope, Verdict, in_short
from trainer.core import run_folder
from trainer.core.console import say
from trainer.core.errors import InputError, as_input_error
from trainer.core.run_folder import check_place
from trainer.core.tolerance import cannot_follow

PREDICTIONS = "predictions.json"
# Mark of every sheet, to know our own: an interrupted prediction leaves sheets without predictions.json.
MARK = "Pinsight trainer.predict"
# The characteristics that a class of defect covers: key `judged` of a verdict.
CHARACTERISTICS_OF_CLASS = {"BENDNG": ("true_position",), "NUKENG": ("retraction", "presence"), "OTHERNG": ("other",)}


@dataclass(frozen=True)
class VerdictWriter:
    """Writes a run's verdicts, as lines and as entries of predictions.json, with the facts on the run that each states.

    Args:
        name: Name of the run's folder.
        sha256: SHA-256 of the run's weights, in hex.
        classes: Class names.
        tolerance: Limits in mm, by scene, under which the run was trained; None: not recorded.
        invalid: Reasons why the run judges no picture, such as that it is unfit; empty if it judges.
        warnings: Messages that every verdict carries, such as one on a tolerance that the run cannot follow.
    """

    name: str
    sha256: str
    classes: Sequence[str]
    tolerance: Mapping[str, Any] | None = None
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        run: Path,
        sha256: str,
        classes: Sequence[str],
        unfit: Sequence[str],
        allow_unfit: bool,
        asked: Mapping[str, float],
    ) -> "VerdictWriter":
        """Make the writer of a run's verdicts and print the run's warnings.

        Args:
            run, sha256, classes: The run's folder, the SHA-256 of its weights in hex, and its class names.
            unfit: Why the run is unfit or has no gates; empty if neither.
            allow_unfit: Whether it judges nevertheless; if so, each verdict has the texts in `unfit` as warnings.
            asked: Limits in mm of `--tolerance`, by name; empty: not given.
        """
        tolerance = run_folder.recorded_tolerances(run)
        other = cannot_follow(run, tolerance, asked) if asked else None
        for text in unfit:
            say(f"WARNING: --model {run}: {text}{'' if allow_unfit else '; give --allow-unfit to judge anyway'}.")
        if other:
            say(f"WARNING: {other}.")
        invalid, warnings = ((), unfit) if allow_unfit else (unfit, ())
        warnings = [*warnings, *([f"tolerance: {other}"] if other else [])]
        return cls(run.resolve().name, sha256, classes, tolerance, tuple(invalid), tuple(warnings))

    def line(self, verdict: Verdict, said: str, of: str, reasons: Sequence[str]) -> str:
        """Return the line of a verdict for the terminal.

        Args:
            said: Class and confidence, or the boxes found; empty for INVALID.
            of: The picture's file or the part.
            reasons: The verdict's reasons, of which the first is shown, and the keywords of the others, for INVALID
                and UNSURE only. The word "unfit" replaces those that are also in `self.invalid`, because
                `VerdictWriter.of` has printed them.
        """
        own = [text for text in reasons if text not in self.invalid]
        why = ""
        if verdict in (Verdict.INVALID, Verdict.UNSURE):
            why = "; ".join(filter(None, ["unfit" if self.invalid else "", in_short(own)]))
        return "  ".join(filter(None, (f"{verdict:<7}", said, of, why)))

    def document(
        self,
        verdict: Verdict,
        reasons: Sequence[str],
        of: Path | Mapping[str, Path],
        boxes: Sequence[Any] = (),
        pins: Sequence[Mapping[str, Any]] = (),
        **more: Any,
    ) -> dict[str, Any]:
        """Return the entry of predictions.json for a picture, or for a part that several views show.

        Args:
            verdict, reasons: From `decision.verdict_of`.
            of: The picture's file, or the files by view.
            boxes, pins: Boxes found, and entries of the pins judged: see `generator.verdict.envelope.Envelope`.
            more: Further keys of this kind of run. With INVALID the keys `label` and `confidence` become null, so that
                no program that reads them takes the picture for OK.
        """
        if verdict is Verdict.INVALID:
            more |= {name: None for name in ("label", "confidence") if name in more}
        single = of if isinstance(of, Path) else None
        views = {} if isinstance(of, Path) else of
        envelope = Envelope(
            verdict,
            tuple(reasons),
            file=str(single) if single else None,
            files={view: str(file) for view, file in views.items()} or None,
            sha256=sha256_or_none(single) if single else {v: sha256_or_none(file) or "" for v, file in views.items()},
            model={"name": self.name, "hash": self.sha256},
            tolerance=self.tolerance,
            judged=[one for name in self.classes for one in CHARACTERISTICS_OF_CLASS.get(name, ())],
            pins=pins,
            boxes=boxes,
        )
        return envelope.to_json(**({"warnings": list(self.warnings)} if self.warnings else {}), **more)

    def unjudged(self, of: Path | Mapping[str, Path], problems: Sequence[str], **more: Any) -> dict[str, Any]:
        """Return the entry of a picture or part that is INVALID because of `problems` with its files.

        `of` and `more` are arguments of `document`.
        """
        return self.document(Verdict.INVALID, [f"file: {problem}" for problem in problems], of, **more)


def sha256_or_none(file: Path) -> str | None:
    """Return the SHA-256 of a file, in hex; None where it cannot be read."""
    try:
        return sha256_of(file)
    except OSError:
        return None


@dataclass(frozen=True)
class Prediction:
    """The prediction for one picture or part: its verdict, and what shows it.

    Args:
        file: The picture's path; for a part, a path whose name contains the part's. The sheet is named after it.
        verdict: The entry of predictions.json, from `VerdictWriter.document`.
        line: The line to print on the terminal; empty if `problems` are printed instead.
        sheet: The picture with the findings drawn in; None without --out, or for a part without a picture.
        problems: Errors in the input files, printed at the end of the command; the verdict is then INVALID.
    """

    file: Path
    verdict: dict[str, Any]
    line: str = ""
    sheet: Image.Image | None = None
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class PartFiles:
    """Picture files sorted into parts, each with a picture of every view.

    Args:
        parts: The files of each part by view, by the part's place: a path whose name without suffix is the part's.
        left: Files that belong to no complete part.
        problems: Why they do not.
    """

    parts: Mapping[Path, Mapping[str, Path]]
    left: Sequence[Path]
    problems: Sequence[str]

    @classmethod
    def of(cls, files: Sequence[Path], views: Sequence[str]) -> "PartFiles":
        """Read part and view from the files' names: see `generator.io.view_names`."""
        found, problems = parts_of(files, views)
        judged = {file for pictures in found.values() for file in pictures.values()}
        # The suffix is added so that `with_suffix` does not cut a part's name at a dot.
        parts = {Path(f"{part}.png"): pictures for part, pictures in found.items()}
        return cls(parts, [file for file in files if file not in judged], problems)

    @property
    def places(self) -> list[Path]:
        """The places of the outcomes: those of the parts, then the files left."""
        return [*self.parts, *self.left]

    def left_out(self, writer: VerdictWriter) -> Iterator[Prediction]:
        """Yield an outcome, INVALID, for each file left; the first one has the problems."""
        for number, file in enumerate(self.left):
            why = [one for one in self.problems if one.startswith(f"{file}:")]
            why = why or ["expected one picture of the part from each view, got more or fewer"]
            yield Prediction(file, writer.unjudged(file, why), problems=[] if number else self.problems)


@dataclass(frozen=True)
class Predictions:
    """The predictions of a command: pictures are judged, and some errors raised, only while `outcomes` is read.

    Args:
        outcomes: The outcome for each picture or part, computed one by one in the order of `places`.
        places: For each outcome its `Prediction.file`, known before: `sheet_names` makes the sheets' names from them.
    """

    outcomes: Iterator[Prediction]
    places: list[Path]


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """List the given files, and the pictures in and below given folders, by name; other files are noted on stderr.

    Raises:
        InputError: A path does not exist, or a folder holds no picture.
    """
    found, problems = [], []
    for path in paths:
        if path.is_file():
            found.append(path)
        elif not path.is_dir():
            problems.append(f"{path}: expected a picture or a folder of pictures, got no such file or folder")
        else:
            try:
                with as_input_error():
                    found += decoder.find_pictures(path)
                    if note := decoder.passed_over(path):
                        sys.stderr.write(f"{note}\n")
            except InputError as e:
                problems += e.problems
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(found))


def sheet_names(files: Sequence[Path]) -> list[str]:
    """Return the file name of each picture's sheet: the picture's with .png, and _2, _3, … if several have one name.

    No sheet gets the name of another picture.
    """
    own = {f"{file.stem}.png" for file in files}
    names: dict[str, None] = {}
    following: dict[str, int] = {}  # by stem, the next number to try
    for file in files:
        number, name = following.get(file.stem, 1), f"{file.stem}.png"
        while name in names or (number > 1 and name in own):
            number = max(number, 2)
            name, number = f"{file.stem}_{number}.png", number + 1
        following[file.stem] = number
        names[name] = None
    return list(names)


def _earlier(out: Path) -> list[str]:
    """List the file names of an earlier prediction in `out`: predictions.json and the sheets of its verdicts."""
    path = out / PREDICTIONS
    if not path.exists():
        return []
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))
        places = [Path(one["file"]) if "file" in one else Path(f"{one['part']}.png") for one in verdicts]
    except (OSError, ValueError, KeyError, TypeError) as e:
        expected = f"a folder without {PREDICTIONS}, or with one that `trainer.predict` wrote"
        raise InputError(
            f"--out {out}: expected {expected}, got an unreadable one ({type(e).__name__}: {e}); give another --out"
        ) from e
    named = [one["sheet"] for one in verdicts if isinstance(one.get("sheet"), str)]
    return [PREDICTIONS, *sheet_names(places), *(name for name in named if name == Path(name).name)]


def remove_earlier(targets: Collection[Path], out: Path | None, names: Collection[str]) -> None:
    """Remove results of an earlier prediction, so that none stays beside new ones if a picture gets no sheet.

    Args:
        targets: Files of verdicts that will be written.
        out: Folder of the sheets; None: none are written.
        names: File names of the sheets of this prediction, as checked by `check_sheets`; sheets of others stay.
    """
    for path in (*targets, *(out / name for name in names if out is not None)):
        path.unlink(missing_ok=True)


def check_json(target: Path, read: Collection[Path], run: Path, sheets: Collection[Path] = ()) -> None:
    """Check that verdicts can be written to `target` without replacing an input file, a file of the run or a sheet.

    Args:
        target: The file of --json.
        read: The input files.
        run: The run's folder.
        sheets: Paths of the sheets that will be written.

    Raises:
        InputError: `target` is a folder, its folder does not exist or cannot be written, it lies in the run's folder,
            or it is one of the files in `read` or `sheets`.
    """
    if target.is_dir() or not target.parent.is_dir():
        got = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise InputError(f"--json {target}: expected a file in a folder that exists, got {got}")
    place = target.resolve()
    if place in {file.resolve() for file in read}:
        raise InputError(f"--json {target}: expected another file than the input files, got one of them")
    if place.is_relative_to(run.resolve()):
        raise InputError(f"--json {target}: expected a file outside the run's folder {run} (--model), got one in it")
    if place in {file.resolve() for file in sheets}:
        raise InputError(f"--json {target}: expected another file than the sheets of --out, got one of them")
    with as_input_error():
        check_writable(target.parent, f"--json {target}")


def check_sheets(out: Path, files: Sequence[Path], names: Sequence[str], run: Path) -> None:
    """Check that sheets can be written into `out` without replacing an input picture or a file of another program.

    Args:
        out, files: The folder, and the input pictures.
        names: File names of the sheets.
        run: The run's folder.

    Raises:
        InputError: A file is in the way, or `out` is the run's folder or holds the input pictures.
    """
    check_place(out)
    if out.resolve() == run.resolve():
        raise InputError(f"--out {out}: expected another folder than the run's (--model), got the run's folder")
    if out.resolve() in {file.resolve().parent for file in files}:
        raise InputError(
            f"--out {out}: expected another folder than that of the input pictures, "
            "because results have the same file names"
        )
    ours = set(_earlier(out))
    foreign = [name for name in names if name not in ours and (out / name).exists() and not has_mark(out / name, MARK)]
    if foreign:
        raise InputError(
            f"--out {out}: expected an empty folder or results of an earlier prediction, got other files, whose names "
            f"the results need: {some_of(foreign)}; give another --out"
        )


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, atomically, with the mark by which later predictions know it as a sheet."""
    content = marked_png(sheet, MARK)
    run_folder.replace_file(path, lambda t: t.write_bytes(content))
