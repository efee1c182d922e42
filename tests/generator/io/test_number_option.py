"""Options that are numbers: what is said of a text that is none."""

import argparse

import pytest

from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.io.number_option import check_workers, number, whole_number, worker_problems


def test_numbers_are_read():
    assert whole_number("12") == 12 and number("0.5") == 0.5 and number("1e-3") == 0.001


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (whole_number, "two", "expected a whole number, got 'two'"),
        (whole_number, "1.5", "expected a whole number, got '1.5'"),
        (whole_number, "1_0", "expected a whole number, got '1_0'"),
        (number, "0,1", "expected a number, got '0,1' (the decimal sign is a point)"),
        (number, "0_8", "expected a number, got '0_8'"),
        (number, "warm", "expected a number, got 'warm'"),
    ],
)
def test_other_texts_are_refused(kind, text, told):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        kind(text)
    assert str(error.value) == told


def test_a_command_says_so_of_its_option(capsys):
    with pytest.raises(SystemExit) as end:
        main(["build", "out", "--grey", "0,1"])
    assert end.value.code == 2
    assert "argument --grey: expected a number, got '0,1' (the decimal sign is a point)" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "is_right"), [(None, True), (1, True), (1024, True), (0, False), (1025, False)])
def test_from_1_to_1024_processes_can_be_asked_for(count, is_right):
    said = [] if is_right else [f"--workers: expected 1 to 1024 processes, got {count}"]
    assert worker_problems(count) == said
    if is_right:
        check_workers(count)
    else:
        with pytest.raises(InputError) as error:
            check_workers(count)
        assert error.value.problems == said
