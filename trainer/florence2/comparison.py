"""`--compare`: the same training in several modes, each in its own process, and a table of the results.

Data, seed, batches and budget (epochs, time limit) are equal. The modes differ in the parameters that train, and in the
learning rate if --lr is not given. Peak memory is that of each process, or of the GPU. The same command, repeated,
keeps finished modes and resumes an interrupted one.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from trainer.core import run_folder
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.run_folder import check_place
from trainer.core.settings import fields_of
from trainer.florence2.network import MODES
from trainer.florence2.run import LORA, DetectionConfig

TABLE = (
    *("name", "mode", "train_share", "trained_parameters", "parameters", "changed_parameters"),
    *("peak_memory_mb", "minutes", "epochs", "map", "map50", "map50_low", "map50_high", "false_boxes_per_ok_picture"),
)
FILES = ("compare.csv", "compare.json", "compare.png")
COMMAND = "command.json"
# Options that are not passed on to the runs: each gets its own --out.
OWN = ("--compare", "--out")
# Options refused beside --compare, and why.
WITHOUT = {
    "mode": "--compare states the modes",
    "train_share": "--compare states the shares, such as full:50",
    "push": "upload one of the runs with `python -m trainer.push`",
    "private": "upload one of the runs with `python -m trainer.push`",
}


def parse_modes(text: str) -> list[tuple[str, str, float | None]]:
    """Parse --compare, modes such as `lora,full:50`.

    Returns:
        For each run its name, mode, and largest percentage of parameters that train (None: no limit).

    Raises:
        InputError: A mode is unknown, a share is invalid, or a name is repeated.
    """
    found: list[tuple[str, str, float | None]] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\w+)(?::(\d+\.?\d*|\.\d+))?", part.strip())
        share = float(match[2]) if match and match[2] else None
        if (
            match is None
            or match[1] not in MODES
            or (share is not None and (match[1] == "lora" or not 0 < share <= 100))
        ):
            raise InputError(
                "--compare: expected modes such as full:50 (full, language or decoder, each with or without :PERCENT, "
                f"the share of the parameters to train) or lora, got {part!r}"
            )
        found.append((part.strip().replace(":", "-"), match[1], share))
    if len({name for name, _, _ in found}) != len(found):
        raise InputError(f"--compare: expected each mode once, got {text!r}")
    return found


def passed_on(argv: list[str], lora: bool) -> list[str]:
    """Return those words of the command line that a mode's run gets too; `--mode` and its own `--out` follow them.

    Args:
        argv: The words of the command line with --compare.
        lora: Whether the run's mode is lora.

    Returns:
        The words without `--compare`, `--out` (`OWN`) and, if not `lora`, LoRA's options; nor the values of these.
    """
    left_out = OWN if lora else (*OWN, *LORA)
    kept, skip = [], False
    for word in argv:
        if skip:
            skip = False
            continue
        name = word.partition("=")[0]
        if name in left_out:
            skip = "=" not in word
            continue
        kept.append(word)
    return kept


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that cannot be given with --compare, and those of LoRA if none of its modes is `lora`.

    Raises:
        InputError: Such an option is given, or --compare names no modes.
    """
    problems = [
        f"--{name.replace('_', '-')}: expected no such option beside --compare: {why}"
        for name, why in WITHOUT.items()
        if getattr(args, name)
    ]
    if not any(mode == "lora" for _, mode, _ in parse_modes(args.compare)):
        problems += [
            f"{option}: expected lora among the modes, got --compare {args.compare}"
            for option, name in LORA.items()
            if getattr(args, name) is not None
        ]
    if problems:
        raise InputError(problems)


