"""The study's runner and page, with commands that only pretend: keys, resuming, failures, writing."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT

pytest.importorskip("datasets")
pytest.importorskip("torch")

from benchmarks.soart_evaluation import auroc
from studies import __main__ as command_line
from studies import datasets_made, execution, glance, measures, page, plan
from studies.datasets_made import every_nth, taken
from studies.execution import CommandFailed, Execution, distinct, execute
from studies.findings import (
    Found,
    auroc_difference,
    difference,
    documents_in,
    findings,
    over_seeds,
    scores_of,
)
from studies.findings import areas as findings_of_areas
from studies.plan import Take, all_runs
from studies.sections import gained, quiet_seconds

SHARE = {"share": 0.8, "count": 80, "of": 100, "interval": [0.7, 0.9]}
CLASSES = ["BENDNG", "NUKENG", "OK"]
ANSWERS = {"of": "1", "classes": CLASSES, "truth": "0120120120", "said": "0110120220"}


@pytest.fixture(scope="module")
def runs() -> list[plan.Run]:
    return all_runs()


def test_every_question_has_runs_and_three_seeds(runs):
    assert {run.question for run in runs} == set(range(1, 9))
    assert all({r.seed for r in runs if r.question == q} == {0, 1, 2} for q in plan.TOPICS)


def test_no_run_is_planned_above_15_minutes(runs):
    assert max(run.seconds for run in runs) <= 15 * 60


def test_names_are_their_own_and_keys_repeat_only_where_questions_share_a_run(runs):
    assert len({run.name for run in runs}) == len(runs)
    shared = [run for run in runs if sum(other.key == run.key for other in runs) > 1]
    assert {run.question for run in shared} >= {1, 6}
    for run in shared:
        assert len({other.question for other in runs if other.key == run.key}) > 1


def test_the_key_follows_the_config_and_not_the_name(runs):
    run = next(run for run in runs if run.question == 2)
    assert replace(run, question=3, variant="another word", seconds=1.0).key == run.key
    for changed in (
        replace(run, seed=run.seed + 10),
        replace(run, options=(*run.options, "--ema", "0.99")),
        replace(run, rows="all"),
        replace(run, data=replace(run.data, improve=True)),
        replace(run, init=run),
    ):
        assert changed.key != run.key


def test_another_manifest_is_another_run(runs, tmp_path, monkeypatch):
    run = runs[0]
    before = run.key
    monkeypatch.setattr(plan, "ROOT", tmp_path)
    for design in run.data.designs:
        for source in design.sources:
            (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / source).write_bytes((ROOT / source).read_bytes() + b"\n")
    assert replace(run).key != before


def test_the_trainers_accept_every_run_s_options(runs):
    from trainer.florence2.command import parser as florence2_parser
    from trainer.vit.command import parser as vit_parser

    parsers = {"vit": vit_parser(), "florence2": florence2_parser()}
    for size in plan.SIZES:
        for run in all_runs(size):
            if run.trainer != "soart":
                parsers[run.trainer].parse_args(["--data", "d", "--out", "o", "--seed", "1", *run.options])


def test_the_designs_are_accepted_and_have_what_is_taken_from_them(runs, tmp_path):
    """Every split of every dataset finds rows, and none stands in two splits."""
    workshop = datasets_made.Workshop(tmp_path, design_only)
    designs = {design for run in runs for design in run.data.designs}
    rows_of = {design: datasets_made.read_rows_of(workshop.manifests(design)) for design in designs}
    for data in {run.data.name: run.data for run in runs}.values():
        seen: set[tuple[str, str]] = set()
        for split, takes in data.splits:
            for take in takes:
                rows = taken(rows_of[take.design], take)
                names = {(take.design.name, row["run"]) for row in rows}
                assert len(names) == len(rows) and not names & seen, (data.name, split)
                seen |= names


def design_only(words: Sequence[str], log: Path) -> None:
    from generator.__main__ import main

    assert list(words[:3]) == ["-m", "generator", "design"]
    assert main(list(words[2:])) == 0


def made_rows(count: int) -> list[dict[str, str]]:
    return [
        {"run": f"r{n}", "split": "train", "camera": "ab"[n % 2], "defects": ("bent@r1c1", "")[n // 2 % 2]}
        for n in range(count)
    ]


def test_every_nth_row_keeps_the_balance():
    some = every_nth(made_rows(80), 8)
    assert len(some) == 8
    counts = {(row["camera"], row["defects"]) for row in some}
    assert len(counts) == 4


def test_folds_share_no_row():
    design = plan.Design("d", ())
    first, second = (taken(made_rows(40), Take(design, "train", 15, fold, 2)) for fold in (0, 1))
    assert len(first) == len(second) == 15
    assert not {row["run"] for row in first} & {row["run"] for row in second}


def test_only_training_rows_get_copies(tmp_path):
    """`augment plan` proposes training rows alone; the study's plan asks for more copies of these, and of no other."""
    plain = tmp_path / ".plain.half"
    plain.mkdir()
    planned: list[dict[str, str]] = []

    def pretended(words: Sequence[str], log: Path) -> None:
        path = plain.with_suffix(".csv")
        if "plan" in words:
            lines = ["a,128,256,no,yes,yes,x", "b,128,256,no,no,no,x"]
            path.write_text("\n".join(["file,height,width,cut,reverse,plus90,folder", *lines]) + "\n")
        else:
            planned.extend(datasets_made.read_rows_of([path]))

    datasets_made.Workshop(tmp_path, pretended)._improved(plain)
    asked = {row["file"]: {row[name] for name in ("cut", "reverse", "plus90")} for row in planned}
    assert asked == {"a": {"yes"}, "b": {"no"}}


