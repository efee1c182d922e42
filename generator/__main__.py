"""`python -m generator COMMAND`: design, render and inspect pictures of connectors, and build datasets of them.

Each command is a module, imported only when it is called. Exit codes: 0 done; 2 wrong input, or a file that cannot be
read or written; 1 any other failure; 130 after Ctrl-C while a command's libraries are imported.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys

from blender_scripts.contract.errors import InputError, check_none_is_empty, grouped
from blender_scripts.contract.interrupt import LINE
from generator.rendering.failures import RenderError

COMMANDS = {
    "connectors": ("generator.doe.random_connectors", "write scene files of random connectors, to train for many"),
    "design": ("generator.doe.design", "make a balanced manifest from a SPEC of factors and levels"),
    "check": ("generator.doe.check", "check a manifest: mistakes, balance, number of pictures, time"),
    "preview": ("generator.rendering.preview", "render some rows of a manifest fast, on one contact sheet"),
    "render": ("generator.rendering.render", "render a manifest in worker processes"),
    "merge": ("generator.merge", "join the shards of renders or of a dataset, from several machines, verified"),
    "build": ("generator.dataset.build_command", "make a Hugging Face dataset with a card from a render folder"),
    "augment": ("generator.augmenting.augment", "make more pictures by a plan: halves, flips, turns, light"),
    "import": (
        "generator.interchange.importing",
        "make a dataset from labelled photographs, alone or mixed with renders",
    ),
    "export": ("generator.interchange.exporting", "write a dataset as COCO, YOLO or an image folder"),
    "push": ("generator.dataset.push", "upload a dataset to the Hugging Face Hub, in one commit"),
    "calibrate": ("generator.calibrating.calibrate", "find a camera's or rig's geometry from pictures of a target"),
    "match": ("generator.matching.match", "fit a scene's camera, light and sensor to photographs of good parts"),
    "inspect": ("generator.soart.inspect", "compare pictures with good ones (SOARTC), without training"),
    "report": ("generator.reporting.report", "write one HTML page about a dataset"),
}

# Commands that, interrupted and repeated, keep what they had finished; of `augment`, only the step `apply`.
_RESUMING = ("render", "merge", "build", "augment", "import")

# Extra that installs a package; all others are of the extra `data`.
_EXTRAS = {
    "bpy": "render",
    "mathutils": "render",
    "cv2": "calibrate",
    "sklearn": "match",
    "threadpoolctl": "match",
    "ray": "cluster",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command in `arguments` (None: those of this process) and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A file name may have bytes that are not UTF-8; printing it must not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # while modules were imported: later ones are caught below
        sys.stderr.write(LINE)
        return 128 + signal.SIGINT
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "blender_scripts", "generator"):
            raise
        extra = _EXTRAS.get(error.name or "", "data")
        install = f"pip install '.[{extra}]' in a clone of the repository"
        print(f"expected the extra {extra!r} ({install}), got {error}", file=sys.stderr)
        return 2


def _main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m generator", description=__doc__.split("\n", maxsplit=1)[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, meaning) in COMMANDS.items():
        command = commands.add_parser(name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
        if given[:1] == [name]:
            importlib.import_module(module).add_arguments(command)
    options = parser.parse_args(given)
    try:
        check_none_is_empty(given)
        code = int(importlib.import_module(COMMANDS[options.command][0]).run(options))
        sys.stdout.flush()  # here, so that a closed pipe is caught below
        return code
    except InputError as error:
        for problem in grouped(error.problems):
            print(problem, file=sys.stderr)
        return 2
    except RenderError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Python flushes once more when it exits, and would print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno is None:  # raised by a library, not about a file
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"{place}expected a file or folder that can be read and written, got: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        resumes = options.command in _RESUMING and getattr(options, "step", "apply") == "apply"
        then = "to resume" if resumes else "to start anew"
        print(f"interrupted: repeat the command {then}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
