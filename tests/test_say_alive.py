"""`.ci/say_alive.py` announces a command, passes on what it prints, and breaks its silence."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAY_ALIVE = ROOT / ".ci" / "say_alive.py"


def say_alive(*command: str, silence_s: float = 0.3) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SAY_ALIVE, "count, seconds", *command],
        env={**os.environ, "PINSIGHT_SILENCE_S": str(silence_s)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_silent_command_is_announced_and_followed():
    done = say_alive(sys.executable, "-c", "import time; print('one'); time.sleep(1); print('two')")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert lines[1] == "== count, seconds" and lines[2].startswith("$ ")
    assert re.search(r"one\n(   \.\.\. still running, \d+ s\n)+two\n$", done.stdout)


def test_a_talkative_command_is_left_alone():
    done = say_alive("sh", "-c", "for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done", silence_s=5)
    assert "still running" not in done.stdout
    assert done.stdout.endswith("1\n2\n3\n4\n5\n6\n")


def test_exit_codes_and_errors_are_the_command_s():
    done = say_alive("sh", "-c", "echo wrong >&2; exit 3")
    assert done.returncode == 3 and "wrong" in done.stdout
    assert say_alive("sh", "-c", "kill -9 $$").returncode == 137
    missing = say_alive("no-such-program")
    assert missing.returncode == 127 and missing.stderr == "no-such-program: expected a program, got no such file\n"


def test_a_terminal_stays_a_terminal_for_the_command():
    script = "import sys; print('terminal' if sys.stdout.isatty() else 'pipe')"
    in_terminal = (
        "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)",
        sys.executable,
        str(SAY_ALIVE),
        "look, seconds",
    )
    done = subprocess.run(
        [sys.executable, "-c", *in_terminal, sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "terminal", done
    assert say_alive(sys.executable, "-c", script).stdout.endswith("pipe\n")


def test_what_a_recipe_does_is_said_before_anything_else():
    for target in ("demo", "base", "test"):
        told = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
        first = next(line for line in told.stdout.splitlines() if not line.startswith("make["))
        assert re.match(rf'echo "make {target}: .*', first)
        assert re.search(r"[0-9]+ minutes on two", told.stdout)