def test_a_take_without_rows_is_told():
    with pytest.raises(datasets_made.PlanError, match="expected rows of split test, got none"):
        taken(made_rows(4), Take(plan.Design("d", ()), "test"))


def result_of(*_: Any) -> dict[str, Any]:
    curve = [
        {"epoch": 1.0, "stage": "pictures", "train_accuracy": 0.6, "val_accuracy": 0.5, "val_loss": 1.0}
        | {"val_balanced_accuracy": 0.5, "val_map50": 0.1, "train_loss": 2.0, "seconds_so_far": 10.0},
        {"epoch": 2.0, "stage": "pictures", "train_accuracy": 0.9, "val_accuracy": 0.8, "val_loss": 0.6}
        | {"val_balanced_accuracy": 0.8, "val_map50": 0.3, "train_loss": 1.0, "seconds_so_far": 20.0},
    ]
    measured = {"balanced_accuracy": SHARE, "accuracy": SHARE, "factors": {}, "answers": ANSWERS}
    measured["recall"] = {"OTHERNG": SHARE}
    names = (
        "test",
        "test_known",
        "test_new",
        "test_shifted",
        "test_allpins",
        "test_mixed",
        "test_housings",
        "test_latched",
    )
    stage = {
        "ng_pictures": 20,
        "hit": 0.5,
        "energy_ratio": 9.0,
        "entropy_ng": 0.4,
        "entropy_ok": 0.6,
        "on_pins": 0.7,
        "on_housing": 0.2,
    }
    attention = {
        "weights": {"00008": {"gradient": stage}, "00016": {"gradient": stage}},
        "baselines": {"uniform": stage, "random weights, gradient": {**stage, "hit": None}},
    }
    part = {"class": SHARE, "verdict": SHARE, "recall": {"NUKENG": SHARE}, "answers": ANSWERS}
    judged = [*(("good", "") for _ in range(4)), *(("bad", "bent") for _ in range(3))]
    by_method = {m: [0.1, 0.3, 0.2, 0.4, 0.5, 0.35, 0.6] for m in (*plan.METHODS, "ViT")}
    box = {"map50": 0.2, "map50_interval": [0.1, 0.3], "false_boxes_per_ok_picture": 0.1}
    return {
        "curve": curve,
        "collapsed": False,
        "splits": {name: {**measured, **box} for name in names},
        "attention": {"test_housings": attention},
        "views": dict.fromkeys(measures.VIEWS, part),
        "originals": {"balanced_accuracy": SHARE},
        "scores": measures.scores(judged, by_method),
        "parameters": 100,
        "trained_parameters": 50,
        "changed_parameters": 40,
        "forgetting": {"similarity": 0.5, "agreement": 0.5},
    }


