"""Does one run after the other: finished ones never again, killed ones from where they stood, failed ones told.

A run's folder WORK/runs/<key> holds what its commands write; its result is kept by `studies.results`, when all of it is
there. A killed training goes on with `--resume`, to the bit where the trainer promises that.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from studies import measures
from studies.datasets_made import Report, Workshop
from studies.locks import Busy, locked
from studies.results import Results
from studies.run import ROOT, Run

SCHEMA = 1
PACKAGES = ("torch", "numpy", "transformers", "peft", "datasets", "scipy", "bpy")
SPENT = "spent.json"


class CommandFailed(Exception):
    """A command of a run ended with an error: what it was, and the last that it said."""


@dataclass
class Meter:
    """Wall and processor seconds of a run's commands, kept in a file over all calls that the run takes."""

    path: Path

    def read(self) -> dict[str, float]:
        return json.loads(self.path.read_text("utf-8")) if self.path.is_file() else {}

    def add(self, what: str, wall: float, cpu: float) -> None:
        spent = self.read()
        for name, seconds in ((f"{what}_wall", wall), (f"{what}_cpu", cpu)):
            spent[name] = round(spent.get(name, 0.0) + seconds, 2)
        self.path.with_suffix(".tmp").write_text(json.dumps(spent), "utf-8")
        self.path.with_suffix(".tmp").replace(self.path)


def python(words: Sequence[str], log: Path) -> None:
    """Run a command of this Python in the repository's root; what it says goes to the end of `log`.

    Raises:
        CommandFailed: It ends with another code than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write("$ python " + " ".join(words) + "\n")
        file.flush()
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            close_fds=False,  # it inherits the locks, and nothing else
        )
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C reaches the command too; it is given time to end whole.
            process.terminate()
            process.wait()
            raise
    if code:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        last = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
        raise CommandFailed(f"exit code {code} of {' '.join(words[:4])} …: {last.strip()} (all of it: {log})")


class Execution:
    """Runs with their results.

    Args:
        work: Folder of renders, datasets and trainings; not kept in the repository.
        table: The results that are kept; those of new runs wait below `work`.
        workers: Render and build processes; 0: as many as cores.
        threads: CPU threads of a training. With another number a result differs in its last digits.
        device: The trainers' `--device`.
        command: Replaces `python` in tests.
        report: Gets a line for a person on what begins, fails or is waited for.
    """

    def __init__(
        self,
        work: Path,
        table: Path,
        workers: int = 0,
        threads: int = 1,
        device: str = "auto",
        command: Callable[[Sequence[str], Path], None] = python,
        report: Report = print,
    ) -> None:
        self.work = work.resolve()
        self.results = Results(table, self.work / "results")
        self.threads, self.device, self.command = threads, device, command
        self.workshop = Workshop(self.work, command, workers, report)

    def is_done(self, run: Run) -> bool:
        return self.results.holds(run.key)

    def folder(self, run: Run) -> Path:
        return self.work / "runs" / run.key

    def error_of(self, run: Run) -> str:
        """Why the run failed when it was last tried; empty where it did not."""
        path = self.folder(run) / "error.txt"
        return path.read_text("utf-8").strip() if path.is_file() else ""

    def do(self, run: Run) -> None:
        """Bring a run to its end and write its result.

        Raises:
            Busy: Another process is at this run.
            CommandFailed, PlanError, OSError: It failed; the message is kept beside the run as well.
        """
        folder = self.folder(run)
        with locked(folder.with_suffix(".lock"), wait=False):
            if self.is_done(run):  # meanwhile, by another process
                return
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "error.txt").unlink(missing_ok=True)
            try:
                self._do(run, folder)
            except Exception as error:
                (folder / "error.txt").write_text(f"{type(error).__name__}: {error}\n", "utf-8")
                raise

    def _do(self, run: Run, folder: Path) -> None:
        if run.trainer == "soart":
            self._soart(run, folder)
        else:
            self.train(run)
            if run.trainer == "vit":
                self._measure_vit(run, folder)
        spent = Meter(folder / SPENT).read()
        document = {
            "schema": SCHEMA,
            "key": run.key,
            "run": run.name,
            "seed": run.seed,
            "config": run.config,
            "data": self.workshop.facts(run.data),
            "versions": versions(),
            "device": self._device(folder),
            "processor": processor(),
            "threads": self.threads,
            "seconds": spent,
            "result": measures.result(run, folder, self.workshop),
        }
        self.results.add(document)

    def train(self, run: Run) -> Path:
        """The folder of a run's training, finished; that of the run that it begins with comes first."""
        folder = self.folder(run)
        out = folder / "run"
        begin = None
        if first := run.init:
            with self.workshop.alone(self.folder(first), first.name):
                begin = self.train(first)
        if (out / "summary.json").is_file():
            return out
        data = self.workshop.data(run.data)
        words = ["-m", f"trainer.{run.trainer}", "--data", str(data), "--out", str(out)]
        words += ["--seed", str(run.seed), "--threads", str(self.threads), "--device", self.device]
        words += run.options
        if begin is not None:
            words += ["--model", str(begin / "model")] if run.trainer == "florence2" else ["--init", str(begin)]
        if (out / "state.safetensors").is_file():
            words.append("--resume")
        elif out.exists():  # killed before its first epoch ended
            shutil.rmtree(out)
        self._timed(folder, "training", words)
        return out

    def _timed(self, folder: Path, what: str, words: Sequence[str]) -> None:
        """Run a command, and add its time to the run's even where it is killed."""
        wall, cpu = time.perf_counter(), _children_cpu()
        try:
            self.command(words, folder / "log.txt")
        finally:
            meter = Meter(folder / SPENT)
            meter.add(what, time.perf_counter() - wall, _children_cpu() - cpu)

    def _measure_vit(self, run: Run, folder: Path) -> None:
        data = self.workshop.data(run.data)
        self._evaluate(run, data, folder, "evaluation")
        if run.originals:
            self._evaluate(run, self.workshop.data(run.originals), folder, "originals", "--split", "train")
        for split in run.attention:
            to = folder / f"attention_{split}"
            if not (to / "attention.json").is_file():
                words = ["-m", "trainer.attention", *self._measured(folder, data), "--out", str(to)]
                words += ["--split", split, "--pictures", "120"]
                words += ["--weights", *map(str, self._stages(folder))]
                self._timed(folder, "attention", words)

    def _measured(self, folder: Path, data: Path) -> list[str]:
        """What the commands that measure a training have in common."""
        common = ["--model", str(folder / "run"), "--data", str(data), "--threads", str(self.threads)]
        return [*common, "--device", self.device]

    def _evaluate(self, run: Run, data: Path, folder: Path, name: str, *more: str) -> None:
        to = folder / name
        if not (to / "evaluation.json").is_file():
            words = ["-m", "trainer.evaluate", *self._measured(folder, data), "--out", str(to)]
            self._timed(folder, "evaluation", [*words, "--rows", run.rows, *more])

    @staticmethod
    def _stages(folder: Path) -> list[Path]:
        """The stages' weights under the names of their epochs, which the attention's results then carry."""
        named = folder / "stages"
        named.mkdir(exist_ok=True)
        found = []
        for stage in sorted((folder / "run" / "stages").iterdir()):
            path = named / f"{stage.name}.safetensors"
            shutil.copyfile(stage / "best.safetensors", path)
            found.append(path)
        return found

    def _soart(self, run: Run, folder: Path) -> None:
        self.workshop.data(run.data)
        renders = self.workshop.renders(run.data.designs[0])
        if not (folder / "whole").is_file():
            words = ["-m", "benchmarks.soart_evaluation", "detect", str(renders), "--to", str(folder)]
            self._timed(folder, "training", words)
            (folder / "whole").touch()

    def _device(self, folder: Path) -> str:
        """What the training says that it ran on, in its log's first such line."""
        log = folder / "log.txt"
        text = log.read_text("utf-8", "replace") if log.is_file() else ""
        return "cuda" if ", cuda" in text or "on cuda" in text else "cpu"


