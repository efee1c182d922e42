"""Read and write the plan of an augmentation: a CSV file with one line per picture and yes or no per operation.

    file,height,width,cut,reverse,plus90,folder
    BENDNG/a001.png,480,640,no,yes,yes,../photos

`file` is a path relative to `folder`, or the run name of a dataset's row; `folder` is relative to the plan's folder.
The columns `light` and `warp` are optional. Plans in the form of the published QEUR23_VTRANS3 are read too: with a
column `hight`, with an index column, without `folder` (pictures are then in the plan's folder, or that of --folder).
"""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from blender_scripts.contract.csv_file import CsvRows, yes_or_no
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.text_file import read_text
from generator.dataset.folder import read_rows, split_files
from generator.io.file_names import existing
from generator.io.mask_files import note_on_masks, split_masks
from generator.io.output_file import write_whole
from generator.io.pictures import find_pictures, open_upright, passed_over
from generator.io.processes import processes

OPERATIONS = ("cut", "reverse", "plus90", "light", "warp")
PROPOSED = ("cut", "reverse", "plus90")
CUT_WIDTH, CUT_RATIO = 600, 1.5
# File in a folder of copies that holds the settings they were made with.
SETTINGS = ".augment.json"
_INDEX = {"index", "unnamed: 0", "no", "no."}
_COLUMNS = ("file", "height", "width", *PROPOSED)


@dataclass(frozen=True)
class Line:
    """A line of a plan: one picture.

    Attributes:
        file: the picture's path relative to its folder, or the run name of its row in a dataset.
        height, width: size of the upright picture, px.
        operations: operations that make its copies, such as `reverse`.
    """

    file: str
    height: int
    width: int
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """An augmentation plan: for each picture of a folder, or row of a dataset, the operations that make its copies.

    Attributes:
        folder: the folder of pictures or the dataset.
        lines: one line for each picture or row.
    """

    folder: Path
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Options:
    """Options for applying a plan.

    Attributes:
        seed: seed of all random choices.
        trim: cut strips of random width off the edges of halves, flipped and turned copies.
        originals: also write the originals, with unchanged pictures, beside their copies.
        mirror_text: also mirror pictures with print, or of which it is not known whether they have print; only the
            pictures of a dataset need this.
        workers: number of processes; None: one per core.
    """

    seed: int = 0
    trim: bool = True
    originals: bool = True
    mirror_text: bool = False
    workers: int | None = None


def proposal(width: int, height: int) -> tuple[str, ...]:
    """Propose operations for a picture of this size in px.

    These are halves if it is wider than 600 px and than 1.5 times its height (the limits of the published study
    QEUR23_VTRANS3), else a flip and a turn.
    """
    return ("cut",) if width > CUT_WIDTH and width > CUT_RATIO * height else ("reverse", "plus90")


def plan_folder(folder: Path, more: tuple[str, ...] = (), workers: int | None = None) -> tuple[Plan, list[str]]:
    """Propose operations for the pictures of a folder or a dataset.

    The plan of a dataset has a line for every row, with operations only for the rows of the training split that are not
    copies and have no copies. In a folder, masks of an anomaly data set are passed over, with a note on stderr.

    Args:
        folder: folder of pictures, or dataset.
        more: further operations for every picture that gets operations: `light`, `warp` or both.
        workers: number of processes; None: one per core.

    Returns:
        The plan, and one message per picture of a folder that cannot be read and is left out.

    Raises:
        InputError: `folder` is not a folder, has no pictures, or has copies that `generator augment` made.
    """
    if splits := split_files(folder):
        columns = ["run", "width", "height", "original"]
        rows = [(split, row) for split, paths in splits.items() for row in read_rows(paths, columns)]
        done = {row.get("original") for _, row in rows}
        lines = [
            Line(
                row["run"],
                row["height"],
                row["width"],
                # Copies in validation or test would measure nothing new; the user may still write yes.
                (*proposal(row["width"], row["height"]), *more)
                if split == "train" and not row.get("original") and row["run"] not in done
                else (),
            )
            for split, row in rows
        ]
        return Plan(folder, tuple(lines)), []
    from tqdm import tqdm

    if (folder / SETTINGS).is_file():
        raise InputError(f"{folder}: expected a folder of originals, got one of copies that `generator augment` made")
    paths, masks = split_masks(find_pictures(folder), folder)
    notes = [*note_on_masks(masks, folder), passed_over(folder)]
    sys.stderr.write("".join(f"{note}\n" for note in notes if note))
    lines, problems = [], []
    chunks = [paths[first : first + 64] for first in range(0, len(paths), 64)]
    with (
        processes(workers, len(chunks) > 4) as in_order,
        tqdm(total=len(paths), desc="pictures", unit="picture", disable=None) as bar,
    ):
        for chunk, found in in_order(_sizes, ((chunk, folder) for chunk in chunks)):
            for path, size in zip(chunk, found, strict=True):
                if isinstance(size, str):
                    problems.append(size)
                else:
                    name = path.relative_to(folder).as_posix()
                    lines.append(Line(name, size[1], size[0], (*proposal(*size), *more)))
            bar.update(len(chunk))
    return Plan(folder, tuple(lines)), problems