class Pretended:
    """Commands that write what a trainer leaves behind; `fails` and `killed` name options that end badly, once each."""

    def __init__(self) -> None:
        self.said: list[list[str]] = []
        self.fails: set[str] = set()
        self.killed: set[str] = set()

    def __call__(self, words: Sequence[str], log: Path) -> None:
        self.said.append(list(words))
        for word in words:
            if word in self.fails:
                raise CommandFailed(f"exit code 2 of {word}")
        out = Path(words[words.index("--out" if "--out" in words else "--to") + 1])
        out.mkdir(parents=True, exist_ok=True)
        if words[1] == "trainer.evaluate":
            (out / "evaluation.json").touch()
            return
        if words[1] == "trainer.attention":
            (out / "attention.json").write_text("{}")
            return
        (out / "state.safetensors").touch()
        (out / "stages" / "00008").mkdir(parents=True, exist_ok=True)
        (out / "stages" / "00008" / "best.safetensors").touch()
        for word in words:
            if word in self.killed:
                self.killed.remove(word)
                raise KeyboardInterrupt
        (out / "summary.json").touch()


@pytest.fixture
def commands(monkeypatch) -> Pretended:
    monkeypatch.setattr(datasets_made.Workshop, "data", lambda self, data: self.work / data.name)
    monkeypatch.setattr(datasets_made.Workshop, "facts", lambda self, data: {"hash": "0", "rows": {}})
    monkeypatch.setattr(measures, "result", result_of)
    return Pretended()


def at(tmp_path: Path, commands: Pretended) -> Execution:
    return Execution(tmp_path / "work", tmp_path / "results", command=commands, report=quiet)


def some_runs(runs: list[plan.Run], question: int, count: int) -> list[plan.Run]:
    return [run for run in runs if run.question == question][:count]


def quiet(text: str) -> None:
    pass


def test_a_finished_run_is_never_repeated(runs, tmp_path, commands):
    two = some_runs(runs, 3, 2)
    first = execute(at(tmp_path, commands), two)
    assert first.done == two and not first.failed
    assert {path.stem for path in (tmp_path / "results").iterdir()} == {run.key for run in two}
    said = len(commands.said)
    again = execute(at(tmp_path, commands), two)
    assert not again.done and len(commands.said) == said


def test_a_result_says_what_it_was_made_with(runs, tmp_path, commands):
    (run,) = some_runs(runs, 3, 1)
    execute(at(tmp_path, commands), [run])
    document = json.loads((tmp_path / "results" / f"{run.key}.json").read_text())
    assert document["config"] == json.loads(json.dumps(run.config))
    assert {"seed", "data", "versions", "device", "threads", "seconds", "result", "processor"} <= set(
        document
    )
    assert document["versions"]["python"] and document["seconds"]["training_wall"] >= 0


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
    assert not (tmp_path / "results" / f"{bad.key}.json").exists()
    commands.fails = set()
    assert execute(at(tmp_path, commands), [bad, good]).done == [bad]
    assert not at(tmp_path, commands).error_of(bad)


def test_a_killed_training_goes_on_and_does_not_begin_again(runs, tmp_path, commands):
    (run,) = some_runs(runs, 3, 1)
    commands.killed = {"trainer.vit"}
    with pytest.raises(KeyboardInterrupt):
        execute(at(tmp_path, commands), [run])
    assert not list((tmp_path / "results").glob("*")) if (tmp_path / "results").exists() else True
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
    held.enter_context(datasets_made.locked(here.folder(run.init).with_suffix(".lock")))
    assert execute(here, [run]).done == [run]
    assert said[1:] == [f"  waiting: {run.init.name} is being made by another process"]


