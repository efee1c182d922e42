"""A folder of results (evaluation, attention): a command replaces its earlier results as a whole, other files never.

A command writes its results to OUT/.results.tmp and moves them into OUT at the end, the JSON document last. Earlier
results stay until then, and a killed command never leaves new numbers beside earlier pictures, nor the reverse. The
earlier JSON document decides which files belong to earlier results.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.core import run_folder
from trainer.core.errors import InputError
from trainer.core.run_folder import REPORT

EVALUATION, PREDICTIONS = "evaluation.json", "predictions.csv"
OPERATING_POINTS = "operating_points.png"  # also in the run's own folder
STAGE = ".results.tmp"
# Gives the names of the files that belong to a JSON document of results, without the document.
FilesOf = Callable[[Mapping[str, Any]], Iterable[str]]


def read(path: Path, expected: str, **kinds: type) -> dict[str, Any]:
    """Read a JSON object that a command wrote.

    Args:
        path: The file.
        expected: Description of the file, for messages.
        kinds: Required keys with the types of their values.

    Raises:
        InputError: The file is missing or not a JSON object, or a key is missing or of another type.
    """
    found = run_folder.read_json(path, expected)
    if wrong := [key for key, kind in kinds.items() if not isinstance(found.get(key), kind)]:
        raise InputError(
            f"{path}: expected {expected}, got a file whose keys {', '.join(wrong)} are missing or of a wrong type"
        )
    return found


def evaluation_files(document: Mapping[str, Any]) -> set[str]:
    """Return the names of the files beside evaluation.json of a ViT or Florence-2; `document`: that file's content."""
    splits = document["splits"]
    names = {PREDICTIONS, REPORT, "calibration.png", OPERATING_POINTS, *(f"mistakes_{name}.png" for name in splits)}
    if "frozen" in document:  # of a ViT
        names |= {"confusion.png", "detection.png", *(f"effects_{name}.png" for name in splits)}
    return names


def owned(out: Path, document: str, files_of: FilesOf) -> set[str]:
    """Return the names of the files in OUT that an earlier run of the command wrote; they may be replaced.

    Files that a killed command had already moved into OUT are included.

    Args:
        out: The folder of results.
        document: Name of the JSON document, such as evaluation.json.
        files_of: Called with the document's content; returns the names of the other files that belong to it.
    """
    found: set[str] = set()
    for place in (out / document, out / STAGE / document):
        try:
            named = files_of(json.loads(place.read_text(encoding="utf-8")))
            found |= {document, *(name for name in named if name == Path(name).name)}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no document, or one of another program
    return found


def check(out: Path, run: Path, document: str, files_of: FilesOf, wanted: Iterable[str]) -> None:
    """Check that results can be written into --out OUT; changes nothing.

    Args:
        out: The folder of --out, checked by `run_folder.check_place`.
        run: Folder of the run that is measured.
        document: Name of the JSON document, such as evaluation.json.
        files_of: Called with the document's content; returns the names of the other files that belong to it.
        wanted: Names of the files to be written beside the document.

    Raises:
        InputError: OUT is the run's folder, or has a file with the name `document` or a name in `wanted` that this
            command did not write.
    """
    if out.resolve() == run.resolve():
        raise InputError(f"--out {out}: expected another folder than the run's (--model), got the run's folder")
    ours = owned(out, document, files_of)
    if strange := sorted(name for name in {document, *wanted} - ours if (out / name).exists()):
        raise InputError(
            f"--out {out}: expected an empty folder or earlier results of this command, got other files, whose names "
            f"the results need: {', '.join(strange)}; give another --out"
        )


@contextmanager
def replaced(out: Path, document: str, files_of: FilesOf) -> Iterator[Path]:
    """Yield a temporary folder for results; after the `with` block, unless it raises, they replace those in `out`.

    Args:
        out: The folder of results; it is made if missing.
        document: Name of the JSON document, such as evaluation.json, which is moved last.
        files_of: Returns the names of the files beside the document from its content.
    """
    earlier = owned(out, document, files_of)
    made, stage = not out.exists(), out / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        yield stage
    except BaseException:
        shutil.rmtree(out if made else stage, ignore_errors=True)
        raise
    # If killed from here on, numbers may lack their pictures, but no picture is left beside other numbers.
    for name in (*sorted(earlier - {document}), document):
        (out / name).unlink(missing_ok=True)
    for path in sorted(stage.iterdir(), key=lambda path: path.name == document):
        os.replace(path, out / path.name)
    stage.rmdir()