def _sizes(paths: list[Path], folder: Path) -> list[tuple[int, int] | str]:
    """Return (W, H), px, of each upright picture or a message; decodes it fully, as truncated files have a size too."""
    found: list[tuple[int, int] | str] = []
    for path in paths:
        try:
            found.append(open_upright(path, path.relative_to(folder).as_posix()).size)
        except InputError as error:
            found.append(error.problems[0])
    return found


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan as a CSV file; it has the columns `light` and `warp` only if a line has these operations."""
    used = [name for name in OPERATIONS if name in PROPOSED or any(name in x.operations for x in plan.lines)]
    folder = os.path.relpath(plan.folder.resolve(), path.resolve().parent)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["file", "height", "width", *used, "folder"])
    for line in plan.lines:
        answers = ["yes" if name in line.operations else "no" for name in used]
        writer.writerow([line.file, line.height, line.width, *answers, folder])
    # With the byte order mark by which spreadsheets recognise UTF-8, since names may be Japanese.
    write_whole(path, text.getvalue().encode("utf-8-sig"))


def read_plan(path: Path, folder: Path | None = None) -> Plan:
    """Read and check a plan, which a person may have edited.

    Args:
        path: the CSV file.
        folder: folder of the pictures; None: the one in the plan.

    Raises:
        InputError: its message lists every fault, by line and column.
    """
    problems: list[str] = []
    rows = _read_table(path, problems)
    lines: list[Line] = []
    folders: dict[str, None] = {}
    seen: dict[str, int] = {}
    for number, cell in rows:
        where = f"{path}:{number}"
        file = cell["file"].replace("\\", "/")
        if file in seen:
            problems.append(f"{where} file: expected each picture once, got {shown(file)} again (line {seen[file]})")
        seen.setdefault(file, number)
        if "folder" in cell:
            folders[cell["folder"]] = None
        if line := _line(cell, where, problems):
            lines.append(line)
    if len(folders) > 1 and folder is None:
        problems.append(
            f"{path}: expected the same value in every row of the column folder, got {', '.join(map(shown, folders))}: "
            "correct the plan, or give --folder"
        )
    if problems:
        raise InputError(problems[:100])
    if not lines:
        raise InputError(f"{path}: expected one line per picture below the header, got none")
    named = next(iter(folders), "")
    found = folder or existing(path.parent, named.replace("\\", "/")) or path.parent / named
    if not found.is_dir():
        raise InputError(f"{path}: expected the pictures in the folder {found}, got no such folder: give --folder")
    if not split_files(found):
        lines = [_there(line, found) for line in lines]
    return Plan(found, tuple(lines))


def _there(line: Line, folder: Path) -> Line:
    """Return a line with its picture's name as in the folder, for plans made on Windows (`\\`) or macOS."""
    path = existing(folder, line.file) or existing(folder, line.file.replace("\\", "/"))
    return line if path is None else replace(line, file=path.relative_to(folder).as_posix())


def _read_table(path: Path, problems: list[str]) -> list[tuple[int, dict[str, str]]]:
    """Read the lines below the header, each as its number and its cells by column; adds faults to `problems`.

    Raises:
        InputError: the file cannot be read, or its header is faulty.
    """
    known = {*_COLUMNS, *OPERATIONS, "folder"}
    _, text = read_text(path, str(path), "plan", "CSV in UTF-8")

    def wrong(line: int, column: str, expected: str, got: str) -> None:
        problems.append(f"{path}:{line} {column}: expected {expected}, got {got}")

    def refused(name: str) -> str | None:
        return None if name in known or name in _INDEX else f"one of {', '.join(sorted(known))}"

    rows = CsvRows(
        io.StringIO(text, newline=""), known, wrong, _COLUMNS, named=_column, refused=refused, exact=True, index=True
    )
    if problems or not rows.is_sound:
        raise InputError(problems)
    return list(rows)


def _column(cell: str) -> str:
    """The column that a cell of the header names: in lower case, with `hight` corrected."""
    name = cell.strip().lower()
    return "height" if name == "hight" else name


def _line(cell: Mapping[str, str], where: str, problems: list[str]) -> Line | None:
    """Make a Line of the cells (text by column); None if one is faulty, with a message added to `problems`."""
    wrong = []
    file, path = cell["file"], Path(cell["file"].replace("\\", "/"))
    if not file or path.is_absolute() or ".." in path.parts:
        wrong.append(f"{where} file: expected a path relative to the folder of the pictures, got {shown(file)}")
    wrong += [
        f"{where} {name}: expected a whole number of px, at least 1, got {shown(cell[name])}"
        for name in ("height", "width")
        if not cell[name].strip().isdecimal() or not 1 <= int(cell[name].strip()[:20]) < 10**9
    ]
    answers = {name: yes_or_no(cell.get(name, ""), empty=False) for name in OPERATIONS}
    wrong += [
        f"{where} {name}: expected yes or no, got {shown(cell[name])}"
        for name, answer in answers.items()
        if answer is None
    ]
    problems += wrong
    if wrong:
        return None
    chosen = tuple(name for name, answer in answers.items() if answer)
    return Line(file, int(cell["height"]), int(cell["width"]), chosen)
