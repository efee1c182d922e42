"""Apply a plan to a folder of pictures: write copies to the same subfolders, in one process per core.

Files are written atomically. If the command was interrupted and is repeated with the same plan and options, files that
are newer than their original are kept. Pictures that cannot be read are reported at the end; all others are copied.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.augmenting.before_after import Sheet
from generator.augmenting.copies import COPIES, copies
from generator.augmenting.plan import SETTINGS, Line, Options, Plan
from generator.io.output_file import LONGEST_NAME, check_folder, write_whole
from generator.io.pictures import open_upright
from generator.io.processes import processes

_CHUNK = 16


@dataclass
class Done:
    """Counts of an augmented folder.

    Attributes:
        pictures: number of pictures in the plan.
        written, kept: number of files written, and of files that an earlier command had written.
        problems: one message per picture that could not be copied.
    """

    pictures: int = 0
    written: int = 0
    kept: int = 0
    problems: list[str] = field(default_factory=list)


def apply_to_folder(plan: Plan, to: Path, sheet: Path, options: Options) -> Done:
    """Write the copies that a plan of a folder of pictures asks for, and the originals unless options leave them out.

    Returns the counts. Pictures that cannot be copied raise no error; `Done.problems` has a message on each.

    Args:
        plan: plan of a folder of pictures.
        to: folder to write into; new, empty, or written by an earlier command with the same plan and options.
        sheet: file of the before-and-after sheet (some originals, each beside its copies).
        options: options of the command.

    Raises:
        InputError: one folder contains the other, `to` holds other files, or two files would have the same name.
    """
    check_place(plan.folder, to)
    names = _names(plan)
    lines = hashlib.sha256(repr(plan.lines).encode()).hexdigest()
    settings = {
        "folder": str(plan.folder.resolve()),
        "plan": lines,
        "seed": options.seed,
        "trim": options.trim,
        "originals": options.originals,
    }
    _claim(to, settings)
    done = Done()
    work = [
        (plan.lines[first : first + _CHUNK], plan.folder, to, names, options)
        for first in range(0, len(plan.lines), _CHUNK)
    ]
    with (
        processes(options.workers, len(work) > 2) as in_order,
        tqdm(total=len(plan.lines), desc="pictures", unit="picture", disable=None) as bar,
    ):
        for lines, (written, kept, problems) in in_order(_apply_chunk, work):
            done.pictures += len(lines)
            done.written += written
            done.kept += kept
            done.problems += problems
            bar.update(len(lines))
    _draw_sheet(plan, to, names, sheet, options)
    return done


def _apply_chunk(
    lines: tuple[Line, ...], folder: Path, to: Path, names: dict[str, str], options: Options
) -> tuple[int, int, list[str]]:
    written = kept = 0
    problems: list[str] = []
    for line in lines:
        try:
            made, there = _apply_line(line, folder, to, names[line.file], options)
        except InputError as error:
            problems += error.problems
            continue
        written, kept = written + made, kept + there
    return written, kept, problems


def _apply_line(line: Line, folder: Path, to: Path, name: str, options: Options) -> tuple[int, int]:
    source = folder / line.file
    try:
        made_at = source.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{line.file}: expected the picture of the plan, got: {error.strerror}") from None

    def is_there(path: Path) -> bool:
        return path.is_file() and path.stat().st_mtime_ns > made_at

    targets = _targets(line, to, name)
    for path in (*targets.values(), *([to / line.file] if options.originals else [])):
        if len(os.fsencode(path.name)) > LONGEST_NAME:
            raise InputError(
                f"{line.file}: expected a shorter name, got one with which a copy's name, {path.name}, exceeds "
                f"{LONGEST_NAME} bytes: rename the file"
            )
    wanted = {copy: path for copy, path in targets.items() if not is_there(path)}
    original = to / line.file
    copy_original = options.originals and not is_there(original)
    if not wanted and not copy_original:
        return 0, len(targets) + options.originals
    picture = open_upright(source, line.file)
    if picture.size != (line.width, line.height):
        raise InputError(
            f"{line.file}: expected {line.width} x {line.height} px as in the plan, got "
            f"{picture.width} x {picture.height}: make a new plan, and give another folder with --to"
        )
    pixels = np.asarray(picture)
    for copy in copies(line.operations, picture.size, options.seed, line.file, options.trim):
        if copy.name in wanted:
            write_whole(wanted[copy.name], _png(copy.pixels(pixels)))
    if copy_original:
        write_whole(original, source.read_bytes())
    written = len(wanted) + copy_original
    return written, len(targets) + options.originals - written


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _targets(line: Line, to: Path, name: str) -> dict[str, Path]:
    copies_made = [
        copy for operation in line.operations for copy in COPIES[operation] if not (copy == "left" and line.width < 2)
    ]
    return {copy: to / Path(line.file).parent / f"{name}_{copy}.png" for copy in copies_made}


def _names(plan: Plan) -> dict[str, str]:
    """Return the stem of the copies' file names by picture: its own, with the suffix if others differ only in that."""
    stems = Counter(str(PurePosixPath(line.file).with_suffix("")) for line in plan.lines)
    names = {}
    for line in plan.lines:
        path = PurePosixPath(line.file)
        several = stems[str(path.with_suffix(""))] > 1
        names[line.file] = path.name.replace(".", "_") if several else path.stem
    taken: dict[str, str] = {line.file: line.file for line in plan.lines}
    problems = []
    for line in plan.lines:
        for target in _targets(line, Path(), names[line.file]).values():
            other = taken.setdefault(target.as_posix(), line.file)
            if other != line.file:
                problems.append(
                    f"{line.file}: expected a name for its copy that no other file gets, got {target.as_posix()}, "
                    f"the name of {other} or of a copy of it: rename one of these two pictures"
                )
    if problems:
        raise InputError(problems)
    return names


