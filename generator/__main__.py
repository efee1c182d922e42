"""`python -m generator COMMAND`: one module per command, imported only when it is called.

Exit codes: 0 done, 2 the user's input is wrong, 1 anything else.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from blender_scripts.contract.errors import InputError

COMMANDS = {
    "design": ("generator.doe.design", "a SPEC of factors and levels to a balanced manifest"),
    "check": ("generator.doe.check", "check a manifest: mistakes, balance, pictures, time"),
    "preview": ("generator.rendering.preview", "a contact sheet of some rows, rendered fast"),
    "render": ("generator.rendering.render", "render a manifest in worker processes"),
    "build": ("generator.dataset.build_command", "records to a Hugging Face dataset with its card"),
    "augment": ("generator.augmenting.augment", "more pictures by a plan: halves, flips, turns, light"),
    "import": (
        "generator.interchange.importing",
        "labelled photographs to a dataset, alone or mixed with renders",
    ),
    "export": ("generator.interchange.exporting", "a dataset as COCO, YOLO or an image folder"),
    "push": ("generator.dataset.push", "a dataset to the Hub, in one commit"),
    "inspect": ("generator.soart.inspect", "SOARTC: pictures against good ones; no training"),
    "report": ("generator.reporting.report", "one HTML page on a dataset"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m generator", description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, meaning) in COMMANDS.items():
        command = commands.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
        if given[:1] == [name]:
            importlib.import_module(module).add_arguments(command)
    options = parser.parse_args(given)
    try:
        code = int(importlib.import_module(COMMANDS[options.command][0]).run(options))
        sys.stdout.flush()  # here, where it is noticed that nobody reads on
        return code
    except InputError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Python would flush once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno is None:  # a library's own, no file's
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"{place}expected a file or folder that can be read and written, got: {error.strerror}",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
