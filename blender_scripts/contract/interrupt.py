"""Ctrl-C while a command of `python -m PACKAGE` imports its libraries, which takes seconds: one line, no traceback.

Later, each command catches it. Until then, nothing could: the modules that would are not imported yet.
"""

import sys
from types import TracebackType

LINE = "interrupted: repeat the command\n"


def one_line_at_start() -> None:
    """Say in one line that Ctrl-C interrupted the process; to be called first in the `__init__` of a package.

    Python then ends the process by SIGINT, which a shell reports as exit code 130. Nothing changes unless this package
    is imported as that of `python -m`.
    """
    if sys.argv[:1] == ["-m"]:
        sys.excepthook = _said


def _said(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write(LINE)
    else:
        sys.__excepthook__(kind, error, trace)
