"""Ties between the files of a gauge's run: uncertainty.json states the weights and the files that it belongs to.

Factors, errors and limits hold for the weights that they were learned with. With those of another run beside them, U
would be that of another network, and nothing would show it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.io.checksum import sha256_of
from generator.locating import factors, likeness
from trainer.core.adaptation_seal import FILE
from trainer.core.errors import InputError

UNCERTAINTY = "uncertainty.json"
KEYS = _WEIGHTS, _FILES = "weights_sha256", "files"
_GATES = "*/*/gates.npz"  # in a folder for each view


def tied(run: Path, weights: Path, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return uncertainty.json's content `stated` with the SHA-256 of the run's weights, errors, gates, likeness."""
    return {**stated, _WEIGHTS: sha256_of(weights), _FILES: _found(run)}


def remedy(run: Path) -> str:
    """Say which command writes the run's files that belong together: of an adapted run, none but an adaptation."""
    if (run / FILE).is_file():
        return "the run was adapted: adapt again with `python -m trainer.adapt`, which writes these files"
    return f"`python -m trainer.gauge --data DATASET --out {run} --resume` writes these files"


def check(run: Path, weights: Path, stated: Mapping[str, Any]) -> None:
    """Check that the run's weights, errors, gates and likeness are those that uncertainty.json states.

    Args:
        run: the run's folder.
        weights: file of its weights.
        stated: content of uncertainty.json; if it has no key `weights_sha256`, as in runs of earlier versions, nothing
            is checked.

    Raises:
        InputError: a file is another one, is missing or is new; the messages name it.
    """
    if not stated.keys() & set(KEYS):
        return
    place, again = run / UNCERTAINTY, remedy(run)
    digest, files = (stated.get(key) for key in KEYS)
    if digest != (own := sha256_of(weights)):
        raise InputError(
            f"{place} {_WEIGHTS}: expected that of {weights.name} beside it, {own}, got {digest}: one of the two "
            f"files is of another run; {again}"
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
    paths = [run / factors.FILE, run / likeness.FILE, *sorted(run.glob(_GATES))]
    return {path.relative_to(run).as_posix(): sha256_of(path) for path in paths if path.is_file()}
