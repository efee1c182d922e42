import pytest

from generator.verdict.decimals import told_apart


@pytest.mark.parametrize(
    ("value", "limit", "decimals", "texts"),
    [
        (40, 97, 0, ("40", "97")),
        (96.7, 97.2, 0, ("96.7", "97.2")),
        (96.96, 97.04, 0, ("96.96", "97.04")),
        (0.5512, 0.5481, 2, ("0.551", "0.548")),
        (1, 1, 0, ("1.000000000", "1.000000000")),
    ],
)
def test_a_value_and_its_limit_are_told_apart(value, limit, decimals, texts):
    assert told_apart(value, limit, decimals) == texts
