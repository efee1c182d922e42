"""Run Python in a process of its own, which has imported nothing yet."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
Done = subprocess.CompletedProcess[str]


def other_python(*words: object, cwd: Path = ROOT, check: bool = True, **environment: str) -> Done:
    """Run Python with these words and more variables in its environment; `check`: the exit code must be 0."""
    command = [sys.executable, *map(str, words)]
    own = {**os.environ, **environment}
    done = subprocess.run(
        command, cwd=cwd, env=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done
