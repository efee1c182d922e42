"""Announce a command, run it, and print a line whenever it has printed nothing for 8 s.

    python3 .ci/say_alive.py "install, about 2 minutes" .venv/bin/python -m pip install -e .

On a terminal the command gets a terminal too, so that it shows its progress bars. Runs on Python 3.8 or newer. The exit
code is the command's.
"""

import contextlib
import fcntl
import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

SILENCE_S = float(os.environ.get("PINSIGHT_SILENCE_S", 8))


def run(what: str, command: "list[str]") -> int:
    """Run `command` under the heading `what`, print its output, and return its exit code (128 + n for signal n)."""
    began = time.monotonic()
    print(f"\n== {what}\n$ {' '.join(map(shlex.quote, command))}", flush=True)
    if sys.stdout.isatty():
        reading, writing = pty.openpty()
        size = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
        attributes = termios.tcgetattr(writing)
        attributes[1] &= ~termios.OPOST  # else each line end would be converted twice: here and by the outer terminal
        termios.tcsetattr(writing, termios.TCSANOW, attributes)
    else:
        reading, writing = os.pipe()
    # Without this, Python buffers output to a pipe until the end.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    early = list[int]()
    signal.signal(signal.SIGTERM, lambda number, frame: early.append(number))  # while the command starts
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env=environment)
    os.close(writing)
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    if early:
        process.terminate()
    while True:
        try:
            if not select.select([reading], [], [], SILENCE_S)[0]:
                if process.poll() is not None:  # a child process of the command still holds the pipe
                    break
                print(f"   ... still running, {time.monotonic() - began:.0f} s", flush=True)
                continue
            data = os.read(reading, 65536)
        except KeyboardInterrupt:  # the command gets the interrupt too; its remaining output is still printed
            continue
        except OSError:  # end of output on a terminal
            break
        if not data:
            break
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    code = process.wait()
    return 128 - code if code < 0 else code


def main() -> int:
    what, *command = sys.argv[1:]
    try:
        return run(what, command)
    except FileNotFoundError:
        print(f"{Path(command[0])}: expected a program, got no such file", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main())
