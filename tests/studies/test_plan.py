"""The study's plan: keys, names, options."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies import plan
from studies import run as run_module
from studies.plan import all_runs
from tests.conftest import ROOT


def test_every_question_has_runs_and_three_seeds(runs):
    assert {run.question for run in runs} == set(range(1, 9))
    assert all({r.seed for r in runs if r.question == q} == {0, 1, 2} for q in run_module.TOPICS)


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
    monkeypatch.setattr(run_module, "ROOT", tmp_path)
    for design in run.data.designs:
        for source in design.sources:
            (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / source).write_bytes((ROOT / source).read_bytes() + b"\n")
    assert replace(run).key != before


def test_the_trainers_accept_every_run_s_options(runs):
    from trainer.florence2.options import parser as florence2_parser
    from trainer.vit.options import parser as vit_parser

    parsers = {"vit": vit_parser(), "florence2": florence2_parser()}
    for size in plan.SIZES:
        for run in all_runs(size):
            if run.trainer != "soart":
                parsers[run.trainer].parse_args(["--data", "d", "--out", "o", "--seed", "1", *run.options])


def test_a_manifest_that_only_moves_is_the_same_run(runs, tmp_path, monkeypatch):
    run = runs[0]
    before = run.key
    monkeypatch.setattr(run_module, "ROOT", tmp_path)

    def moved(design: run_module.Design) -> run_module.Design:
        for source in design.sources:
            (tmp_path / Path(source).name).write_bytes((ROOT / source).read_bytes())
        return replace(design, sources=tuple(Path(source).name for source in design.sources))

    splits = tuple((s, tuple(replace(t, design=moved(t.design)) for t in takes)) for s, takes in run.data.splits)
    assert replace(run, data=replace(run.data, splits=splits)).key == before
