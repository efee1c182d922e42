"""Run commands at the same time, and print their lines with the name of each in front.

    python3 .ci/side_by_side.py vit .venv/bin/python -m trainer.vit -- gauge .venv/bin/python -m trainer.gauge

If one fails, the others go on: their work is kept. The exit code is that of the first
command, in the order given, that failed (128 + n for signal n); 0 if none did.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from typing import IO

Named = tuple[str, list[str]]


def commands_of(words: list[str]) -> list[Named]:
    """Split the arguments `NAME COMMAND... -- NAME COMMAND...` into names and commands."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            parts.append([])
        else:
            parts[-1].append(word)
    return [(name, command) for name, *command in parts]


def _pass_on(name: str, lines: IO[str], lock: threading.Lock) -> None:
    """Print lines with the name in front, whole lines of one command after whole lines of another."""
    for line in lines:
        with lock, contextlib.suppress(OSError):  # nobody reads any more: the command must not wait for that
            sys.stdout.write(f"{name}: {line.rstrip()}\n")
            sys.stdout.flush()


def run(commands: list[Named]) -> int:
    """Run the commands to their ends; returns the exit code."""
    # Without this, Python buffers output to a pipe until the end.
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    lock, signals = threading.Lock(), list[int]()
    running: list[tuple[subprocess.Popen[str], threading.Thread]] = []

    def stop(number: int, frame: object) -> None:
        signals.append(number)
        if number == signal.SIGTERM:  # at an interrupt the terminal tells the commands, which say what is kept
            for process, _ in running:
                process.terminate()

    # Before the first command starts: a signal that comes while they start must end them too.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for name, command in commands:
        if signals:
            break
        with lock:
            print(f"{name}: $ {' '.join(map(shlex.quote, command))}", flush=True)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            encoding="utf-8",
            errors="backslashreplace",
        )
        reader = threading.Thread(target=_pass_on, args=(name, process.stdout, lock))
        reader.start()
        running.append((process, reader))
        if signal.SIGTERM in signals:  # it came between the start and the line above
            process.terminate()
    codes = []
    for process, reader in running:
        codes.append(process.wait())
        reader.join()
    code = next((code for code in codes if code), 0)
    if not code and signals and len(running) < len(commands):
        return 128 + signals[0]
    return 128 - code if code < 0 else code


def main() -> int:
    commands = commands_of(sys.argv[1:])
    missing = [command[0] for _, command in commands if shutil.which(command[0]) is None]
    for program in missing:
        print(f"{program}: expected a program, got no such file", file=sys.stderr)
    return 127 if missing else run(commands)


if __name__ == "__main__":
    sys.exit(main())
