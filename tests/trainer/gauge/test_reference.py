"""The file of a reference: what is read, refused, and derived from it."""

import numpy as np
import pytest

from trainer.core.errors import InputError
from trainer.gauge.reference import Reference


def test_a_reference_that_does_not_fit_the_photographs_is_refused():
    reference = Reference({"p1": {"r1c1": np.zeros(3)}})
    reference.check({"a/p1": ["center"]}, ["center"], ["r1c1"])
    for photographed, views, addresses, said in (
        ({"a/p1": ["center"]}, ["center"], ["A1"], "part p1: expected addresses on the drawing, such as A1, got r1c1"),
        ({}, ["center"], ["r1c1"], "part p1: expected a photograph"),
        ({"a/p1": ["center"], "b/p1": ["center"]}, ["center"], ["r1c1"], "part p1: expected one part of this name"),
        ({"a/p1": ["left"]}, ["center"], ["r1c1"], r"views of the good parts \(center\), got left"),
    ):
        with pytest.raises(InputError, match=said):
            reference.check(photographed, views, addresses)


def test_the_tip_of_a_bent_pin_is_lower_than_its_terminal():
    reference = Reference({"p1": {"r1c1": np.array([0.6, 0.8, 0.13]), "r1c2": np.array([0.0, 0.0, 0.13])}})
    found = reference.of_terminals({"r1c1": 5.0, "r1c2": 5.0}).measures["p1"]
    # 0.65 of the square of the bend over the length: see docs/explanation/gauge.md.
    assert found["r1c1"] == pytest.approx([0.6, 0.8, 0.0]) and found["r1c2"] == pytest.approx([0.0, 0.0, 0.13])
