"""A node of a cluster: render chunks of rows in a temporary folder, and return the bytes of their files.

A Ray worker process keeps its renderer from one chunk to the next, so that Blender starts once in each.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import ray

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.scratch import Scratch
from blender_scripts.manifest.output_folder import EXTRAS, SCENES, OutputFolder
from blender_scripts.manifest.record import RENDERER
from generator.io.source_code import code_sha256
from generator.rendering.engines import renderer_command
from generator.rendering.pool import PATIENCE_S, WorkerSlot
from generator.rendering.shards import cpu

_POLL_S = 0.2


@dataclass(frozen=True)
class Job:
    """What all tasks of one command have in common.

    Attributes:
        manifest: file name of the manifest.
        files: content of the manifest and of all files of its scenes, by path in the node's folder.
        arguments: for render.py, after manifest and folders.
        engine, blender: as for `renderer_command`.
        recycle: number of rows after which a renderer process is replaced.
        root: the render folder on the driver's machine, for messages.
    """

    manifest: str
    files: dict[str, bytes]
    arguments: tuple[str, ...]
    engine: str | None
    blender: str | None
    recycle: int
    root: str


@dataclass(frozen=True)
class Chunk:
    """Rows that one task renders.

    Attributes:
        rows: number and run name of each row.
        records: contents of the records of rows that are finished in the render folder, by run name.
        wanted: version of Blender and kind of processor of the other nodes; an empty kind: any; None: any node.
    """

    rows: tuple[tuple[int, str], ...]
    records: dict[str, bytes]
    wanted: tuple[str, str] | None


@dataclass(frozen=True)
class RowFiles:
    """The result of one row.

    Attributes:
        row: its number.
        problem: a message if it failed.
        record: content of its record.
        files: contents of its other files by kind (image, mask, depth, normal); none if it was finished before.
    """

    row: int
    problem: str | None
    record: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A node's answer to a chunk.

    Attributes:
        node: Ray's id of the node.
        name: its host name and address.
        cpu: kind of its processor.
        blender: version of its Blender; empty if no row was rendered.
        refusal: why it refuses to render; empty if it does not.
        is_comparison: whether it refuses because a finished row has other settings than those of the command.
        seconds: time that the rows took.
        rows: results of the rows; fewer than asked for if the pictures of this node differ from those of the others.
    """

    node: str
    name: str
    cpu: str
    blender: str = ""
    refusal: str = ""
    is_comparison: bool = False
    seconds: float = 0.0
    rows: tuple[RowFiles, ...] = ()


def code() -> str:
    """Return a description of the code of this machine, which has to be equal on all machines."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return f"pinsight {metadata.version('pinsight')}, renderer {RENDERER}, code {code_sha256()[:12]}"
    return f"renderer {RENDERER}, code {code_sha256()[:12]}"


def this_node() -> tuple[str, str]:
    """Return Ray's id of this node, and its host name with its address."""
    return ray.get_runtime_context().get_node_id(), f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


class OtherSettings(InputError):
    """A finished row has other settings than those of the command."""


