"""Shares of verdicts, and splits that are measurably worse than validation."""

import numpy as np
import pytest

from trainer.core.verdict_shares import sentence, verdict_shares, worse_than_validation


def report(missed: int, unsure: int = 0) -> dict:
    """The report on 200 pictures, 100 of them NG, of which so many are called OK or UNSURE."""
    ng = np.arange(200) < 100
    verdicts = np.where(ng, "NG", "OK").astype(object)
    verdicts[:missed], verdicts[missed : missed + unsure] = "OK", "UNSURE"
    return verdict_shares(ng, verdicts)


def test_escapes_stand_beside_what_was_not_decided():
    text = sentence(report(3, 20))
    assert "escapes (NG called OK) 3 of 100" in text and "UNSURE 0 of 100 OK and 20 of 100 NG" in text


@pytest.mark.parametrize(("missed", "warns"), [(2, False), (8, False), (20, True)])
def test_a_split_that_is_worse_than_validation_is_named(missed, warns):
    reports = {"validation": report(2), "test": report(missed)}
    found = worse_than_validation(reports)
    assert len(found) == warns and all("escapes on split test is 0.200 (0." in text for text in found)
    assert worse_than_validation({"test": report(missed)}) == []
    accurate, poor = ({"share": s, "interval": (s - 0.05, s + 0.05)} for s in (0.9, 0.6))
    both = {"validation": {"balanced_accuracy": accurate}, "test": {"balanced_accuracy": poor}}
    (text,) = worse_than_validation(both)
    assert "0.600 (0.550 to 0.650), worse than on validation, 0.900 (0.850 to 0.950)" in text
    assert worse_than_validation({"validation": both["test"], "test": both["validation"]}) == []