def check_place(folder: Path, to: Path) -> None:
    """Check that the output folder `to` neither contains `folder`, the folder of the originals, nor lies in it.

    Raises:
        InputError: one of the two folders contains the other.
    """
    inner, outer = folder.resolve(), to.resolve()
    if outer == inner or outer.is_relative_to(inner) or inner.is_relative_to(outer):
        raise InputError(f"--to {to}: expected a folder apart from {folder}, got one that lies in it or contains it")


def _claim(to: Path, settings: Mapping[str, Any]) -> None:
    check_folder(to, "--to")
    note, mine = to / SETTINGS, json.dumps(settings)
    # An interrupted command may have left only the unfinished file of its settings.
    if to.is_dir() and any(path.name != f".{SETTINGS}.part" for path in to.iterdir()):
        found = note.read_text("utf-8") if note.is_file() else None
        if found != mine:
            raise InputError(
                f"--to {to}: expected a new or empty folder, or one made with this plan and these options, got "
                f"{_other(found, settings)}: choose another folder"
            )
    to.mkdir(parents=True, exist_ok=True)
    write_whole(note, mine.encode())
    for left in to.rglob(".*.part"):
        left.unlink()


def _other(found: str | None, settings: Mapping[str, Any]) -> str:
    """Describe a folder that this command may not write into, from the settings file found in it."""
    try:
        made = json.loads(found or "")
        differing = [
            "another plan" if key == "plan" else f"{key} {made[key]}"
            for key, value in settings.items()
            if made[key] != value
        ]
    except (ValueError, KeyError, TypeError):
        return "one with other files in it"
    return f"one that was made with {', '.join(differing)}"


def _draw_sheet(plan: Plan, to: Path, names: dict[str, str], path: Path, options: Options) -> None:
    sheet = Sheet()
    for line in plan.lines:
        targets = _targets(line, to, names[line.file])
        if not sheet.wants(PurePosixPath(line.file).parent.as_posix(), line.operations):
            continue
        if not targets or not all(map(os.path.isfile, targets.values())):  # a copy may have failed
            continue
        files = {line.file: plan.folder / line.file, **targets}
        sheet.add([(name, open_upright(file, file.name), ()) for name, file in files.items()])
    sheet.save(path)
