"""Designs and datasets of the study."""

from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies import datasets_made
from studies.datasets_made import every_nth, taken
from studies.run import Design, Take


def test_the_designs_are_accepted_and_have_what_is_taken_from_them(runs, tmp_path):
    """Every split of every dataset has rows, and no row is in two splits."""
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
    design = Design("d", ())
    first, second = (taken(made_rows(40), Take(design, "train", 15, fold, 2)) for fold in (0, 1))
    assert len(first) == len(second) == 15
    assert not {row["run"] for row in first} & {row["run"] for row in second}


def test_only_training_rows_get_copies(tmp_path):
    """`augment plan` proposes copies of training rows only; the study's plan adds operations to these rows only."""
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


def test_a_take_without_rows_is_an_error():
    with pytest.raises(datasets_made.PlanError, match="expected rows of split test, got none"):
        taken(made_rows(4), Take(Design("d", ()), "test"))
