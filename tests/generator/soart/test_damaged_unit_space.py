"""Damaged files of a unit space: refused with their path, or they judge as before and never less."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from tests.mutations import mutated, write_tree
from tests.soak import rounds

PER_ROUND = 25  # 500 in a soak of 20


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    return make_unit(tmp_path_factory.mktemp("unit"))


def make_unit(folder):
    """Make a saved unit space with positions, and a picture to judge."""
    (folder / "golden").mkdir()
    rng = np.random.default_rng(0)
    part = rng.integers(0, 255, (40, 56))
    for number in range(6):
        pixels = np.clip(part + rng.normal(0, 4, part.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / (f"golden/{number}.png" if number else "new.png"))
    (folder / "pins.csv").write_text("address,x1,y1,x2,y2\nr1c1,4,4,20,20\nr1c2,30,4,50,20\n")
    words = ["--golden", str(folder / "golden"), "--positions", str(folder / "pins.csv"), "--grid", "20"]
    assert judged(folder, *words, "--save", str(folder / "unit.npz"))[0] == 0
    return folder


def judged(folder, *words):
    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
        code = main(["inspect", str(folder / "new.png"), *words, "-o", str(folder / "out")])
    return code, said.getvalue()


def check(unit, folder, seed):
    """Judge a picture with a damaged unit space; returns the exit code."""
    changed, done = mutated({"unit.npz": (unit / "unit.npz").read_bytes()}, seed)
    code, said = judged(unit, "--golden", str(write_tree(changed, folder) / "unit.npz"))
    assert code in (0, 2), (seed, done, said)
    if code == 2:
        assert "unit.npz" in said, (seed, done, said)
    else:
        report = json.loads((unit / "out/new.json").read_text())
        assert np.isfinite(report["score"]) and report["score"] > 0, (seed, done, report)
    return code


@pytest.mark.parametrize("round_", rounds(1))
def test_a_damaged_unit_space_is_refused_by_its_path_or_judges_with_finite_scores(unit, tmp_path, round_):
    seeds = range(round_ * PER_ROUND, (round_ + 1) * PER_ROUND)
    assert 2 in {check(unit, tmp_path / str(seed), seed) for seed in seeds}
