"""The page's section on Florence-2."""

from typing import Any

import pytest

from studies.findings import Found
from studies.questions.florence2 import gained


def test_the_change_by_tuning_is_measured_against_the_model_that_was_tuned():
    def document(key: str, init: str | None, **map50: float) -> dict[str, Any]:
        splits = {name: {"map50": value} for name, value in map50.items()}
        return {"key": key, "config": {"init": init}, "result": {"splits": splits}}

    base = [document("a", None, test=0.8, test_new=0.4), document("b", None, test=0.6, test_new=0.1)]
    tuned = [document("c", "b", test=0.5, test_known=0.5), document("d", "none", test=0.9, test_known=0.9)]
    found = Found(7, "reduced", 0, {"RGB": base, "tuned": tuned})
    changes = gained(found, "tuned")
    assert changes == {"new housing": [pytest.approx(0.4)], "known pictures": [pytest.approx(-0.1)]}
