"""Do runs one after the other: finished runs are skipped, killed runs are resumed, failures are reported.

A run's folder WORK/runs/<key> holds the output of its commands. `studies.results` stores the result of a complete run.
A killed training is resumed with the trainer's option `--resume`.
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
    """A command of a run failed; the message contains exit code, command, the log's last error line and its path."""


@dataclass
class Meter:
    """Sums of the wall and CPU seconds of a run's commands, kept in the JSON file `path` over all attempts."""

    path: Path

    def read(self) -> dict[str, float]:
        """Return the sums of wall and CPU seconds, such as `training_wall` and `training_cpu`; {} without the file."""
        return json.loads(self.path.read_text("utf-8")) if self.path.is_file() else {}

    def add(self, what: str, wall: float, cpu: float) -> None:
        """Add wall and CPU seconds to the sums of the work `what`, such as `training`, and write the file."""
        spent = self.read()
        for name, seconds in ((f"{what}_wall", wall), (f"{what}_cpu", cpu)):
            spent[name] = round(spent.get(name, 0.0) + seconds, 2)
        self.path.with_suffix(".tmp").write_text(json.dumps(spent), "utf-8")
        self.path.with_suffix(".tmp").replace(self.path)


def python(words: Sequence[str], log: Path) -> None:
    """Run a command with this Python in the repository's root, and append its output to a log.

    Args:
        words: The command's arguments.
        log: The log file; its folder is created.

    Raises:
        CommandFailed: The exit code is not 0.
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
            close_fds=False,  # it inherits the locks, the only inheritable files
        )
        try:
            code = process.wait()
        except BaseException:
            # Ctrl-C reaches the command too; wait until it has ended cleanly.
            process.terminate()
            process.wait()
            raise
    if code:
        lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
        last = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1])
        raise CommandFailed(
            f"python {' '.join(words[:4])} …: exit code {code}, expected 0: {last.strip()} (log: {log})"
        )


class Execution:
    """Does runs and stores their results.

    Args:
        work: Folder of renders, datasets, trainings and new results.
        table: The table of results; new results stay in `work` until `python -m studies --write`.
        workers: Number of processes for rendering and building; 0: one per core.
        threads: Number of CPU threads of a training; another number changes the last digits of results.
        device: Value of the trainers' option `--device`.
        command: Runs a command, see `python`; tests pass another function.
        report: Called with a line of text when a run starts, fails or waits.
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
        """Return whether a run has a result."""
        return self.results.holds(run.key)

    def folder(self, run: Run) -> Path:
        """Return the folder for the files of a run's commands."""
        return self.work / "runs" / run.key

    def error_of(self, run: Run) -> str:
        """Return the error text of a run's last attempt; empty if that attempt did not fail."""
        path = self.folder(run) / "error.txt"
        return path.read_text("utf-8").strip() if path.is_file() else ""

    def do(self, run: Run) -> None:
        """Finish a run and store its result; does nothing if the run is done.

        Raises:
            Busy: Another process is doing this run.
            CommandFailed, PlanError, OSError: The run failed; error.txt in its folder holds the message.
        """
        folder = self.folder(run)
        with locked(folder.with_suffix(".lock"), wait=False):
            if self.is_done(run):  # finished by another process in the meantime
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
        """Train `run.init`, if given, and `run` if they are not finished; returns the trainer's folder for `run`."""
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
        # The study was done before these settings were the defaults; what a run's options say comes later and wins.
        if run.trainer == "vit":
            words += ("--no-balanced", "--measure-weight", "0", "--views", "single")
        else:
            words += ("--digits", "as-is", "--region-weight", "0")
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
        """Run a command, and add its time to the run's even if it is killed."""
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
        """Return the options that are common to all commands which measure a training."""
        common = ["--model", str(folder / "run"), "--data", str(data), "--threads", str(self.threads)]
        return [*common, "--device", self.device]

    def _evaluate(self, run: Run, data: Path, folder: Path, name: str, *more: str) -> None:
        to = folder / name
        if not (to / "evaluation.json").is_file():
            words = ["-m", "trainer.evaluate", *self._measured(folder, data), "--out", str(to)]
            self._timed(folder, "evaluation", [*words, "--rows", run.rows, *more])

    @staticmethod
    def _stages(folder: Path) -> list[Path]:
        """Copy the weights saved at certain epochs (stages) to files named by epoch, as `trainer.attention` needs."""
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
        """Read the device of the training, cuda or cpu, from the text of its log."""
        log = folder / "log.txt"
        text = log.read_text("utf-8", "replace") if log.is_file() else ""
        return "cuda" if ", cuda" in text or "on cuda" in text else "cpu"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed `PACKAGES`, by name, and this repository's `commit`."""
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
    """Return the processor's name and number of cores, as text."""
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
    """Outcome of `execute`: runs done, failed (with error texts), and left for a later call or another process."""

    done: list[Run]
    failed: list[tuple[Run, str]]
    left: list[Run]


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without repeats of a `key`, as two questions may need the same run.

    Of equal runs the first is returned, at the place of the last.
    """
    return list({run.key: run for run in reversed(list(runs))}.values())[::-1]


def execute(
    execution: Execution,
    runs: Sequence[Run],
    minutes: float | None = None,
    advance: Callable[[float], None] = lambda seconds: None,
) -> Outcome:
    """Do the runs that are not done yet; returns which ones were done, failed or left.

    A failed run does not stop the other runs. A run that another process is doing is skipped.

    Args:
        execution: The object that does each run.
        runs: The runs, in order.
        minutes: Time after which no further run is started; None: no limit.
        advance: Called with the estimated seconds of each run that has ended, for a progress bar.
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
            f"{run.name}: takes about {run.seconds / 60:.0f} min on an idle core; folder: {execution.folder(run)}"
        )
        try:
            execution.do(run)
        except Busy:
            outcome.left.append(run)
            execution.workshop.report(f"{run.name}: skipped, as another process is doing this run")
        except Exception as error:
            outcome.failed.append((run, f"{type(error).__name__}: {error}"))
            execution.workshop.report(f"FAILED {run.name}: {error}")
        else:
            outcome.done.append(run)
        advance(run.seconds)
    return outcome
