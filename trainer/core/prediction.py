"""Prediction by any kind of run: find pictures, one outcome for each, check and write sheets and verdicts.

A sheet (the picture with what was found in it) is a PNG named after its picture: the checks make sure that it replaces
no input picture and no file of another origin.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generator.io import pictures as decoder
from trainer.core import run_folder
from trainer.core.errors import InputError, as_input_error
from trainer.core.run_folder import check_place

PREDICTIONS = "predictions.json"
# PNG text chunk in every sheet, to know our own.
MARK = ("Software", "Pinsight trainer.predict")


@dataclass(frozen=True)
class Judged:
    """The outcome for one picture or part: a verdict, or problems.

    Args:
        file: The picture's file; for a part the file name that its sheet is named after.
        verdict: The verdict as predictions.json holds it.
        line: The line to print on the terminal.
        sheet: The picture with what was found in it; None where no sheets are asked for.
        problems: Why there is no verdict; empty where there is one.
    """

    file: Path
    verdict: dict[str, Any] | None = None
    line: str = ""
    sheet: Image.Image | None = None
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Judging:
    """A prediction in progress: outcomes are computed while they are read.

    Args:
        outcomes: The outcome for each picture or part, computed one by one in the order of `places`.
        places: For each outcome the file that its sheet is named after.
        problems: Messages on files whose names cannot be used.
    """

    outcomes: Iterator[Judged]
    places: list[Path]
    problems: list[str] = field(default_factory=list)


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """List the given files, and all pictures in and below given folders, those in the order of their names.

    Raises:
        InputError: A path does not exist, or a folder holds no picture.
    """
    found, problems = [], []
    for path in paths:
        if path.is_file():
            found.append(path)
        elif not path.is_dir():
            problems.append(f"{path}: expected a picture or a folder, got no such file or folder")
        else:
            try:
                with as_input_error():
                    found += decoder.find_pictures(path)
            except InputError as e:
                problems += e.problems
    if problems:
        raise InputError(problems)
    return list(dict.fromkeys(found))


def sheet_names(files: Sequence[Path]) -> list[str]:
    """Return the file name of each picture's sheet: its name without suffix, numbered where repeated, and .png."""
    names: dict[str, None] = {}
    following: dict[str, int] = {}  # by stem, the next number to try
    for file in files:
        number = following.get(file.stem, 1)
        while (name := f"{file.stem}_{number}.png" if number > 1 else f"{file.stem}.png") in names:
            number += 1
        following[file.stem] = number + 1
        names[name] = None
    return list(names)


def _earlier(out: Path) -> list[str]:
    """List the file names in `out` of an earlier prediction: predictions.json and the sheets of its verdicts.

    Raises:
        InputError: OUT/predictions.json is of another origin.
    """
    path = out / PREDICTIONS
    if not path.exists():
        return []
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))
        places = [Path(one["file"]) if "file" in one else Path(f"{one['part']}.png") for one in verdicts]
    except (OSError, ValueError, KeyError, TypeError) as e:
        expected = f"no {PREDICTIONS} but that of an earlier prediction"
        raise InputError(f"--out {out}: expected {expected}, got {type(e).__name__}: {e}") from e
    return [PREDICTIONS, *sheet_names(places)]


def _is_sheet(path: Path) -> bool:
    """Whether a file has the mark of our sheets: an interrupted prediction leaves sheets without predictions.json."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(MARK[0]) == MARK[1]
    except Exception:  # decoders raise many types on damaged files
        return False


def check_json(target: Path, read: Collection[Path]) -> None:
    """Check that verdicts can be written to `target` without replacing an input file.

    Raises:
        InputError: `target` is a folder, its folder does not exist, or it is one of the files in `read`.
    """
    if target.is_dir() or not target.parent.is_dir():
        got = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise InputError(f"--json {target}: expected a file in a folder that exists, got {got}")
    if target.resolve() in {file.resolve() for file in read}:
        raise InputError(f"--json {target}: expected a file to write, got one of the input files")


def check_sheets(out: Path, files: Sequence[Path], names: Sequence[str]) -> None:
    """Check that sheets can be written into `out` without replacing an input picture or a file of another origin.

    Args:
        out: The folder.
        files: The input pictures.
        names: File names of the sheets.

    Raises:
        InputError: A file is in the way, or `out` holds the input pictures.
    """
    check_place(out)
    if out.resolve() in {file.resolve().parent for file in files}:
        raise InputError(f"--out {out}: expected another folder than the pictures': sheets have their pictures' names")
    ours = set(_earlier(out))
    foreign = [name for name in names if name not in ours and (out / name).exists() and not _is_sheet(out / name)]
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise InputError(
            f"--out {out}: expected no files of yours that predictions would replace, "
            f"got {', '.join(foreign[:5])}{more}"
        )


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, atomically, with the metadata that identifies it as a sheet (`MARK`)."""
    mark = PngInfo()
    mark.add_text(*MARK)
    run_folder.replace_file(path, lambda t: sheet.save(t, format="PNG", pnginfo=mark))
