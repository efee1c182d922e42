"""Inspection of dark pictures: the captures, AUROC with intervals, the page."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.soart_dark import METHODS, PAGE, SAMPLES, SETS, _areas, exposed, page, summary
from benchmarks.soart_dark_plan import POOLS, WEAK, rows
from benchmarks.soart_evaluation import auroc


def test_every_part_of_a_contaminated_pool_has_one_to_three_bent_pins():
    for row in rows():
        bent = [one.split(":")[0].removeprefix("bent@") for one in str(row["defects"]).split(";") if one]
        assert len(bent) in ((1, 2, 3) if POOLS[str(row["role"])][1] else (0,))
        assert row["role"] != "weak" or set(bent) <= set(WEAK)


def test_less_exposure_is_darker_and_noisier():
    flat = np.full((60, 60), 0.5, np.float32)
    light, dark = (exposed(flat, share, np.random.default_rng(0)) for share in (1, 1 / 6))
    assert dark.mean() == pytest.approx(0.208, abs=0.005)  # 0.214 of the light, a sixth of it, coded again
    assert dark.std() / dark.mean() > 1.5 * light.std() / light.mean()


def test_auroc_of_the_first_sample_is_that_of_all_parts():
    draws = np.random.default_rng(0)
    truth = draws.random((20, 9)) < 0.2
    scores = draws.normal(size=truth.shape) + truth
    found = _areas([(np.arange(20), truth, {"SOARTC": scores})], "SOARTC", 20)
    assert found[0] == pytest.approx(auroc(scores[truth], scores[~truth])) and len(found) == 1 + SAMPLES
    assert np.quantile(found, 0.025) < found[0] < np.quantile(found, 0.975)


def test_the_page_compares_soartc_with_the_best_plain_method():
    areas = {name: np.full(1 + SAMPLES, 0.9) for name in METHODS} | {"difference": np.full(1 + SAMPLES, 0.95)}
    found = [{"unit space": "5 good parts", "exposure": "1/6", **summary(areas)}]
    line = page(found, []).splitlines()[-1]
    assert line.startswith("| 5 good parts | 1/6 | 0.900 (0.900–0.900) |")
    assert line.endswith("| -0.050 (-0.050 to -0.050) |")
    assert page(found, found).splitlines()[-1].count("0.900 (") == len(METHODS)


def test_the_page_explains_every_method_and_is_the_one_in_the_documentation():
    written = Path(__file__).parents[2] / "docs" / "explanation" / "soart_dark.md"
    assert all(f"\n- `{name}`: " in PAGE for name in METHODS)
    assert written.read_text("utf-8").startswith(PAGE.format(sets=SETS))
