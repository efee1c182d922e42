"""`python -m generator render`: a manifest through a pool of renderer processes.

Each worker is a Blender that is fed row numbers and answers with a line of JSON; a worker that dies is replaced and its
row tried once more, one that has rendered many rows is recycled. Pictures do not depend on who renders them.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tqdm import tqdm

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.scratch import Scratch
from blender_scripts.manifest.output_folder import OutputFolder, check_own
from blender_scripts.manifest.reader import read_manifest
from generator.doe.check import add_scenes_argument

SCRIPT = Path(__file__).resolve().parents[2] / "blender_scripts" / "render.py"
_TRIES = 2
_PATIENCE_S = 5.0


def _count(low: int, high: int | None = None):
    limits = f"of at least {low}" if high is None else f"from {low} to {high}"

    def read(text: str) -> int:
        # int() refuses thousands of digits; no count has twenty.
        if not (text.isdecimal() and len(text) < 20 and low <= int(text) <= (high or int(text))):
            raise argparse.ArgumentTypeError(f"expected an integer {limits}, got {shown(text)}")
        return int(text)

    return read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", type=Path, help="the CSV manifest")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for images, masks and records"
    )
    add_scenes_argument(parser)
    parser.add_argument(
        "--workers",
        type=_count(1),
        default=None,
        metavar="N",
        help="renderer processes (default: one per core)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "blender"),
        default=None,
        help="local: bpy of this Python; blender: an executable",
    )
    parser.add_argument(
        "--blender",
        metavar="PATH",
        help="the executable (default: PINSIGHT_BLENDER, else blender on the PATH)",
    )
    parser.add_argument("--rows", metavar="A:B", default=None, help="only these rows, 0-based, half open")
    parser.add_argument("--force", action="store_true", help="render rows again that are finished")
    parser.add_argument(
        "--mask-scale",
        type=_count(1, 8),
        default=4,
        metavar="K",
        help="mask pixels per picture pixel, 1-8 (default: 4)",
    )
    parser.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="gpu: faster, but bytes differ from the CPU's"
    )
    parser.add_argument(
        "--no-denoise", action="store_true", help="path-traced noise as it is, eight times the samples"
    )
    parser.add_argument(
        "--depth", action="store_true", help="write depth/<run>.npy too: mm along the optical axis"
    )
    parser.add_argument(
        "--normal", action="store_true", help="write normal/<run>.npy too: unit vectors, world axes"
    )
    parser.add_argument(
        "--recycle",
        type=_count(1),
        default=500,
        metavar="N",
        help="rows after which a worker is replaced (default: 500)",
    )


def run(options: argparse.Namespace) -> int:
    """Check everything, then render in workers; 1 if a row failed."""
    manifest = read_manifest(options.manifest, options.scenes)
    command = renderer_command(options.engine, options.blender)
    rows = _chosen(options.rows, len(manifest.runs))
    if not options.force:
        check_own(options.out, manifest)
    output = OutputFolder(options.out)
    output.adopt(manifest, options.scenes)
    output.sweep()
    cores = os.cpu_count() or 1
    workers = min(options.workers or cores, len(rows))
    arguments = [
        "--out",
        str(options.out),
        "--scenes",
        str(options.scenes),
        "--feed",
    ]
    arguments += [
        "--mask-scale",
        str(options.mask_scale),
        "--threads",
        str(max(1, cores // workers)),
        "--device",
        options.device,
    ]
    arguments += ["--force"] * options.force + ["--no-denoise"] * options.no_denoise
    arguments += ["--depth"] * options.depth + ["--normal"] * options.normal
    names = [run.run for run in manifest.runs]
    with contextlib.closing(Scratch()) as scratch:
        # Renderers start at any time, and the user's file may have been edited by then.
        snapshot = scratch.folder / manifest.path.name
        snapshot.write_bytes(manifest.content)
        pool = Pool([*command, str(snapshot), *arguments], rows, names, options.recycle, scratch.folder)
        try:
            pool.work(workers)
        except BaseException:
            output.sweep()
            raise
    for problem in pool.problems:
        print(f"failed: {problem}", file=sys.stderr)
    print(
        f"{pool.rendered} rendered, {pool.kept} already there, {len(pool.problems)} failed, in {options.out}"
    )
    return 1 if pool.problems else 0


def renderer_command(engine: str | None, blender: str | None) -> list[str]:
    """The command that starts a renderer, without its own arguments.

    Raises:
        InputError: there is no bpy in this Python, or no such executable.
    """
    if engine is None:
        engine = "blender" if blender or importlib.util.find_spec("bpy") is None else "local"
    if engine == "local":
        if importlib.util.find_spec("bpy") is None:
            raise InputError(
                "--engine local: expected bpy in this Python (3.13; pip install '.[render]' in this project's folder), "
                "got none"
            )
        return [sys.executable, str(SCRIPT)]
    wanted = blender or os.environ.get("PINSIGHT_BLENDER") or "blender"
    found = shutil.which(wanted)
    if found is None:
        raise InputError(
            f"--blender: expected a Blender executable (--blender, PINSIGHT_BLENDER or on the PATH), got {wanted!r}"
        )
    return [
        found,
        "-b",
        "--factory-startup",
        "--disable-autoexec",
        "--python-exit-code",
        "1",
        "-P",
        str(SCRIPT),
        "--",
    ]


def _chosen(text: str | None, count: int) -> list[int]:
    if text is None:
        return list(range(count))
    first, colon, last = text.partition(":")
    if not colon or not all(piece == "" or piece.isdecimal() for piece in (first, last)):
        raise InputError(f"--rows: expected A:B, 0-based and half open such as 0:100, got {text!r}")
    rows = list(range(count))[int(first) if first else None : int(last) if last else None]
    if not rows:
        raise InputError(f"--rows: expected rows between 0 and {count}, got none in {text}")
    return rows


@dataclass
class Worker:
    """One renderer process. `served` counts its rows."""

    process: subprocess.Popen[str]
    log: IO[str]
    served: int = 0

    def ask(self, row: int) -> dict[str, object] | None:
        """Render one row; None where the process died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(f"{row}\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return None
        for line in self.process.stdout:
            if line.startswith("{"):  # Blender greets on standard output.
                self.served += 1
                return json.loads(line)
        return None

    def stop(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()
        self.log.close()

    def last_words(self) -> tuple[int, list[str]]:
        """Exit code and the lines of standard error of a process that has ended, or is about to."""
        code = self.process.wait()
        self.log.seek(0)
        return code, [line.strip() for line in self.log.read().splitlines() if line.strip()]


@dataclass
class Pool:
    """Feeds rows to renderer processes.

    Args:
        command: starts a renderer that reads row numbers.
        rows: the rows to render.
        names: name of every row of the manifest, for messages.
        recycle: rows after which a worker is replaced.
        scratch: where renderers keep scratch files, so that one that is killed leaves none behind.
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
        """Render every row with `count` processes; KeyboardInterrupt stops them all.

        Raises:
            InputError: the renderer refuses its input, such as a Blender that is too old.
        """
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for row in self.rows:
            self._waiting.put(row)
        self._lock = threading.Lock()
        self._live: set[subprocess.Popen[str]] = set()
        self._stopping = False
        self._error: BaseException | None = None
        with tqdm(total=len(self.rows), unit="picture", disable=not sys.stderr.isatty()) as self._bar:
            threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(count)]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    while thread.is_alive() and not self._stopping:
                        thread.join(0.2)
            finally:
                self._stop_all(threads)
        if self._error is not None:
            raise self._error

    def _stop_all(self, threads: list[threading.Thread]) -> None:
        """End every process that still runs: asked first, since a renderer tidies up, and killed in a long render."""
        with self._lock:
            self._stopping = True
            for process in self._live:
                process.terminate()
        patience = time.monotonic() + _PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, patience - time.monotonic()))
        with self._lock:
            for process in self._live:
                process.kill()
        for thread in threads:
            thread.join()

    def _start(self) -> Worker | None:
        log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  (closed with its worker)
        with self._lock:
            if self._stopping:
                log.close()
                return None
            try:
                process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    errors="replace",
                    bufsize=1,
                    env={**os.environ, "TMPDIR": str(self.scratch)},
                )
            except OSError as error:
                log.close()
                raise InputError(
                    f"{self.command[0]}: expected a program that runs, got: {error.strerror or error}"
                ) from None
            self._live.add(process)
        return Worker(process, log)

    def _end(self, worker: Worker) -> None:
        worker.stop()
        with self._lock:
            self._live.discard(worker.process)

    def _serve(self) -> None:
        try:
            self._render_rows()
        except BaseException as error:  # is raised again in the main thread
            self._error = self._error or error
            self._stopping = True

    def _render_rows(self) -> None:
        worker: Worker | None = None
        while not self._stopping:
            try:
                row = self._waiting.get_nowait()
            except queue.Empty:
                break
            answer: dict[str, object] | None = None
            cause = ""
            for _ in range(_TRIES):
                worker = worker or self._start()
                if worker is None:
                    return
                answer = worker.ask(row)
                if answer is not None or self._stopping:
                    break
                code, words = worker.last_words()
                self._end(worker)
                worker = None
                if code == 2:
                    raise InputError([line for line in words if "expected" in line] or words[-1:])
                ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                cause = f"the renderer ended with {ended}" + (f": {words[-1]}" if words else "")
            self._note(row, answer, cause)
            if worker is not None and worker.served >= self.recycle:
                self._end(worker)
                worker = None
        if worker is not None:
            self._end(worker)

    def _note(self, row: int, answer: dict[str, object] | None, cause: str) -> None:
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
