"""The plan of an augmentation: one line per picture, yes or no per operation, in a CSV file that a person edits.

    file,height,width,cut,reverse,plus90,folder
    BENDNG/a001.png,480,640,no,yes,yes,../photos

`file` is a path below `folder`, or of a dataset the name of a row; `folder` is written as seen from the plan's own
place. Columns `light` and `warp` may follow. The source's own plans are read too: with `hight`, with an index column,
without `folder` (the plan's own then, or the one that --folder names).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from blender_scripts.contract.errors import InputError, shown
from generator.dataset.folder import read_rows, split_files
from generator.io.pictures import find_pictures, open_upright
from generator.io.processes import processes

OPERATIONS = ("cut", "reverse", "plus90", "light", "warp")
PROPOSED = ("cut", "reverse", "plus90")
CUT_WIDTH, CUT_RATIO = 600, 1.5
# What a folder of copies was made with.
SETTINGS = ".augment.json"
_YES = {
    "yes": True,
    "y": True,
    "1": True,
    "true": True,
    "no": False,
    "n": False,
    "0": False,
    "false": False,
    "": False,
}
_INDEX = {"", "index", "unnamed: 0", "no", "no."}
_COLUMNS = ("file", "height", "width", *PROPOSED)


@dataclass(frozen=True)
class Line:
    """One picture: its path below the folder or its row's name, its upright size in px, what to make of it."""

    file: str
    height: int
    width: int
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What to do with the pictures of a folder or the rows of a dataset."""

    folder: Path
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Options:
    """How to apply a plan.

    Attributes:
        seed: of all draws.
        trim: cut edges off at random.
        originals: put the originals, byte for byte, beside their copies.
        mirror_text: mirror pictures with print too; for datasets.
        workers: processes; None: one per core.
    """

    seed: int = 0
    trim: bool = True
    originals: bool = True
    mirror_text: bool = False
    workers: int | None = None


def proposal(width: int, height: int) -> tuple[str, ...]:
    """As the source has it: halves of what is wide and large, otherwise a flip and a turn."""
    return ("cut",) if width > CUT_WIDTH and width > CUT_RATIO * height else ("reverse", "plus90")


def plan_folder(folder: Path, more: tuple[str, ...] = (), workers: int | None = None) -> tuple[Plan, list[str]]:
    """Propose a plan for every picture below a folder, or every row of a dataset that has and is no copy.

    Args:
        folder: of pictures, or of a dataset.
        more: operations that every picture shall have besides, of `light` and `warp`.
        workers: processes; None: one per core.

    Returns:
        The plan, and what is wrong with pictures that it leaves out.

    Raises:
        InputError: no folder, or no picture in it.
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
                # A copy in validation or test measures nothing new: the user may still ask for it.
                (*proposal(row["width"], row["height"]), *more)
                if split == "train" and not row.get("original") and row["run"] not in done
                else (),
            )
            for split, row in rows
        ]
        return Plan(folder, tuple(lines)), []
    from tqdm import tqdm

    if (folder / SETTINGS).is_file():
        raise InputError(f"{folder}: expected the pictures that copies are made from, got a folder of copies")
    paths = find_pictures(folder)
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
    """Upright (W, H) of each picture, or what is wrong with it; decoded whole, as a truncated one has a size too."""
    found: list[tuple[int, int] | str] = []
    for path in paths:
        try:
            found.append(open_upright(path, path.relative_to(folder).as_posix()).size)
        except InputError as error:
            found.append(error.problems[0])
    return found


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan; columns beyond the source's own only where some line uses them."""
    used = [name for name in OPERATIONS if name in PROPOSED or any(name in x.operations for x in plan.lines)]
    folder = os.path.relpath(plan.folder.resolve(), path.resolve().parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    # With the mark that tells spreadsheets that it is UTF-8: names may be Japanese.
    with unfinished.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "height", "width", *used, "folder"])
        for line in plan.lines:
            answers = ["yes" if name in line.operations else "no" for name in used]
            writer.writerow([line.file, line.height, line.width, *answers, folder])
    unfinished.replace(path)


def read_plan(path: Path, folder: Path | None = None) -> Plan:
    """Read a plan that a person may have edited.

    Args:
        path: the CSV file.
        folder: where the pictures are, in place of what the plan says.

    Raises:
        InputError: everything that is wrong, by line and column.
    """
    header, rows = _read_table(path)
    lines: list[Line] = []
    problems: list[str] = []
    folders: dict[str, None] = {}
    seen: dict[str, int] = {}
    for number, cells in rows:
        where = f"{path}:{number}"
        if len(cells) != len(header):
            problems.append(f"{where}: expected {len(header)} cells, got {len(cells)}")
            continue
        cell = dict(zip(header, cells, strict=True))
        file = cell["file"]
        if file in seen:
            problems.append(f"{where} file: expected each picture once, got {shown(file)} as in line {seen[file]}")
        seen.setdefault(file, number)
        if "folder" in cell:
            folders[cell["folder"]] = None
        if line := _line(cell, where, problems):
            lines.append(line)
    if len(folders) > 1 and folder is None:
        problems.append(f"{path} folder: expected one folder, got {', '.join(map(shown, folders))}")
    if problems:
        raise InputError(problems[:100])
    if not lines:
        raise InputError(f"{path}: expected a line per picture, got none")
    found = folder if folder is not None else path.parent / next(iter(folders), "")
    if not found.is_dir():
        raise InputError(f"{path}: expected the folder {found}, got nothing there: give --folder")
    return Plan(found, tuple(lines))


def _read_table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header in our spelling, and the other lines that are not empty with their numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise InputError(f"{path}: expected a plan, got: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected CSV in UTF-8, got: {error}") from None
    names = [name.strip().lower() for name in rows[0]] if rows else []
    header = ["height" if name == "hight" else name for name in names]
    known = {*_COLUMNS, *OPERATIONS, "folder"}
    problems = [f"expected the column {name}, got none" for name in _COLUMNS if name not in header]
    problems += [
        f"expected one of {', '.join(sorted(known))}, got {shown(name)}"
        for at, name in enumerate(header)
        if name not in known and not (at == 0 and name in _INDEX)
    ]
    problems += [f"expected {name} once, got it twice" for name in known if header.count(name) > 1]
    if problems:
        raise InputError([f"{path}:1 header: {problem}" for problem in problems])
    return header, [(number, cells) for number, cells in enumerate(rows[1:], 2) if any(cells)]


def _line(cell: Mapping[str, str], where: str, problems: list[str]) -> Line | None:
    """A line's cells, by column; None where one is wrong, which `problems` then names."""
    wrong = []
    file = cell["file"]
    if not file or Path(file).is_absolute() or ".." in Path(file).parts:
        wrong.append(f"{where} file: expected a path below the folder, got {shown(file)}")
    wrong += [
        f"{where} {name}: expected px, at least 1, got {shown(cell[name])}"
        for name in ("height", "width")
        if not cell[name].strip().isdecimal() or int(cell[name]) < 1
    ]
    answers = {name: _YES.get(cell.get(name, "").strip().lower()) for name in OPERATIONS}
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
