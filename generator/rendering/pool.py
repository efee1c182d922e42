"""A pool of renderer processes.

Each worker is a Blender process that reads row numbers and answers each with a line of JSON. A worker that ends
unexpectedly is replaced, and its row is tried once more. A worker that has rendered many rows is replaced as well
(recycled). Pictures do not depend on the worker that renders them.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from generator.rendering.failures import ending, not_started, refusal
from generator.rendering.progress import PictureProgress

_TRIES = 2
# Seconds that a renderer has to end after SIGTERM.
PATIENCE_S = 5.0


@dataclass
class Worker:
    """One renderer process.

    Attributes:
        process: the process.
        log: file with the standard error of the process.
        served: number of rows that the process has answered.
    """

    process: subprocess.Popen[str]
    log: IO[str]
    served: int = 0

    def ask(self, row: int) -> dict[str, Any] | None:
        """Let the process render a row, given its number from 0; returns its answer, None if the process ended.

        The answer's `problem` is a message if the row failed, else None; its `rendered` is false if the row failed or
        its files were there already.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(f"{row}\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return None
        for line in self.process.stdout:
            if line.startswith("{"):  # Blender also prints other lines on standard output.
                self.served += 1
                answer: dict[str, Any] = json.loads(line)
                return answer
        return None

    def stop(self) -> None:
        """Tell the process to end, wait until it has, and close its log."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()
        self.log.close()

    def exit_code_and_lines(self) -> tuple[int, list[str]]:
        """Wait for the end of the process; returns its exit code, and the lines of its standard error."""
        code = self.process.wait()
        self.log.seek(0)
        return code, [line.strip() for line in self.log.read().splitlines() if line.strip()]


class WorkerSlot:
    """One renderer process at a time, which is replaced when it ends unexpectedly and after many rows.

    Args:
        command: command that starts a renderer, which then reads row numbers from its standard input.
        recycle: number of rows after which the process is replaced by a new one.
        scratch: folder for the renderer's temporary files; the caller removes it, also after a renderer was killed.
    """

    def __init__(self, command: list[str], recycle: int, scratch: Path) -> None:
        self._command, self._recycle, self._scratch = command, recycle, scratch
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self._stopping = False

    def render(self, row: int) -> tuple[dict[str, Any] | None, str]:
        """Let the process render one row; if the process ends, a new one tries once more.

        Returns:
            The answer (keys `problem`, `rendered`; see `Worker.ask`) and an empty text. If there is none: None and how
            the last process ended, or None and an empty text after `end`.

        Raises:
            InputError: the renderer refuses to work, for example because its Blender is too old.
        """
        cause = ""
        for _ in range(_TRIES):
            worker = self._worker or self._start()
            answer = worker.ask(row) if worker else None
            if worker is None or (answer is None and self._stopping):
                return None, ""
            if answer is not None:
                if worker.served >= self._recycle:
                    self.close()
                return answer, ""
            code, lines = worker.exit_code_and_lines()
            self.close()
            if code == 2:
                raise refusal(self._command, lines)
            cause = ending(code, lines)
        return None, cause

    def close(self) -> None:
        """Tell the process to end, and wait until it has."""
        if self._worker is not None:
            self._worker.stop()
            with self._lock:
                self._worker = None

    def end(self, kill: bool = False) -> None:
        """End the process, and start no other: with SIGTERM, so that it can clean up, or with SIGKILL."""
        with self._lock:
            self._stopping = True
            if self._worker is not None:
                self._worker.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)

    def _start(self) -> Worker | None:
        log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (closed with its worker)
        with self._lock:
            if self._stopping:
                log.close()
                return None
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    errors="replace",
                    bufsize=1,
                    env={**os.environ, "TMPDIR": str(self._scratch)},
                )
            except OSError as error:
                log.close()
                raise not_started(self._command, error) from None
            self._worker = Worker(process, log)
        return self._worker


@dataclass
class Pool:
    """Renderer processes (workers) that render the rows of a manifest.

    Args:
        command: command that starts a renderer, which then reads row numbers from its standard input.
        rows: numbers of the rows to render, counted from 0.
        names: run name of each row of the manifest, for messages.
        recycle: number of rows after which a worker is replaced by a new one.
        scratch: folder for the renderers' temporary files; the caller removes it.

    Attributes:
        rendered: number of rows that were rendered.
        kept: number of rows whose files were finished already.
        problems: a message for each row that failed.
    """

    command: list[str]
    rows: list[int]
    names: list[str]
    recycle: int
    scratch: Path
    rendered: int = 0
    kept: int = 0
    problems: list[str] = field(default_factory=list)

    def work(self, count: int) -> None:
        """Render all rows with `count` processes at a time; all are stopped before an error or Ctrl-C is passed on.

        Raises:
            InputError: the renderer refuses to work, for example because its Blender is too old, or cannot be started.
        """
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for row in self.rows:
            self._waiting.put(row)
        self._lock = threading.Lock()
        self._stopping = False
        self._error: BaseException | None = None
        slots = [WorkerSlot(self.command, self.recycle, self.scratch) for _ in range(count)]
        with PictureProgress(len(self.rows)) as self._bar:
            threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in slots]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    while thread.is_alive() and not self._stopping:
                        thread.join(0.2)
            finally:
                self._stop_all(slots, threads)
        if self._error is not None:
            raise self._error

    def _stop_all(self, slots: list[WorkerSlot], threads: list[threading.Thread]) -> None:
        """End all processes: with SIGTERM, so that a renderer can clean up, and after PATIENCE_S with SIGKILL."""
        self._stopping = True
        for slot in slots:
            slot.end()
        patience = time.monotonic() + PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, patience - time.monotonic()))
        for slot in slots:
            slot.end(kill=True)
        for thread in threads:
            thread.join()

    def _serve(self, slot: WorkerSlot) -> None:
        try:
            while not self._stopping:
                try:
                    row = self._waiting.get_nowait()
                except queue.Empty:
                    break
                self._note(row, *slot.render(row))
            slot.close()
        except BaseException as error:  # raised again in the main thread
            self._error = self._error or error
            self._stopping = True

    def _note(self, row: int, answer: dict[str, Any] | None, cause: str) -> None:
        with self._lock:
            if answer is None:
                if not self._stopping:
                    self.problems.append(f"{self.names[row]}: {cause}")
            elif answer["problem"]:
                self.problems.append(str(answer["problem"]))
            elif answer["rendered"]:
                self.rendered += 1
            else:
                self.kept += 1
            self._bar.update()
