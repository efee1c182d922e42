"""The card's contact sheet: the rows that it shows."""

from generator.dataset.contact_sheet import PER_CLASS, SheetRows


def test_rows_of_other_groups_are_taken_before_more_of_one():
    rows = SheetRows()
    for number in range(100):
        rows.offer("train", number, "OK", ("a" if number < 50 else "b",))
    rows.offer("test", 0, "NUKENG", ("a",))
    assert rows.chosen == {"OK": [("train", 0), ("train", 1), ("train", 50), ("train", 51)], "NUKENG": [("test", 0)]}
    assert len(rows.chosen["OK"]) == PER_CLASS
