"""`python -m generator render --cluster ray`: render a manifest on the nodes of a Ray cluster.

Each task renders a chunk of neighbouring rows on its node and returns the bytes of their files; only this process
writes them, the record last. Neither pictures nor scenes need a disk that the machines share.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import json
import pickle
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.claim import Claim
from blender_scripts.manifest.output_folder import EXTRAS, SCENES, OutputFolder
from blender_scripts.manifest.record import read_record
from generator.rendering.node import Answer, Chunk, Job, RowFiles, code
from generator.rendering.progress import PictureProgress

# With --mixed, file in the render folder that names the node of each row; the last line of a run name holds.
NODES = "nodes.csv"
# A task has as many rows as take about so many seconds, at most so many: a lost node loses few pictures, and what a
# task itself costs (about 10 ms) is small beside its rows.
_TASK_S, _MOST_ROWS = 2.0, 8
# A row fails if its task was lost so often, because its worker process or its node ended.
_MOST_LOSSES = 4
_POLL_S = 0.5
_PATIENCE_S = 10.0
# Share of a graphics card that a task reserves: while one task renders on it, another builds its scene.
_CARD_SHARE = 0.5


def job_of(options: argparse.Namespace, claimed: Claim, arguments: Sequence[str]) -> Job:
    """Collect what a node needs: the manifest, its scenes and the renderer's arguments."""
    manifest = claimed.manifest
    files = {f"{SCENES}/{name}": content for name, content in claimed.scene_files()}
    compare = ["--compare"] if claimed.is_default and not options.force and claimed.output.has_records() else []
    return Job(
        manifest.path.name,
        {manifest.path.name: manifest.content, **files},
        (*arguments, *compare, "--validated", manifest.checked_sha256),
        options.engine,
        options.blender,
        options.recycle,
        str(claimed.output.root),
    )


def _task(ours: str) -> Callable[[str, list[Any], bytes], Any]:
    """Return the function that nodes run. As a closure it is sent whole: a node may have other code, or none."""

    def render(key: str, job: list[Any], chunk: bytes) -> Any:
        import pickle

        try:
            from generator.rendering import node

            found = node.code()
        except Exception as error:
            found = f"none that can be imported ({error})"
        if found != ours:
            import ray

            return ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), found
        return node.work(key, job, pickle.loads(chunk))

    return render


