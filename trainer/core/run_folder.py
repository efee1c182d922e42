"""The files that every kind of run has, written and read without executing code from them.

    RUN/config.json           `format`, `version`, the training's settings, and keys of the kind of run
    RUN/metrics.csv           one line per epoch
    RUN/best.safetensors      weights of the best epoch
    RUN/last.safetensors      weights of the last epoch (ViT)
    RUN/state.safetensors     state of the training for --resume: see `trainer.core.state`

Every file is written to a temporary name and renamed.
"""

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from blender_scripts.contract.errors import shown
from blender_scripts.contract.output_path import check_parents, check_writable
from blender_scripts.contract.tolerance import stated_tolerance
from generator.io.csv_text import csv_text
from generator.io.json_text import parse_json
from trainer.core.errors import InputError, as_input_error

CONFIG, BEST, LAST, STATE = "config.json", "best.safetensors", "last.safetensors", "state.safetensors"
METRICS, SUMMARY, REPORT = "metrics.csv", "summary.json", "report.html"
TOLERANCE = "tolerance"  # key of config.json
Row = dict[str, object]


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` write a file under a temporary path, then rename it to `path`; a failure leaves no temporary file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically: a reader never sees half of it."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically; bytes of file names that are not UTF-8 become escapes such as `\\udce4`.

    `os.fsencode` of a name that was read from such a file gives these bytes again.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_text(path, re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text))


def _parsed(path: Path) -> Any:
    """Parse a JSON file; raises OSError or ValueError (not JSON in UTF-8, nested too deeply, a key twice)."""
    return parse_json(path.read_text(encoding="utf-8"))


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a JSON object from a file; `expected` describes the file in messages.

    Raises:
        InputError: The file is missing or is not a JSON object.
    """
    try:
        found = _parsed(path)
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: expected {expected}, got {e}") from e
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected {expected}, got {type(found).__name__}")
    return found


def recorded_tolerances(run: Path) -> dict[str, Any] | None:
    """Read the tolerance (limits in mm) by scene from RUN/config.json; None if it is not recorded.

    Raises:
        InputError: The file is damaged, or a limit is; the message names file and key.
    """
    path = run / CONFIG
    if not path.is_file():
        return None
    found = read_json(path, "a run's configuration").get(TOLERANCE)
    if not isinstance(found, dict | None):
        raise InputError(f"{path} {TOLERANCE}: expected limits in mm by scene, got {shown(found)}")
    for scene, limits in (found or {}).items():
        try:
            stated_tolerance(limits, f"{path} {TOLERANCE}.{scene}")
        except ValueError as e:
            raise InputError(str(e)) from None
    return found or None


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write `rows` as CSV, atomically: floats with six significant digits, None and missing keys as empty cells."""
    written = ({key: f"{cell:.6g}" if isinstance(cell, float) else cell for key, cell in row.items()} for row in rows)
    write_text(path, csv_text(columns, written))


def write_metrics(run: Path, rows: Sequence[Row]) -> None:
    """Write `rows`, one line per epoch, into RUN/metrics.csv, atomically."""
    write_table(run / METRICS, list(rows[-1]), rows)


def read_metrics(run: Path, epochs: int) -> list[Row]:
    """Read the first `epochs` lines of RUN/metrics.csv, texts by column; for 0 epochs the file need not exist.

    Raises:
        InputError: The file is missing or has fewer lines.
    """
    if epochs == 0:
        return []
    path = run / METRICS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[Row] = [dict(row) for row in csv.DictReader(file)]
    except OSError as e:
        raise InputError(f"{path}: expected the metrics of {epochs} epochs, got {e}") from e
    if len(rows) < epochs:
        raise InputError(f"{path}: expected the metrics of {epochs} epochs, got those of {len(rows)}")
    return rows[:epochs]


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors, by name, and metadata as a safetensors file, atomically."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda temporary: save_file(held, temporary, metadata=dict(metadata)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file; returns its tensors by name, and its metadata.

    Raises:
        InputError: The file is missing or not in safetensors format (a pickle, for example).
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except FileNotFoundError:
        kind = (format_of(path.parent) or "").removeprefix("pinsight-")
        if kind and path.name == BEST:
            raise InputError(
                f"{path.parent}: expected a trained model, got a training that has saved none yet: resume it with "
                f"`python -m trainer.{kind} --resume --out {path.parent}`"
            ) from None
        raise InputError(f"{path}: expected a safetensors file, got no such file") from None
    except (SafetensorError, OSError, ValueError) as e:
        raise InputError(f"{path}: expected a safetensors file, got {e}") from e


def format_of(run: Path) -> str | None:
    """Return the `format` in a run's config.json; None if that file is missing or cannot be read."""
    try:
        document = _parsed(run / CONFIG)
    except (OSError, ValueError):
        return None
    return document.get("format") if isinstance(document, dict) else None


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], place: str) -> None:
    """Load tensors, with the names and shapes of the network's own, into a network; messages begin with `place`.

    Raises:
        InputError: A tensor is unknown, missing or of another shape.
    """
    own = model.state_dict()
    problems = [f"{place}: unknown tensor {name!r}" for name in sorted(set(tensors) - set(own))]
    problems += [f"{place}: tensor {name!r} is missing" for name in sorted(set(own) - set(tensors))]
    problems += [
        f"{place}: tensor {name!r}: expected shape {tuple(own[name].shape)}, got {tuple(tensors[name].shape)}"
        for name in sorted(set(own) & set(tensors))
        if own[name].shape != tensors[name].shape
    ]
    if problems:
        raise InputError(problems)
    model.load_state_dict(dict(tensors))


def read_config(path: Path, run_format: str, version: int, keys: Iterable[str]) -> dict[str, Any]:
    """Read a run's config.json and return its content; the values are not checked.

    Args:
        path: The config.json.
        run_format, version: The expected `format` and `version`.
        keys: Keys that the file may have beside `format` and `version`.

    Raises:
        InputError: The file is missing, not JSON, of another format or version, or has unknown keys.
    """
    try:
        document = _parsed(path)
    except FileNotFoundError:
        raise InputError(f"{path}: expected a trained run's config.json, got no such file") from None
    except NotADirectoryError:
        raise InputError(f"{path.parent}: expected the folder of a trained run, got a file") from None
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: expected JSON, got {e}") from e
    if not isinstance(document, dict) or document.get("format") != run_format or document.get("version") != version:
        found = [document.get(key) for key in ("format", "version")] if isinstance(document, dict) else "no object"
        raise InputError(f"{path}: expected format and version {[run_format, version]}, got {found}")
    if unknown := set(document) - {"format", "version", *keys}:
        raise InputError(f"{path}: expected only the keys of a run of this kind, got also {sorted(unknown)}")
    return document


def check_place(out: Path, data: Path | None = None) -> None:
    """Check that the folder of --out exists or can be made; changes nothing.

    Args:
        out: The folder.
        data: The dataset, in which `out` may not lie; None: it is not known, or not asked.

    Raises:
        InputError: `out` or a folder above it is a file, more than one of the folders above it is missing, nothing can
            be written there, or it lies in the dataset.
    """
    if data is not None and out.resolve().is_relative_to(data.resolve()):
        raise InputError(
            f"--out {out}: expected a folder outside of the dataset {data}, got one in it: another `build` there would "
            "delete it"
        )
    for place in (out, *out.parents):
        if place.is_dir():
            break
        if place.exists() or place.is_symlink():
            got = "a file" if place == out else f"the file {place} in its path"
            raise InputError(f"--out {out}: expected a folder, got {got}")
    with as_input_error():
        check_parents(out, "--out")
        check_writable(out, f"--out {out}")


def check_folder(run: Path, resume: bool, overwrite: bool, run_format: str, data: Path | None = None) -> None:
    """Check that a training may write into a run's folder; changes nothing.

    Args:
        run: The folder.
        resume, overwrite: Whether these options were given.
        data: The dataset, in which `run` may not lie.
        run_format: The `format` in config.json of this trainer's runs.

    Raises:
        InputError: The folder is a file, or has files although neither --resume nor --overwrite was given, or has no
            run of this trainer although --overwrite was given.
    """
    check_place(run, None if resume else data)
    # A training that was killed at its start left only the unfinished config.json, which cannot be resumed.
    if resume or not run.is_dir() or all(path.match(f".{CONFIG}.*.tmp") for path in run.iterdir()):
        return
    if not overwrite:
        raise InputError(
            f"--out {run}: expected a new or empty folder, got one with files: give --resume to continue its training, "
            "--overwrite to replace it, or another --out"
        )
    if not (run / CONFIG).is_file():
        raise InputError(f"--overwrite {run}: expected the folder of an earlier run, got one without config.json")
    # Other programs write a config.json too: the files beside theirs must not be removed.
    if (found := format_of(run)) != run_format:
        raise InputError(
            f"--overwrite {run}: expected an earlier run, whose config.json has the format {run_format!r}, "
            f"got {found!r}"
        )


def take_folder(
    run: Path, overwrite: bool, files: Sequence[str], folders: Sequence[str], kept: Sequence[str] = ()
) -> None:
    """Make a run's folder, or clean it: temporary files of a killed run are removed, with `overwrite` its results too.

    config.json stays until the new one replaces it, so that the folder can be recognised as a run's at any time.

    Args:
        run: The folder, checked by `check_folder`.
        overwrite: Whether to remove an earlier run's `files` and `folders`.
        files, folders: Names of all files and folders that a run of this kind has.
        kept: Names of `files` that the new run has already written; they stay.
    """
    if overwrite:
        for name in set(files) - {CONFIG, *kept}:
            (run / name).unlink(missing_ok=True)
        for name in folders:
            shutil.rmtree(run / name, ignore_errors=True)
    run.mkdir(parents=True, exist_ok=True)
    for name in files:
        for left in run.rglob(f".{name}.*.tmp"):
            left.unlink(missing_ok=True)
