"""Write docs/reference/commands.md, every command but the benchmarks with its options, from the commands' parsers.

python -m docs.commands
"""

import argparse
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from generator.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "commands.md"
TRAINER = {
    "trainer.vit": "trainer.vit.command",
    "trainer.florence2": "trainer.florence2.command",
    "trainer.gauge": "trainer.gauge.command",
    **{
        f"trainer.{name}": f"trainer.{name}"
        for name in ("adapt", "predict", "evaluate", "attention", "export", "report", "push")
    },
}
STUDIES = (
    "gates",
    "vit_learning",
    "detector_beside",
    "gauge_learning",
    "gauge_rr",
    "gauge_search",
    "reality_gap",
)
HEAD = """# Commands

These are all commands but the benchmarks, with their options. `--help` of a command prints the same texts, from which
`python -m docs.commands` writes this page.

- An option without a default is off, or nothing is set, if you omit it. `…`: one or more values.
- Two defaults: in `trainer.florence2`, `tiny` is that for `--model tiny`, `published` that for every other model.
- Exit codes: 0: done; 2: mistake in an option or file that you gave (the message says where, what was expected and what
  was found); 1: any other error; 1 or 2 if a file cannot be written; 130 after Ctrl-C while a command still starts, 1
  after a later Ctrl-C.
- *OK*: good; *NG*: not good. The page [words](../index.md#words) explains other words, such as *scene*, *manifest*,
  *record*, *run* and *gauge*.
"""
# The default at the end of a help text: "(default: X)", or the whole text.
DEFAULT = re.compile(r"\s*(?:^|\()default:? ([^()]+?)\)?$")


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command as a user types it, with its parser; of a command with subcommands, yield each subcommand."""
    for name, (module, _) in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"python -m generator {name}")
        importlib.import_module(module).add_arguments(parser)
        yield from _with_steps(f"python -m generator {name}", parser)
    for name, module in TRAINER.items():
        yield from _with_steps(f"python -m {name}", importlib.import_module(module).parser())
    yield from _with_steps("python -m studies", importlib.import_module("studies.__main__").parser())
    for name in STUDIES:
        yield from _with_steps(f"python -m studies.{name}", importlib.import_module(f"studies.{name}").parser())


def _with_steps(command: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    steps = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not steps:
        yield command, parser
    for action in steps:
        for name, step in action.choices.items():
            yield from _with_steps(f"{command} {name}", step)


def table(parser: argparse.ArgumentParser) -> list[str]:
    """Make the lines of a command's Markdown table, positional arguments before options."""
    lines = ["| option | default | meaning |", "|---|---|---|"]
    actions = [action for action in parser._actions if action.dest != "help" and action.help != argparse.SUPPRESS]
    for action in sorted(actions, key=lambda action: bool(action.option_strings)):
        meaning = _text(action)
        stated = DEFAULT.search(meaning)
        default = "required" if action.required and action.option_strings else ""
        if stated:
            meaning, default = meaning[: stated.start()], stated[1]
        elif action.nargs != 0 and action.default not in (None, [], argparse.SUPPRESS):
            default = str(action.default)
        lines.append(f"| {_name(action)} | {_cell(default)} | {_cell(meaning)} |")
    return lines


def _name(action: argparse.Action) -> str:
    values = f"{{{','.join(map(str, action.choices))}}}" if action.choices and not action.metavar else action.metavar
    metavar = " ".join(values) if isinstance(values, tuple) else values or action.dest.upper()
    several = " …" if action.nargs in ("+", "*") else ""
    if not action.option_strings:
        return f"`{metavar}`{several}"
    value = "" if action.nargs == 0 else f" {metavar}{several}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings).replace("|", "\\|")


def _text(action: argparse.Action) -> str:
    """An option's help text with its %-placeholders filled in, and paths relative to the repository."""
    formatter = argparse.HelpFormatter("")
    text = " ".join(formatter._expand_help(action).split()) if action.help else ""
    return text.replace(f"{ROOT}/", "")


def _cell(text: str) -> str:
    return text.replace(f"{ROOT}/", "").replace("|", "\\|").replace("<", "&lt;")


def page() -> str:
    """Make the Markdown text of docs/reference/commands.md."""
    parts = [HEAD]
    for command, parser in parsers():
        parts.append("\n".join([f"## `{command}`", "", *table(parser)]) + "\n")
    return "\n".join(parts)


def main() -> int:
    """Write the page; returns the exit code."""
    PAGE.write_text(page(), "utf-8")
    print(PAGE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