def test_a_run_that_another_process_is_at_is_left_to_it(runs, tmp_path, commands):
    """Also where the other one was killed and its training goes on alone: the training holds the lock."""
    one, other = some_runs(runs, 3, 2)
    here = at(tmp_path, commands)
    lock = here.folder(one).with_suffix(".lock")
    script = (
        "import subprocess, sys\n"
        "from pathlib import Path\n"
        "from studies.datasets_made import locked\n"
        "with locked(Path(sys.argv[1])):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], close_fds=False)\n"
        "    print(child.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    words = [sys.executable, "-c", script, str(lock)]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        holder.stdout.readline()
        holder.kill()
        outcome = execute(here, [one, other])
    assert outcome.left == [one] and outcome.done == [other] and not outcome.failed
    for _ in range(100):  # the training ends as its input has ended
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


def test_a_command_that_fails_says_what_it_said(tmp_path):
    with pytest.raises(CommandFailed, match=r"exit code 2 of -m generator design no-such\.toml"):
        execution.python(["-m", "generator", "design", "no-such.toml", "-o", "x"], tmp_path / "log.txt")
    assert "no-such.toml" in (tmp_path / "log.txt").read_text()


def test_only_takes_topics_numbers_and_parts_of_names(runs):
    assert {run.question for run in command_line.chosen(runs, ["ladder"])} == {1}
    assert {run.question for run in command_line.chosen(runs, ["2", "views"])} == {2, 4}
    assert {run.variant for run in command_line.chosen(runs, ["image labels, RGB"])} == {"image labels, RGB"}


def test_an_unknown_topic_is_a_user_s_mistake(capsys):
    assert command_line.main(["--only", "no-such-topic"]) == 2
    assert "--only: expected one of ladder" in capsys.readouterr().err


def test_list_says_what_is_done_and_what_is_left(runs, tmp_path, commands):
    two = some_runs(runs, 3, 2)
    execute(at(tmp_path, commands), two[:1])
    lines = command_line.listing(two, at(tmp_path, commands))
    assert lines[0].endswith(": done") and lines[1].endswith(": to do")
    assert lines[-1].startswith("1 of 2 runs done; the rest takes about")
    assert any("to render: ladder_1_shifted: 864 pictures" in line for line in lines)


def test_means_and_envelopes():
    value = over_seeds([SHARE, {**SHARE, "share": 0.6, "interval": [0.5, 0.75]}])
    assert (value.mean, value.low, value.high, value.seeds) == (pytest.approx(0.7), 0.5, 0.9, 2)
    assert over_seeds([]) is None and over_seeds([{"share": None, "interval": [0, 1]}]) is None


def answers_of(truth: np.ndarray, share_right: float, seed: int, names: str = "1") -> dict[str, Any]:
    """A run's answers of which some share is right, drawn."""
    right = np.random.default_rng(seed).random(len(truth)) < share_right
    said = np.where(right, truth, (truth + 1) % 3)
    return {"of": names, "classes": CLASSES} | {
        key: "".join(map(str, labels)) for key, labels in (("truth", truth), ("said", said))
    }


def test_a_difference_is_that_of_the_balanced_accuracies():
    truth = np.repeat([0, 1, 2], (10, 30, 60))
    wrong = truth.copy()
    wrong[:5] = 1  # half of the smallest class: a sixth of the balanced accuracy, 5 of 100 pictures
    one, other = (answers_of(truth, 1.0, 0) | {"said": "".join(map(str, s))} for s in (wrong, truth))
    found = difference([one], [other])
    assert found.mean == pytest.approx(1 / 6) and found.low > 0 and found.seeds == 1
    assert not found.decided and str(found).startswith("+0.167 (+0.0")
    thrice = difference([one] * 3, [other] * 3)
    assert thrice.decided and str(thrice).startswith("**+0.167 (+0.0")
    same = difference([one], [one])
    assert (same.mean, same.low, same.high, same.decided) == (0, 0, 0, False)


def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say():
    """Two methods that are equally good: some 5 of 100 intervals leave out zero, and a real step is seen."""
    truth = np.arange(180) % 3
    decided = 0
    for trial in range(60):
        sides = [[answers_of(truth, 0.8, 6 * trial + 3 * side + s) for s in range(3)] for side in (0, 1)]
        decided += difference(*sides).decided
    assert decided <= 9
    weak, strong = ([answers_of(truth, share, s + 10) for s in range(3)] for share in (0.7, 0.9))
    assert difference(weak, strong).low > 0.1 and difference(strong, weak).high < -0.1


def test_three_trainings_of_unlike_luck_are_not_taken_for_two_methods():
    """Each training has a luck of its own: with three seeds some 5 of 100 intervals of equal methods leave out zero."""
    truth, rng, decided = np.arange(180) % 3, np.random.default_rng(0), 0
    for trial in range(60):
        shares = np.clip(rng.normal(0.8, 0.03, (2, 3)), 0, 1)
        sides = [
            [answers_of(truth, share, 6 * trial + 3 * side + s) for s, share in enumerate(shares[side])]
            for side in (0, 1)
        ]
        decided += difference(*sides).decided
    assert decided <= 9


def test_an_area_is_the_share_of_pairs_in_order_and_its_change_is_seen():
    rng = np.random.default_rng(0)
    good, bad = rng.normal(0, 1, 60), rng.normal(1.5, 1, 20)
    value = findings_of_areas([{"bent": (good, bad)}])["bent"]
    assert value.mean == pytest.approx(auroc(bad, good)) and value.low < value.mean < value.high
    blind = [(rng.normal(0, 1, 60), rng.normal(0, 1, 20)) for _ in range(3)]
    worse = auroc_difference([(good, bad)], blind, seeds=3)
    assert worse.decided and worse.high < 0
    assert worse.mean == pytest.approx(np.mean([auroc(b, g) for g, b in blind]) - auroc(bad, good))
    same = auroc_difference([(good, bad)], [(good, bad)] * 3, seeds=3)
    assert (same.mean, same.low, same.high, same.decided) == (0, 0, 0, False)
    assert auroc_difference([], blind) is None


def test_scores_are_kept_by_defect():
    judged = [("a", ""), ("b", ""), ("c", "bent_1mm"), ("d", "missing")]
    kept = measures.scores(judged, {"ViT": [0.1, 0.2, 0.8, 1 / 3]})
    assert kept["by_method"]["ViT"] == [0.1, 0.2, 0.8, 0.333333]
    by_cell = scores_of({"scores": kept}, "ViT")
    assert {cell: (list(good), list(bad)) for cell, (good, bad) in by_cell.items()} == {
        "bent 1mm": ([0.1, 0.2], [0.8]),
        "missing": ([0.1, 0.2], [0.333333]),
    }
    with pytest.raises(ValueError, match="one after the other"):
        measures.scores([judged[0], judged[2], judged[1]], {})


def test_a_vit_is_asked_about_the_pictures_that_the_others_judge():
    rows = [{"run": f"f{n}", "role": "fresh", "cell": ""} for n in range(70)]
    rows += [{"run": "p0", "role": "pool", "cell": ""}, {"run": "j0", "role": "judged", "cell": "bent"}]
    rows += [{"run": "t0"}]  # of the training's own design
    said = [{"run": row["run"], "split": "test", "p_ng": "0.25"} for row in rows if row["run"] != "t0"]
    kept = measures.vit_scores(said, rows)
    assert kept["cells"] == {"": 60, "bent": 1}
    assert kept["of"] == measures.scores([*((f"f{n}", "") for n in range(60)), ("j0", "bent")], {})["of"]


def test_what_tuning_changes_is_told_of_the_model_that_was_tuned():
    def document(key: str, init: str | None, **map50: float) -> dict[str, Any]:
        splits = {name: {"map50": value} for name, value in map50.items()}
        return {"key": key, "config": {"init": init}, "result": {"splits": splits}}

    base = [document("a", None, test=0.8, test_new=0.4), document("b", None, test=0.6, test_new=0.1)]
    tuned = [document("c", "b", test=0.5, test_known=0.5), document("d", "none", test=0.9, test_known=0.9)]
    found = Found(7, "reduced", 0, {"RGB": base, "tuned": tuned})
    changes = gained(found, "tuned")
    assert changes == {"new housing": [pytest.approx(0.4)], "known pictures": [pytest.approx(-0.1)]}


def test_pictures_of_two_processors_are_told():
    def document(data: str) -> dict[str, Any]:
        return {"config": {"data": "recipe"}, "data": {"hash": data}}

    assert Found(1, "reduced", 0, {"a": [document("1"), document("1")]}).renderings == 1
    assert Found(1, "reduced", 0, {"a": [document("1")], "b": [document("2")]}).renderings == 2


def test_the_same_models_are_compared_seed_by_seed():
    """Three unlike models, each better by the same pictures: sure when paired, and not when each side draws its own."""
    truth = np.arange(300) % 3
    before = [answers_of(truth, share, 1) for share in (0.3, 0.6, 0.9)]
    after = [{**one, "said": one["truth"][:30] + one["said"][30:]} for one in before]
    assert difference(before, after, same_models=True).decided
    assert not difference(before, after).decided


def test_answers_to_other_pictures_are_not_compared():
    truth = np.arange(30) % 3
    with pytest.raises(ValueError, match="same pictures"):
        difference([answers_of(truth, 0.5, 0)], [answers_of(truth, 0.5, 0, "2")])
    assert difference([], [answers_of(truth, 0.5, 0)]) is None


def test_answers_are_kept_by_class_and_picture():
    lines = [{"run": r, "truth": t, "said": s} for r, t, s in (("a", "OK", "BENDNG"), ("b", "OK", "OK"))]
    found = measures.answers(lines)
    assert found["classes"] == ["BENDNG", "OK"] and (found["truth"], found["said"]) == ("11", "01")
    assert measures.answers(lines[::-1])["of"] != found["of"]


def test_a_busy_machine_is_no_slow_method():
    """Of each kind the fastest epoch of any seed counts."""
    kinds = ("close-ups", "close-ups", "pictures", "pictures")
    calm, busy = (
        [{"stage": kind, "seconds_so_far": float(at)} for kind, at in zip(kinds, times, strict=True)]
        for times in ((3, 5, 15, 25), (9, 18, 26, 60))
    )
    assert quiet_seconds([calm, busy]) == {"close-ups": 2.0, "pictures": 8.0}


def test_a_page_without_results_says_so(tmp_path):
    target = tmp_path / "results.md"
    target.write_text((ROOT / "docs" / "results.md").read_text("utf-8"), "utf-8")
    page.write(tmp_path / "nothing", target, tmp_path / "images")
    assert target.read_text("utf-8").count(page.NOT_RUN) == 8


def by_hand(text: str) -> list[str]:
    """What of the page stands outside of the markers."""
    return re.split(r"(?s)written by --write -->.*?<!-- end of", text)


def test_the_page_is_written_from_the_results_alone(runs, tmp_path, commands):
    """Every question gets a table and a figure, what a person wrote stays, and writing again changes nothing."""
    execute(at(tmp_path, commands), runs)
    target = tmp_path / "results.md"
    before = (ROOT / "docs" / "results.md").read_text("utf-8")
    target.write_text(before, "utf-8")
    page.write(tmp_path / "results", target, tmp_path / "images")
    text = target.read_text("utf-8")
    assert page.NOT_RUN not in text
    assert "0.800 (0.700–0.900)" in text
    assert by_hand(before) == by_hand(text)
    first = text.split("## How to run it")[0]
    assert glance.MISSING not in first and "NSOART instead of RGB: +0.000" in first
    pictures = sorted((tmp_path / "images").glob("*.png"))
    assert len(pictures) == 8 and all(f"images/{path.name}" in text for path in pictures)
    page.write(tmp_path / "results", target, tmp_path / "images")
    assert target.read_text("utf-8") == text


def test_runs_at_another_size_stand_beside_those_of_the_size_that_has_more(runs, tmp_path, commands):
    large = [run for run in all_runs("full", 1) if run.question == 4]
    execute(at(tmp_path, commands), [*runs, large[1]])
    target = tmp_path / "results.md"
    target.write_text((ROOT / "docs" / "results.md").read_text("utf-8"), "utf-8")
    page.write(tmp_path / "results", target, tmp_path / "images")
    text = target.read_text("utf-8")
    assert f"The same at size *full*, of which 1 of {3 * len(large)} runs are done" in text
    assert text.count("--size full\n") == 1 and "only views --size full\n\n| trained |" in text


def test_each_line_at_a_glance_leads_to_its_section():
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    headings = re.findall(r"^## (\d\. .*)$", text, re.MULTILINE)
    assert headings == [f"{question}. {title}" for question, title in glance.TITLES.items()]


def test_a_page_without_its_markers_is_left_alone(tmp_path):
    target = tmp_path / "results.md"
    target.write_text("by hand", "utf-8")
    with pytest.raises(ValueError, match="expected the lines <!-- study at a glance"):
        page.write(tmp_path / "nothing", target, tmp_path / "images")
    assert target.read_text("utf-8") == "by hand"


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / "0123.json").write_text("{}")
    with pytest.raises(ValueError, match=r"0123\.json: expected the result of a run"):
        documents_in(tmp_path)