def versions() -> dict[str, str]:
    """Of Python, the packages that a result may depend on, and this repository's commit."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    found["commit"] = commit.stdout.strip()
    return found


def processor() -> str:
    """The processor's name and how many cores there are."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Outcome:
    """What a call of `execute` came to: runs done, failed with why, and left to a later call or another process."""

    done: list[Run]
    failed: list[tuple[Run, str]]
    left: list[Run]


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Each key once, in order: questions may share a run."""
    return list({run.key: run for run in reversed(list(runs))}.values())[::-1]


def execute(
    execution: Execution,
    runs: Sequence[Run],
    minutes: float | None = None,
    advance: Callable[[float], None] = lambda seconds: None,
) -> Outcome:
    """Do the runs that are not done yet; one that fails does not stop the others.

    Several processes may share the work: a run that one is at is left alone by the others.

    Args:
        execution: Where.
        runs: Which, in order.
        minutes: After these no further run is begun.
        advance: Gets each ended run's estimate in seconds, for a progress bar.
    """
    began = time.perf_counter()
    outcome = Outcome([], [], [])
    for run in distinct(runs):
        if execution.is_done(run):
            continue
        if minutes is not None and time.perf_counter() - began >= 60 * minutes:
            outcome.left.append(run)
            continue
        execution.workshop.report(
            f"{run.name}: about {run.seconds / 60:.0f} min on an idle core ({execution.folder(run)})"
        )
        try:
            execution.do(run)
        except Busy:
            outcome.left.append(run)
            execution.workshop.report(f"{run.name}: another process is at it")
        except Exception as error:
            outcome.failed.append((run, f"{type(error).__name__}: {error}"))
            execution.workshop.report(f"FAILED {run.name}: {error}")
        else:
            outcome.done.append(run)
        advance(run.seconds)
    return outcome
