"""Doing the study's runs, with pretended commands: resuming, failures, locks."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies import execution
from studies.execution import CommandFailed, distinct, execute
from studies.locks import locked
from tests.conftest import ROOT
from tests.studies.pretended import at, results_of, some_runs


def test_a_finished_run_is_never_repeated(runs, tmp_path, commands):
    two = some_runs(runs, 3, 2)
    first = execute(at(tmp_path, commands), two)
    assert first.done == two and not first.failed
    assert {path.name for path in results_of(tmp_path).iterdir()} == {f"{run.key}.json" for run in two}
    said = len(commands.said)
    again = execute(at(tmp_path, commands), two)
    assert not again.done and len(commands.said) == said
    # Nor is a run repeated whose result is only in the table.
    assert at(tmp_path, commands).results.fold() == sorted(run.key for run in two)
    shutil.rmtree(tmp_path / "work")
    again = execute(at(tmp_path, commands), two)
    assert not again.done and len(commands.said) == said


def test_a_result_says_what_it_was_made_with(runs, tmp_path, commands):
    (run,) = some_runs(runs, 3, 1)
    execute(at(tmp_path, commands), [run])
    document = json.loads((results_of(tmp_path) / f"{run.key}.json").read_text())
    assert document["config"] == json.loads(json.dumps(run.config))
    assert {"seed", "data", "versions", "device", "threads", "seconds", "result", "processor"} <= set(document)
    assert document["versions"]["python"] and document["seconds"]["training_wall"] >= 0


def test_florence2_trains_on_pictures_as_they_are(runs, tmp_path, commands):
    execute(at(tmp_path, commands), some_runs(runs, 7, 3))
    trained = [words for words in commands.said if words[1] == "trainer.florence2"]
    said = [words[len(words) - words[::-1].index("--digits")] for words in trained]  # the last one counts
    assert said == ["as-is", "as-is", "printed"]
    # Of the defaults that are newer than the study, none has an effect.
    assert all(words[words.index("--region-weight") + 1] == "0" for words in trained)


def test_a_run_that_two_questions_share_is_done_once(runs, tmp_path, commands):
    ladder, looked_at = some_runs(runs, 1, 1)[0], some_runs(runs, 6, 1)[0]
    assert distinct([ladder, looked_at]) == [ladder]
    execute(at(tmp_path, commands), [ladder, looked_at])
    assert sum(words[1] == "trainer.vit" for words in commands.said) == 1


def test_a_failed_run_does_not_stop_the_others_and_is_tried_again(runs, tmp_path, commands):
    bad, good = some_runs(runs, 2, 2)
    commands.fails = {bad.options[-1]}
    assert bad.options[-1] not in good.options
    outcome = execute(at(tmp_path, commands), [bad, good])
    assert [run for run, _ in outcome.failed] == [bad] and outcome.done == [good]
    assert "exit code 2" in outcome.failed[0][1]
    assert "exit code 2" in at(tmp_path, commands).error_of(bad)
    assert not (results_of(tmp_path) / f"{bad.key}.json").exists()
    commands.fails = set()
    assert execute(at(tmp_path, commands), [bad, good]).done == [bad]
    assert not at(tmp_path, commands).error_of(bad)


def test_a_killed_training_goes_on_and_does_not_begin_again(runs, tmp_path, commands):
    (run,) = some_runs(runs, 3, 1)
    commands.killed = {"trainer.vit"}
    with pytest.raises(KeyboardInterrupt):
        execute(at(tmp_path, commands), [run])
    assert not list(results_of(tmp_path).glob("*"))
    assert execute(at(tmp_path, commands), [run]).done == [run]
    trainings = [words for words in commands.said if words[1] == "trainer.vit"]
    assert "--resume" not in trainings[0] and "--resume" in trainings[1]


def test_killed_before_its_first_epoch_it_begins_again(runs, tmp_path, commands):
    (run,) = some_runs(runs, 3, 1)
    left = at(tmp_path, commands).folder(run) / "run" / "half-written"
    left.mkdir(parents=True)
    execute(at(tmp_path, commands), [run])
    assert "--resume" not in commands.said[0] and not left.exists()


def test_a_training_is_measured_on_its_own_pictures_too_where_asked(runs, tmp_path, commands):
    run = next(run for run in runs if run.originals and run.originals != run.data)
    execute(at(tmp_path, commands), [run])
    (words,) = [words for words in commands.said if "--split" in words]
    assert words[1] == "trainer.evaluate" and words[words.index("--split") + 1] == "train"
    assert words[words.index("--data") + 1] == str(tmp_path / "work" / run.originals.name)
    assert words[words.index("--model") + 1] == str(at(tmp_path, commands).folder(run) / "run")


def test_a_run_that_begins_with_another_trains_that_one_first(runs, tmp_path, commands):
    run = next(run for run in runs if run.init and run.trainer == "vit")
    execute(at(tmp_path, commands), [run])
    folder = at(tmp_path, commands).folder(run.init) / "run"
    assert commands.said[0][commands.said[0].index("--out") + 1] == str(folder)
    assert commands.said[1][commands.said[1].index("--init") + 1] == str(folder)
    assert not at(tmp_path, commands).is_done(run.init)


def test_it_says_what_it_waits_for(runs, tmp_path, commands):
    run = next(run for run in runs if run.init and run.trainer == "vit")
    here, held, said = at(tmp_path, commands), ExitStack(), []

    def report(text: str) -> None:
        said.append(text)
        if "waiting" in text:
            held.close()

    here.workshop.report = report
    held.enter_context(locked(here.folder(run.init).with_suffix(".lock")))
    assert execute(here, [run]).done == [run]
    assert said[1:] == [f"  waiting until another process has made {run.init.name}"]


def test_a_run_that_another_process_is_at_is_left_to_it(runs, tmp_path, commands):
    """Also if the other process was killed and its training still runs: the training holds the lock."""
    one, other = some_runs(runs, 3, 2)
    here = at(tmp_path, commands)
    lock = here.folder(one).with_suffix(".lock")
    script = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from studies.locks import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False)\n"
        "    print(child.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", script, str(lock)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        holder.stdout.readline()
        holder.kill()
        outcome = execute(here, [one, other])
    assert outcome.left == [one] and outcome.done == [other] and not outcome.failed
    for _ in range(100):  # the training ends, as its input was closed
        outcome = execute(here, [one, other])
        if outcome.done:
            break
        time.sleep(0.1)
    assert outcome.done == [one]


def test_a_terminated_command_ends_what_it_began(tmp_path):
    script = (
        "import signal, sys\n"
        "from pathlib import Path\n"
        "from studies.execution import python\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "python(['-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'], Path(sys.argv[1]))\n"
    )
    log = tmp_path / "log.txt"
    process = subprocess.Popen([sys.executable, "-c", script, str(log)], cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (log.is_file() and (lines := log.read_text().splitlines()[1:])):
        assert process.poll() is None
        time.sleep(0.1)
    process.terminate()
    assert process.wait(60) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines[0]), 0)


def test_no_run_is_begun_after_the_time(runs, tmp_path, commands):
    two = some_runs(runs, 3, 2)
    outcome = execute(at(tmp_path, commands), two, minutes=0)
    assert outcome.left == two and not commands.said


def test_a_failed_command_raises_its_last_error_line(tmp_path):
    with pytest.raises(CommandFailed, match=r"python -m generator design no-such\.toml …: exit code 2, expected 0: "):
        execution.python(["-m", "generator", "design", "no-such.toml", "-o", "x"], tmp_path / "log.txt")
    assert "no-such.toml" in (tmp_path / "log.txt").read_text()