def test_the_kept_page_is_what_the_kept_results_say(tmp_path):
    """No number was typed by hand: writing the page again gives its words (figures are not compared)."""
    kept = ROOT / "docs" / "results.md"
    target = tmp_path / "results.md"
    target.write_text(kept.read_text("utf-8"), "utf-8")
    page.write(command_line.RESULTS, target, tmp_path / "images")
    assert target.read_text("utf-8") == kept.read_text("utf-8")


def test_words_wait_for_runs_only_as_long_as_there_are_any():
    all_found = findings(documents_in(command_line.RESULTS)).values()
    text = "".join(by_hand((ROOT / "docs" / "results.md").read_text("utf-8")))
    recipe = (ROOT / "README.md").read_text("utf-8").partition("## The recipe")[2].partition("\n## ")[0]
    waits = re.findall(r"so far|Not all runs are done|when the runs are done|being run again", text + recipe)
    assert bool(waits) == any(found.done < found.planned for found in all_found), waits


def test_every_kept_result_belongs_to_the_plan():
    planned = {run.key for size in plan.SIZES for run in all_runs(size)}
    assert not set(documents_in(command_line.RESULTS)) - planned
    assert findings({})[1].done == 0


def test_an_answer_from_all_views_counts_as_it_is():
    rows = [{"run": f"p{part}{c}", "camera": c} for part in "ab" for c in measures.VIEWS["all five"]]

    def line(run: str, part: str, ok: float) -> dict[str, str]:
        shares = {"p_ng": str(1 - ok), "p_BENDNG": str(1 - ok), "p_OK": str(ok)}
        return {"split": "test", "run": run, "part": part, "truth": "BENDNG", **shares}

    together = [
        line("+".join(r["run"] for r in rows if r["run"][1] == part), part, ok)
        for part, ok in (("a", 0.2), ("b", 0.9))
    ]
    found = measures.by_views(together, rows)
    assert found["all five"]["parts"] == 2 and found["all five"]["class"]["count"] == 1
    assert found["centre"]["parts"] == 0 and found["centre"]["class"]["share"] is None
    alone = [line(row["run"], row["run"][1], 0.2 if row["camera"] == "top" else 0.7) for row in rows]
    found = measures.by_views(alone, rows)
    assert found["centre"]["parts"] == found["all five"]["parts"] == 2
    assert found["all five"]["class"]["count"] == 0 and found["all five"]["recall"]["BENDNG"]["of"] == 2
    assert found["centre, top, bottom"]["class"]["share"] == 0.0
