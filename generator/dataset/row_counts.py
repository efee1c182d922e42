"""What a build counts over the rows of a dataset."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True)
class RowCounts:
    """Counts over rows that go into a dataset; those of several chunks can be added.

    Attributes:
        other: whether any object has the class OTHERNG.
        grey_rows, hidden_rows: number of rows in the grey zone, and of NG rows in which no defect is visible.
        blank_rows: number of rows, OK or NG, in which nothing can be seen: `is_blank`, or OK and no pin is in view.
        unseen_rows: number of other OK rows in which some pin cannot be seen at all.
        ceilings: (number of boxes in all `bbox_str`, sum and minimum of their IoU with the exact boxes); the IoU is
            below 1 because edges in `bbox_str` are rounded to a thousandth of the picture.
        records: sum of `record_number` over the rows' records.
    """

    other: bool = False
    grey_rows: int = 0
    hidden_rows: int = 0
    blank_rows: int = 0
    unseen_rows: int = 0
    ceilings: tuple[int, float, float] = (0, 0.0, 1.0)
    records: int = 0

    def add(self, more: RowCounts) -> None:
        """Add the counts over further rows."""
        self.other |= more.other
        self.grey_rows += more.grey_rows
        self.hidden_rows += more.hidden_rows
        self.blank_rows += more.blank_rows
        self.unseen_rows += more.unseen_rows
        count, total, least = more.ceilings
        self.ceilings = self.ceilings[0] + count, self.ceilings[1] + total, min(self.ceilings[2], least)
        self.records += more.records
