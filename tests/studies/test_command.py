"""`python -m studies`: choice of runs, listing, and refused options."""

import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies import __main__ as command_line
from studies.execution import execute
from tests.studies.pretended import at, some_runs


def test_only_takes_topics_numbers_and_parts_of_names(runs):
    assert {run.question for run in command_line.chosen(runs, ["ladder"])} == {1}
    assert {run.question for run in command_line.chosen(runs, ["2", "views"])} == {2, 4}
    assert {run.variant for run in command_line.chosen(runs, ["image labels, RGB"])} == {"image labels, RGB"}


def test_an_unknown_topic_is_a_user_s_mistake(capsys):
    assert command_line.main(["--only", "no-such-topic"]) == 2
    assert "--only: expected a topic (ladder, " in capsys.readouterr().err


def test_list_says_what_is_done_and_what_is_left(runs, tmp_path, commands):
    two = some_runs(runs, 3, 2)
    execute(at(tmp_path, commands), two[:1])
    lines = command_line.listing(two, at(tmp_path, commands))
    assert lines[0].endswith(": done") and lines[1].endswith(": to do")
    assert lines[-1].startswith("1 of 2 runs done; the other runs take about")
    assert any("to render: ladder_1_shifted: 864 pictures" in line for line in lines)