def _row(name: str, run: Path) -> dict[str, Any]:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    split = next((s for s in summary["splits"] if s.startswith("test")), "validation")
    measured = summary["splits"][split]
    low, high = measured["map50_interval"] or (None, None)
    return {
        "name": name,
        "mode": summary["settings"]["mode"],
        "train_share": summary["settings"]["train_share"],
        "trained_parameters": summary["trained_parameters"],
        "parameters": summary["parameters"],
        "changed_parameters": sum(part["changed_parameters"] for part in summary["changed"].values()),
        "peak_memory_mb": summary["peak_memory_mb"],
        "minutes": summary["minutes"],
        "epochs": summary["epochs"],
        "map": measured["map"],
        "map50": measured["map50"],
        "map50_low": low,
        "map50_high": high,
        "false_boxes_per_ok_picture": measured["false_boxes_per_ok_picture"],
    }


def _runs(args: argparse.Namespace, argv: list[str]) -> dict[str, list[str]]:
    """Make the command line of each run, by the run's name; with --resume if the run exists."""
    modes = parse_modes(args.compare)
    out: Path = args.out
    _claim(out, args)
    runs = {}
    for name, mode, share in modes:
        words = [*passed_on(argv, mode == "lora"), "--mode", mode, "--out", str(out / name)]
        if share is not None:
            words += ["--train-share", str(share)]
        if (out / name / run_folder.CONFIG).is_file():
            words.append("--resume")
        runs[name] = words
    return runs


def _claim(out: Path, args: argparse.Namespace) -> None:
    """Accept OUT if it is new or if the same command made it, and write its command.json."""
    given = {
        name: str(value)
        for name, value in vars(args).items()
        if value is not None and value is not False and name not in ("out", "began")
    }
    given["data"] = str(args.data.resolve())
    if out.is_dir() and any(out.iterdir()):
        begun = run_folder.read_json(out / COMMAND, "--out to be new, or the folder of an earlier comparison")
        begun = {name: value for name, value in begun.items() if value != "False"}  # stored by earlier versions
        names = [
            name
            for name in {**begun, **given}
            if begun.get(name) != given.get(name) and name not in WITHOUT  # earlier versions accepted these
        ]
        options = {name: one.option for name, one in fields_of(DetectionConfig).items()}
        if names:
            raise InputError(
                [
                    f"{options.get(name) or '--' + name.replace('_', '-')}: expected "
                    f"{begun.get(name, 'no such option')}, as when the comparison {out} was started, got "
                    f"{given.get(name, 'none')}"
                    for name in names
                ]
            )
    check_place(out, args.data)
    out.mkdir(parents=True, exist_ok=True)
    run_folder.write_text(out / COMMAND, json.dumps(given, indent=2) + "\n")


def compare(args: argparse.Namespace, argv: list[str]) -> int:
    """Run each mode and write OUT/compare.csv, compare.json and compare.png; returns the exit code, 1 if a mode failed.

    Args:
        args: The command's parsed options; `compare`, `out` and `data` must have values.
        argv: The command line's words.

    Raises:
        InputError: The modes or other options are wrong; OUT has files, but this command with these options did not
            start it; or no mode was finished.
    """
    out: Path = args.out
    check_options(args)
    runs = _runs(args, argv)
    rows, failed = [], []
    for name, words in runs.items():
        if (out / name / "summary.json").is_file():
            say(f"{name}: already finished")
        else:
            say(f"{name}:")
            # In its own process, as peak memory is measured per process.
            command = [sys.executable, "-m", "trainer.florence2", *words]
            if code := subprocess.run(command, check=False).returncode:
                failed.append(f"{name} (exit {code})")
                continue
        rows.append(_row(name, out / name))
    if not rows:
        raise InputError(f"--compare: expected at least one run to finish, got only failures: {', '.join(failed)}")
    from trainer.florence2.plots import comparison

    table, numbers, picture = (out / name for name in FILES)
    run_folder.write_table(table, TABLE, rows)
    run_folder.write_text(numbers, json.dumps(rows, indent=2) + "\n")
    comparison(rows, picture)
    for row in rows:
        say(
            f"{row['name']:<14} mAP50 {'none' if row['map50'] is None else format(row['map50'], '.3f')}  "
            f"{row['trained_parameters']:>12,} parameters trained  peak memory {row['peak_memory_mb']:.0f} MB  "
            f"{row['minutes']:.1f} min"
        )
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
