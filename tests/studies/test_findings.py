"""Means, envelopes and differences over seeds."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from benchmarks.soart_evaluation import auroc
from studies.findings import Found, auroc_difference, difference, over_seeds
from studies.findings import areas as findings_of_areas
from tests.studies.pretended import CLASSES, SHARE


def test_means_and_envelopes():
    value = over_seeds([SHARE, {**SHARE, "share": 0.6, "interval": [0.5, 0.75]}])
    assert (value.mean, value.low, value.high, value.seeds) == (pytest.approx(0.7), 0.5, 0.9, 2)
    assert over_seeds([]) is None and over_seeds([{"share": None, "interval": [0, 1]}]) is None


def answers_of(truth: np.ndarray, share_right: float, seed: int, names: str = "1") -> dict[str, Any]:
    """Random answers of a run, of which a given share is right."""
    right = np.random.default_rng(seed).random(len(truth)) < share_right
    said = np.where(right, truth, (truth + 1) % 3)
    return {"of": names, "classes": CLASSES} | {
        key: "".join(map(str, labels)) for key, labels in (("truth", truth), ("said", said))
    }


def test_a_difference_is_that_of_the_balanced_accuracies():
    truth = np.repeat([0, 1, 2], (10, 30, 60))
    wrong = truth.copy()
    wrong[:5] = 1  # 5 of 100 pictures, but half of the smallest class: a sixth of the balanced accuracy
    one, other = (answers_of(truth, 1.0, 0) | {"said": "".join(map(str, s))} for s in (wrong, truth))
    found = difference([one], [other])
    assert found.mean == pytest.approx(1 / 6) and found.low > 0 and found.seeds == 1
    assert not found.decided and str(found).startswith("+0.167 (+0.0")
    thrice = difference([one] * 3, [other] * 3)
    assert thrice.decided and str(thrice).startswith("**+0.167 (+0.0")
    same = difference([one], [one])
    assert (same.mean, same.low, same.high, same.decided) == (0, 0, 0, False)


def test_intervals_of_a_difference_hold_the_truth_as_often_as_they_say():
    """For equally good methods about 5 of 100 intervals exclude zero; a real improvement is detected."""
    truth = np.arange(180) % 3
    decided = 0
    for trial in range(60):
        sides = [[answers_of(truth, 0.8, 6 * trial + 3 * side + s) for s in range(3)] for side in (0, 1)]
        decided += difference(*sides).decided
    assert decided <= 9
    weak, strong = ([answers_of(truth, share, s + 10) for s in range(3)] for share in (0.7, 0.9))
    assert difference(weak, strong).low > 0.1 and difference(strong, weak).high < -0.1


def test_three_trainings_of_unlike_luck_are_not_taken_for_two_methods():
    """Trainings differ by chance: with three seeds, about 5 of 100 intervals of equal methods exclude zero."""
    truth, rng, decided = np.arange(180) % 3, np.random.default_rng(0), 0
    for trial in range(60):
        shares = np.clip(rng.normal(0.8, 0.03, (2, 3)), 0, 1)
        sides = [
            [answers_of(truth, share, 6 * trial + 3 * side + s) for s, share in enumerate(shares[side])]
            for side in (0, 1)
        ]
        decided += difference(*sides).decided
    assert decided <= 9


def test_an_area_is_the_share_of_pairs_in_order_and_its_change_is_seen():
    rng = np.random.default_rng(0)
    good, bad = rng.normal(0, 1, 60), rng.normal(1.5, 1, 20)
    value = findings_of_areas([{"bent": (good, bad)}])["bent"]
    assert value.mean == pytest.approx(auroc(bad, good)) and value.low < value.mean < value.high
    blind = [(rng.normal(0, 1, 60), rng.normal(0, 1, 20)) for _ in range(3)]
    worse = auroc_difference([(good, bad)], blind, seeds=3)
    assert worse.decided and worse.high < 0
    assert worse.mean == pytest.approx(np.mean([auroc(b, g) for g, b in blind]) - auroc(bad, good))
    same = auroc_difference([(good, bad)], [(good, bad)] * 3, seeds=3)
    assert (same.mean, same.low, same.high, same.decided) == (0, 0, 0, False)
    assert auroc_difference([], blind) is None


def test_renders_of_two_processors_are_reported():
    def document(data: str) -> dict[str, Any]:
        return {"config": {"data": "recipe"}, "data": {"hash": data}}

    assert Found(1, "reduced", 0, {"a": [document("1"), document("1")]}).renderings == 1
    assert Found(1, "reduced", 0, {"a": [document("1")], "b": [document("2")]}).renderings == 2


def test_the_same_models_are_compared_seed_by_seed():
    """Three different models, each better on the same pictures: decided if seeds are paired, undecided if not."""
    truth = np.arange(300) % 3
    before = [answers_of(truth, share, 1) for share in (0.3, 0.6, 0.9)]
    after = [{**one, "said": one["truth"][:30] + one["said"][30:]} for one in before]
    assert difference(before, after, same_models=True).decided
    assert not difference(before, after).decided


def test_answers_to_other_pictures_are_not_compared():
    truth = np.arange(30) % 3
    with pytest.raises(ValueError, match="same pictures"):
        difference([answers_of(truth, 0.5, 0)], [answers_of(truth, 0.5, 0, "2")])
    assert difference([], [answers_of(truth, 0.5, 0)]) is None