class Scheduler:
    """Gives the rows of a manifest to the nodes of a cluster, and writes the files that they return.

    Args:
        job: what all tasks have in common.
        output: the render folder.
        rows: numbers of the rows to render, from 0.
        names: run name of each row of the manifest.
        options: of the command: force, mixed, threads, workers and device.

    Attributes:
        rendered, kept: number of rows that were rendered, and that were finished already.
        problems: a message for each row that failed.
    """

    def __init__(
        self, job: Job, output: OutputFolder, rows: Sequence[int], names: Sequence[str], options: argparse.Namespace
    ) -> None:
        self.rendered = self.kept = 0
        self.problems: list[str] = []
        self._output, self._names = output, names
        self._options = options
        self._threads = options.threads or 1
        self._gpu_share = _CARD_SHARE if options.device == "gpu" else 0
        self._rows, self._waiting, self._alone = rows, deque[int](), deque[int]()
        self._compared = set(filter(self._is_whole, rows)) if "--compare" in job.arguments else set[int]()
        self._has_begun = False
        self._changed: list[RowFiles] = []
        self._running: dict[Any, tuple[int, ...]] = {}
        self._losses: Counter[int] = Counter()
        self._refused: dict[str, str] = {}
        self._first = None if options.mixed or options.force else self._first_finished()
        self._most_tasks, self._counted_at = 0, 0.0
        self._ours = code()
        self._task = ray.remote(_task(self._ours))
        self._reference = ray.put(job)
        self._row_s = _TASK_S
        self._count_places()

    def work(self, begin: Callable[[], None]) -> None:
        """Render all rows; an error or Ctrl-C ends all tasks before it is passed on.

        Args:
            begin: prepares the render folder; until then nothing is written. It is called when the finished rows, if
                nodes have to compare their settings, turned out to have those of the command.

        Raises:
            InputError: no node can render, or finished rows have other settings.
        """
        with PictureProgress(len(self._rows)) as self._bar:
            try:
                self._render(row for row in self._rows if row in self._compared)
                begin()
                self._has_begun = True
                self._write_changed()
                self._render(row for row in self._rows if row not in self._compared)
            except BaseException:
                with contextlib.suppress(RayError, ConnectionError):  # without the head there is nothing to cancel
                    self._cancel()
                raise

    def _render(self, rows: Iterable[int]) -> None:
        self._waiting.extend(rows)
        while self._waiting or self._alone or self._running:
            self._count_places()
            while (self._waiting or self._alone) and len(self._running) < max(1, self._most_tasks):
                self._submit(self._next_rows())
            ready, _ = ray.wait(list(self._running), timeout=_POLL_S)
            for reference in ready:
                self._handle(reference, self._running.pop(reference))
            if self._has_begun:
                self._write_changed()

    def _is_whole(self, row: int) -> bool:
        return self._output.is_whole(self._names[row])

    def _first_finished(self) -> Answer | None:
        """A finished row stands for the first node, with its version of Blender; records name no kind of processor."""
        for run in (self._names[row] for row in self._rows) if self._output.has_records() else ():
            if self._output.has_record(run):
                return Answer("", run, "", str(read_record(self._output.record(run))["blender"]))
        return None

    def _count_places(self) -> None:
        """Count the tasks that can run at a time, twice a second at most, since nodes may join or stop."""
        if time.monotonic() - self._counted_at < _POLL_S:
            return
        nodes = {node["NodeID"]: self._places(node["Resources"]) for node in ray.nodes() if node["Alive"]}
        able = {node for node, places in nodes.items() if places}
        if able and able <= set(self._refused):
            raise InputError([*self._refused.values(), "--cluster: expected a node that can render, got none"])
        if not able and not self._counted_at:
            needs = f"{self._threads} CPUs" + (" and a graphics card" if self._gpu_share else "")
            sys.stderr.write(f"note: no node of the cluster has {needs} for a task yet: waiting for one\n")
        # Twice as many tasks: no node waits for its next one, and an autoscaler sees that more nodes would be used.
        most = 2 * sum(places for node, places in nodes.items() if node not in self._refused)
        self._most_tasks, self._counted_at = self._options.workers or most, time.monotonic()

    def _places(self, resources: dict[str, float]) -> int:
        places = int(resources.get("CPU", 0) // self._threads)
        return min(places, int(resources.get("GPU", 0) // self._gpu_share)) if self._gpu_share else places

    def _next_rows(self) -> tuple[int, ...]:
        """Take the rows of the next task: fewer than _MOST_ROWS if they take long, or if few are left for all nodes."""
        if self._alone:
            return (self._alone.popleft(),)
        size = min(_MOST_ROWS, int(_TASK_S / self._row_s), len(self._waiting) // max(1, self._most_tasks))
        return tuple(self._waiting.popleft() for _ in range(max(1, size)))

    def _submit(self, rows: tuple[int, ...]) -> None:
        names = [self._names[row] for row in rows]
        whole = [] if self._options.force else [row for row in rows if row in self._compared or self._is_whole(row)]
        finished = [self._names[row] for row in whole]
        records = {name: self._output.record(name).read_bytes() for name in finished}
        first = None if self._options.mixed or self._first is None else (self._first.blender, self._first.cpu)
        chunk = pickle.dumps(Chunk(tuple(zip(rows, names, strict=True)), records, first))
        only = {"ray.io/node-id": f"!in({', '.join(self._refused)})"} if self._refused else None
        # Retries are counted here, since Ray repeats a task that exhausts the memory without end.
        task = self._task.options(num_cpus=self._threads, num_gpus=self._gpu_share, max_retries=0, label_selector=only)
        self._running[task.remote(self._reference.hex(), [self._reference], chunk)] = rows

    def _handle(self, reference: Any, rows: tuple[int, ...]) -> None:
        """Write the rows that a task returned, or give them to other nodes."""
        try:
            answer = ray.get(reference)
        except RayError as error:
            # An error in the task itself is one of the program: it would end so on all nodes.
            if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
                raise
            self._note_loss(rows, error)
            return
        if not isinstance(answer, Answer):
            node, name, found = answer
            answer = Answer(node, name, "", refusal=f"expected the driver's {self._ours}, got {found}")
        if answer.is_comparison:
            raise InputError(f"node {answer.name}: {answer.refusal}")
        if refusal := answer.refusal or self._difference(answer):
            self._refuse(answer, refusal)
            self._waiting.extendleft(reversed(rows))
            return
        if answer.blender and not (self._first and self._first.cpu):
            self._first = answer
        if self._options.mixed:
            self._note_node(answer)
        for each in answer.rows:
            self._keep(each)
        # The first row of a worker includes the start of Blender: the mean with what was known forgets that soon.
        self._row_s = (self._row_s + answer.seconds / len(rows)) / 2

    def _note_node(self, answer: Answer) -> None:
        """Add to NODES which node rendered which row, before the row's files are written: their bytes may differ."""
        lines = [
            (self._names[each.row], answer.name, str(json.loads(each.record)["blender"]), answer.cpu)
            for each in answer.rows
            if each.files and not each.problem
        ]
        path = self._output.root / NODES
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([] if file.tell() else [("run", "node", "blender", "processor")])
            writer.writerows(lines)

    def _difference(self, answer: Answer) -> str:
        """Return why a node's pictures differ from those of the first node, in a sentence; empty: they do not."""
        first = self._first
        if first is None or self._options.mixed:
            return ""
        if (answer.blender or first.blender, first.cpu and answer.cpu) == (first.blender, first.cpu):
            return ""
        if not first.cpu:
            return (
                f"expected Blender {first.blender}, as the finished row {first.name}, got Blender {answer.blender}, "
                "whose pictures differ in the last bits: --mixed accepts that, --force renders all rows again"
            )
        got = f"Blender {answer.blender} on {answer.cpu}" if answer.blender else answer.cpu
        return (
            f"expected Blender {first.blender} on {first.cpu}, as the first node that answered ({first.name}), got "
            f"{got}: their pictures differ in the last bits (--mixed accepts that)"
        )

    def _refuse(self, answer: Answer, refusal: str) -> None:
        if answer.node not in self._refused:
            self._refused[answer.node] = f"node {answer.name}: {refusal}"
            self._bar.write(f"{self._refused[answer.node]}: other nodes get its rows")

    def _note_loss(self, rows: tuple[int, ...], error: RayError) -> None:
        """Give the rows of a lost task to other workers, each in a task of its own: one of them may kill its worker."""
        cause = getattr(error, "cause", None) or error
        for row in reversed(rows):
            self._losses[row] += 1
            if self._losses[row] < _MOST_LOSSES:
                self._alone.appendleft(row)
                continue
            reason = f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"
            self._fail(f"{self._names[row]}: lost {_MOST_LOSSES} times with its worker or node, at last {reason}")

    def _fail(self, problem: str) -> None:
        self.problems.append(problem)
        self._bar.update()

    def _keep(self, found: RowFiles) -> None:
        """Check a row's files against its record, and write them."""
        run, output = self._names[found.row], self._output
        if found.problem:
            self._fail(found.problem)
            return
        record = json.loads(found.record)
        files = dict(found.files)
        stated = {"image": record["image_sha256"], "mask": record["mask_sha256"], **record.get("extras_sha256", {})}
        got = {kind: hashlib.sha256(content).hexdigest() for kind, content in files.items()}
        if record["run"] != run or (files and got != stated) or not files.keys() <= {"image", "mask", *EXTRAS}:
            self._fail(f"{run}: expected files with the SHA-256 of their record, got others: repeat the command")
            return
        if files:
            output.write(run, files.pop("image"), files.pop("mask"), record, files)
            self.rendered += 1
        else:
            if output.record(run).read_bytes() != found.record:
                self._changed.append(found)
            self.kept += 1
        self._bar.update()

    def _write_changed(self) -> None:
        """Write records of finished rows whose keys on which no picture depends have changed."""
        while self._changed:
            found = self._changed.pop()
            self._output.replace_file(self._output.record(self._names[found.row]), found.record)

    def _cancel(self) -> None:
        """End all tasks: first with KeyboardInterrupt; what runs after _PATIENCE_S ends with its worker process."""
        for force in (False, True):
            for reference in self._running:
                ray.cancel(reference, force=force)
            if self._running:
                _, left = ray.wait(list(self._running), num_returns=len(self._running), timeout=_PATIENCE_S)
                self._running = {each: self._running[each] for each in left}
