"""What every page shares: meanings of its words, and cells for people."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from generator.dataset.labels import CLASSES
from generator.reporting.glossary import CLASS_WORDS, OTHER_WORDS, Explained
from generator.reporting.pages import render, shown


def test_every_class_and_verdict_has_a_meaning_and_no_word_has_two() -> None:
    assert {*CLASSES, "NG"} == set(CLASS_WORDS)
    assert not set(CLASS_WORDS) & set(OTHER_WORDS)


def test_a_word_is_explained_once_with_the_words_of_its_meaning() -> None:
    explained = Explained()
    first = explained.new_in("<h2>Splits</h2><p title='tilt'>Escapes: <b>NUKENG</b></p><script>mAP = 1</script>")
    assert set(first["classes"]) >= {"NUKENG", "OK", "NG"} and "BENDNG" not in first["classes"]
    assert {"escape", "split", "tolerance"} <= set(first["others"])
    assert not {"tilt", "mAP"} & set(first["others"])
    again = explained.new_in("an escape of NUKENG at a tilt")
    assert (again["classes"], list(again["others"])) == ({}, ["tilt"])


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("BEND-NG", "BENDNG", True),
        ("a calibration certificate", "calibration certificate", True),
        ("a calibration certificate", "calibration", False),
        ("a calibration, certified", "calibration", True),
        ("a bent pin", "BENDNG", True),
        ("Tilts", "tilt", True),
        ("tilted", "tilt", False),
        ("collapsed", "collapse", True),
        ("OK", "OK", True),
        ("ok", "OK", False),
        ("OKAY", "OK", False),
    ],
)
def test_words_are_found_in_their_forms(text: str, word: str, found: bool) -> None:
    new = Explained().new_in(text)
    assert (word in {**new["classes"], **new["others"]}) is found


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (1234567, "1,234,567"),
        (True, "True"),
        (0.12345, "0.123"),
        ([0.25, 0.5], "0.250 to 0.500"),
        ("3 of 7", "3 of 7"),
    ],
)
def test_cells_are_shown_for_people(value: object, text: str) -> None:
    assert shown(value) == text


def test_a_value_that_is_missing_is_an_error_not_an_empty_place() -> None:
    with pytest.raises(UndefinedError):
        render("generator.reporting", "dataset.html.j2", title="x")
