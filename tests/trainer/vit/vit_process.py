"""A training command as a process of its own that can be killed, begun in a moment.

It is a fork of a server that has imported everything: seven starts with their imports would take a test half a minute.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from trainer.vit.command import main

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["trainer.vit", "trainer.core.plots", "datasets"])


Command = Callable[[list[str]], int]


def _whole_life(command: Command, arguments: list[str], environment: Mapping[str, str], said: Path) -> None:
    os.environ.update(environment)
    with said.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        sys.exit(command(arguments))


def start(arguments: list[str], said: Path, environment: Mapping[str, str] | None = None, command: Command = main):
    """Start the command; what it says is appended to `said`."""
    process = CONTEXT.Process(target=_whole_life, args=(command, arguments, dict(environment or {}), said))
    process.start()
    return process
