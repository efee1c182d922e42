"""Options that are numbers: what is said of a text that is none."""

import argparse

import pytest

from generator.__main__ import main
from generator.io.number_option import number, whole_number


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
