"""What a prediction is, whatever judged: the pictures to judge, one outcome each, where sheets and verdicts go.

A sheet has its picture's name, so nothing that is read, or that somebody else made, may stand where one is written.
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
# In every sheet.
MARK = ("Software", "Pinsight trainer.predict")


@dataclass(frozen=True)
class Judged:
    """One picture's outcome: verdict for the JSON, line for the terminal, sheet for the folder; or problems.

    Args:
        file: The picture; of a part what its sheet is named after.
        verdict: As JSON holds it.
        line: For the terminal.
        sheet: The picture with what was found in it; None where none is asked for.
        problems: Why there is no verdict.
    """

    file: Path
    verdict: dict[str, Any] | None = None
    line: str = ""
    sheet: Image.Image | None = None
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class Judging:
    """What a run says of pictures, one after the other.

    Args:
        outcomes: As they come, in the order of `places`.
        places: What each outcome's sheet is named after.
        problems: What is wrong with the files' names.
    """

    outcomes: Iterator[Judged]
    places: list[Path]
    problems: list[str] = field(default_factory=list)


def find_pictures(paths: Sequence[Path]) -> list[Path]:
    """Files as given; of folders all pictures below them, by name.

    Raises:
        InputError: A path does not exist, or a folder holds no picture.
    """
    found, problems = [], []
    for path in paths:
        if path.is_file():
            found.append(path)
        elif not path.is_dir():
            problems.append(f"{path}: expected a picture or a folder, got nothing there")
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
    """One PNG name per file: its stem, numbered where stems repeat."""
    names: dict[str, None] = {}
    following: dict[str, int] = {}  # numbers below are taken
    for file in files:
        number = following.get(file.stem, 1)
        while (name := f"{file.stem}_{number}.png" if number > 1 else f"{file.stem}.png") in names:
            number += 1
        following[file.stem] = number + 1
        names[name] = None
    return list(names)


def _earlier(out: Path) -> list[str]:
    """Names in `out` that belong to an earlier call: what OUT/predictions.json names, and that file.

    Raises:
        InputError: It is not one of ours.
    """
    path = out / PREDICTIONS
    if not path.exists():
        return []
    try:
        verdicts = json.loads(path.read_text(encoding="utf-8"))
        places = [Path(one["file"]) if "file" in one else Path(f"{one['part']}.png") for one in verdicts]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(f"--out {out}: expected none or our own {PREDICTIONS}, got {type(e).__name__}: {e}") from e
    return [PREDICTIONS, *sheet_names(places)]


def _is_sheet(path: Path) -> bool:
    """Whether a file bears the mark of our sheets: an interrupted call has named none of them yet."""
    try:
        with Image.open(path) as picture:
            return picture.info.get(MARK[0]) == MARK[1]
    except Exception:  # decoders raise what a strange byte leads them to
        return False


def check_json(target: Path, read: Collection[Path]) -> None:
    """Whether verdicts can be written to `target` and nothing in `read` is replaced.

    Raises:
        InputError: It is a folder or lies in none, or is one of the files that are read.
    """
    if target.is_dir() or not target.parent.is_dir():
        got = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise InputError(f"--json {target}: expected a file in a folder that exists, got {got}")
    if target.resolve() in {file.resolve() for file in read}:
        raise InputError(f"--json {target}: expected another file than those that are read")


def check_sheets(out: Path, files: Sequence[Path], names: Sequence[str]) -> None:
    """Whether sheets can be written into `out`: nothing that is read, or that somebody else made, is replaced.

    Args:
        out: The folder.
        files: The pictures.
        names: Of the sheets.

    Raises:
        InputError: Which file is in the way.
    """
    check_place(out)
    if out.resolve() in {file.resolve().parent for file in files}:
        raise InputError(f"--out {out}: expected a folder apart from the pictures: a sheet has its picture's name")
    ours = set(_earlier(out))
    foreign = [name for name in names if name not in ours and (out / name).exists() and not _is_sheet(out / name)]
    if foreign:
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        raise InputError(
            f"--out {out}: expected a folder without files of the sheets' names that an earlier call has not written, "
            f"got {', '.join(foreign[:5])}{more}"
        )


def write_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, atomically, with our mark."""
    mark = PngInfo()
    mark.add_text(*MARK)
    run_folder.replace_file(path, lambda t: sheet.save(t, format="PNG", pnginfo=mark))
