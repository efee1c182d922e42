"""A folder of measured results: replaced whole, its JSON last, and nothing in it that is a person's own.

What a command measured is written to OUT/.results.tmp and moved up at the end: what was there before stays until then,
and a command that is killed leaves no numbers beside the pictures of others. Which files are an earlier command's, its
JSON says.
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
STAGE = ".results.tmp"
# Names of the files that a document stands for, itself not among them.
FilesOf = Callable[[Mapping[str, Any]], Iterable[str]]


def read(path: Path, expected: str, **kinds: type) -> dict[str, Any]:
    """A JSON object that a command wrote.

    Args:
        path: The file.
        expected: What it is, for messages.
        kinds: The type of each key that has to be there.

    Raises:
        InputError: It is missing, none, or lacks a key.
    """
    found = run_folder.read_json(path, expected)
    if wrong := [key for key, kind in kinds.items() if not isinstance(found.get(key), kind)]:
        raise InputError(f"{path}: expected {expected}, got one without {', '.join(wrong)}")
    return found


def evaluation_files(document: Mapping[str, Any]) -> set[str]:
    """What `trainer.evaluate` writes beside evaluation.json, of a ViT's run (`frozen`) or a Florence-2's."""
    splits = document["splits"]
    names = {PREDICTIONS, REPORT, "calibration.png", *(f"mistakes_{name}.png" for name in splits)}
    if "frozen" in document:
        names |= {"confusion.png", "detection.png", *(f"effects_{name}.png" for name in splits)}
    return names


def owned(out: Path, document: str, files_of: FilesOf) -> set[str]:
    """Names of the files in OUT that an earlier command wrote; also of one that was killed while it moved them."""
    found: set[str] = set()
    for place in (out / document, out / STAGE / document):
        try:
            named = files_of(json.loads(place.read_text(encoding="utf-8")))
            found |= {document, *(name for name in named if name == Path(name).name)}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # nothing there, or somebody else's
    return found


def check(out: Path, run: Path, document: str, files_of: FilesOf, wanted: Iterable[str]) -> None:
    """Whether results can be written into --out OUT; nothing in it is changed.

    Args:
        out: The folder of results that the user named, found a place by `options.check_place`.
        run: The run that is measured.
        document: Name of the JSON.
        files_of: What it stands for.
        wanted: Names that are going to be written beside it.

    Raises:
        InputError: It is the run's own folder, or has files of these names that no earlier command wrote.
    """
    if out.resolve() == run.resolve():
        raise InputError(f"--out {out}: expected a folder apart from the run's own files, got the run's")
    ours = owned(out, document, files_of)
    if strange := sorted(name for name in {document, *wanted} - ours if (out / name).exists()):
        raise InputError(
            f"--out {out}: expected a new folder or one of earlier results, got one whose {', '.join(strange)} "
            f"no {document} there names"
        )


@contextmanager
def replaced(out: Path, document: str, files_of: FilesOf) -> Iterator[Path]:
    """A folder to write results into; at the end they take the place of those that an earlier command left in OUT.

    Args:
        out: Made where it is missing.
        document: Name of the JSON, which is moved last.
        files_of: What it stands for.
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
    # Numbers without their pictures are true; pictures of other numbers are not.
    for name in (*sorted(earlier - {document}), document):
        (out / name).unlink(missing_ok=True)
    for path in sorted(stage.iterdir(), key=lambda path: path.name == document):
        os.replace(path, out / path.name)
    stage.rmdir()