class NodeRenderer:
    """The renderer of a Ray worker process, and its temporary folder with the job's files.

    Raises:
        InputError: this machine has no engine.
        OSError: the folder cannot be written.
    """

    def __init__(self, job: Job) -> None:
        command = renderer_command(job.engine, job.blender)
        self._scratch = Scratch()
        folder = self._scratch.folder
        try:
            for name, content in job.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            self.output, self._root = OutputFolder(folder / "out"), job.root
        except BaseException:
            self._scratch.close()
            raise
        command += [str(folder / job.manifest), "--scenes", str(folder / SCENES), "--out", str(self.output.root)]
        self._slot = WorkerSlot([*command, *job.arguments, "--feed", "--records-only"], job.recycle, folder)
        self._thread = ThreadPoolExecutor(1)
        self._asked: Future[tuple[dict[str, Any] | None, str]] = Future()

    def render(self, row: int, run: str, record: bytes | None) -> RowFiles:
        """Render one row, unless its record says that it is finished.

        Raises:
            InputError: the renderer refuses to work.
            OtherSettings: the row is finished, with other settings.
        """
        if record is not None:
            self.output.record(run).write_bytes(record)
        self._asked = self._thread.submit(self._slot.render, row)
        while not self._asked.done():
            # Ray cancels a task by KeyboardInterrupt, which is not raised while Python waits for a renderer.
            wait([self._asked], _POLL_S)
        try:
            answer, cause = self._asked.result()
        except InputError as error:
            raise InputError([self._in_root(each) for each in error.problems]) from None
        if answer is not None and "other_settings" in answer:
            made = json.loads(record)["blender"] if record else answer["blender"]
            if made != answer["blender"]:
                raise InputError(
                    f"{run}: expected Blender {made}, which rendered this finished row, got {answer['blender']}: to "
                    "keep such rows, give --out with another folder; to render all rows again, give --force"
                )
            raise OtherSettings(self._in_root(answer["other_settings"]))
        if answer is None or answer["problem"]:
            return RowFiles(row, answer["problem"] if answer else f"{run}: {cause}")
        paths = {"image": self.output.image(run), "mask": self.output.mask(run)}
        paths |= {kind: path for kind in EXTRAS if (path := self.output.extra(kind, run)).is_file()}
        # The files decide, not the answer: a renderer may die after it has written them.
        made = paths if paths["image"].is_file() else {}
        found = RowFiles(
            row, None, self.output.record(run).read_bytes(), {kind: path.read_bytes() for kind, path in made.items()}
        )
        for path in (self.output.record(run), *made.values()):
            path.unlink()
        return found

    def _in_root(self, problem: str) -> str:
        return problem.replace(str(self.output.root), self._root)

    def close(self) -> None:
        """End the renderer, and remove the folder."""
        self._slot.end()
        wait([self._asked], PATIENCE_S if self._asked.running() else 0.0)
        self._slot.end(kill=True)
        self._thread.shutdown()
        self._slot.close()
        self._scratch.close()


# By key of the job: a Ray worker process serves one driver, which may have several jobs, one after the other.
_renderers: dict[str, NodeRenderer] = {}


def _renderer(key: str, job: list[Any]) -> NodeRenderer:
    if key not in _renderers:
        _close()
        _renderers[key] = NodeRenderer(ray.get(job[0]))
    return _renderers[key]


@atexit.register
def _close() -> None:
    while _renderers:
        _renderers.popitem()[1].close()


def work(key: str, job: list[Any], chunk: Chunk) -> Answer:
    """Render a chunk.

    Args:
        key: names the job.
        job: reference to it, in a list, so that Ray fetches it only once in each process.
        chunk: the rows.
    """
    node, name = this_node()
    start = time.monotonic()
    if chunk.wanted and chunk.wanted[1] not in ("", cpu()):
        return Answer(node, name, cpu())
    try:
        rows = []
        for each in _rendered(_renderer(key, job), chunk):
            rows.append(each)
            if each.record and chunk.wanted and _blender(each) != chunk.wanted[0]:
                break
    except (InputError, OSError, MemoryError) as error:  # for example a full disk
        _close()
        problems = error.problems if isinstance(error, InputError) else [f"{type(error).__name__}: {error}"]
        return Answer(node, name, cpu(), refusal="; ".join(problems), is_comparison=isinstance(error, OtherSettings))
    except BaseException:
        _close()
        raise
    blender, seconds = next((_blender(each) for each in rows if each.record), ""), time.monotonic() - start
    return Answer(node, name, cpu(), blender, seconds=seconds, rows=tuple(rows))


def _rendered(renderer: NodeRenderer, chunk: Chunk) -> Iterator[RowFiles]:
    for row, run in chunk.rows:
        yield renderer.render(row, run, chunk.records.get(run))


def _blender(row: RowFiles) -> str:
    return str(json.loads(row.record)["blender"])
