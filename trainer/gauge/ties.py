"""Ties between the files of a gauge's run: uncertainty.json states the weights and the files that it belongs to.

Factors, errors and limits hold for the weights that they were learned with. With those of another run beside them, U
would be that of another network, and nothing would show it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.io.checksum import sha256_of
from generator.locating import factors, likeness
from trainer.core.errors import InputError
from trainer.core.run_folder import BEST, read_json, write_json
from trainer.gauge.gates import FOLDER

UNCERTAINTY = "uncertainty.json"
KEYS = _WEIGHTS, _FILES = "weights_sha256", "files"


def tie(run: Path) -> None:
    """Add the SHA-256 of the run's weights, errors, gates and likeness to RUN/uncertainty.json; call it last.

    Raises:
        InputError: uncertainty.json is missing or damaged.
    """
    stated = read_json(run / UNCERTAINTY, "the uncertainty of a gauge's run")
    write_json(run / UNCERTAINTY, {**stated, _WEIGHTS: sha256_of(run / BEST), _FILES: _found(run)})


def check(run: Path, stated: Mapping[str, Any]) -> None:
    """Check that the run's weights, errors, gates and likeness are those that uncertainty.json states.

    Args:
        run: the run's folder, with its weights.
        stated: content of uncertainty.json; if it has no key `weights_sha256`, as in runs of earlier versions, nothing
            is checked.

    Raises:
        InputError: a file is another one, is missing or is new; the messages name it.
    """
    if not stated.keys() & set(KEYS):
        return
    place, again = (
        run / UNCERTAINTY,
        f"`python -m trainer.gauge --data DATASET --out {run} --resume` writes these files",
    )
    weights, files = (stated.get(key) for key in KEYS)
    if weights != (own := sha256_of(run / BEST)):
        raise InputError(
            f"{place} {_WEIGHTS}: expected that of {BEST} beside it, {own}, got {weights}: one of the two files is of "
            f"another run; {again}"
        )
    if not isinstance(files, dict):
        raise InputError(f"{place} {_FILES}: expected the SHA-256 of the run's files by name, got {files!r}; {again}")
    found = _found(run)
    problems = []
    for name in sorted(found.keys() | files.keys()):
        if found.get(name) != files.get(name):
            expected = f"the file of SHA-256 {files[name]}" if name in files else "no file"
            got = "another file" if name in found else "no such file"
            problems.append(f"{run / name}: expected {expected}, as {UNCERTAINTY} states, got {got}; {again}")
    if problems:
        raise InputError(problems)


def _found(run: Path) -> dict[str, str]:
    """SHA-256 of the files, beside uncertainty.json and weights, that verdicts follow from, by path in the run."""
    paths = [run / factors.FILE, run / likeness.FILE, *sorted((run / FOLDER).glob("*/gates.npz"))]
    return {path.relative_to(run).as_posix(): sha256_of(path) for path in paths if path.is_file()}
