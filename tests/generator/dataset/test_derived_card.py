"""The card of a dataset that is not built from renders alone."""

import pytest

from generator.dataset.derived_card import make_derived_card


@pytest.mark.parametrize(("origins", "by_people"), [({"renders": 2, "copies": 1}, False), ({"photographs": 2}, True)])
def test_only_a_dataset_with_photographs_says_that_people_labelled_them(origins, by_people):
    counts = {"train": {"OK": 2, "BENDNG": 1}}
    card = make_derived_card("A", ["B."], counts, {"train": origins}, ("BENDNG", "OK"), {}, "other", "0" * 64)
    assert ("People labelled the photographs" in card) == by_people
    assert "Balance says nothing about how often defects occur." in card
