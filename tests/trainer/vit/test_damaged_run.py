"""Damaged files of a run: refused by their names, or every picture gets a finite verdict."""

import contextlib
import io
import json
import math

import pytest

from tests.mutations import mutated, write_tree
from tests.soak import rounds
from trainer.predict import main

PER_ROUND = 25  # 500 in a soak of 20
FILES = ("config.json", "frozen.json", "best.safetensors")


def check(run, pictures, folder, seed):
    """Judge pictures with a damaged run; returns the exit code."""
    changed, done = mutated({name: (run / name).read_bytes() for name in FILES}, seed)
    place, out = write_tree(changed, folder / "run"), folder / "out"
    words = ["--model", str(place), str(pictures), "-o", str(out)]
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        code = main(words)
    said = stderr.getvalue()
    assert code in (0, 1, 2), (seed, done, said)
    if code == 2:
        assert str(place) in said, (seed, done, said)
        return code
    found = json.loads((out / "predictions.json").read_text())
    names = [path.name for path in pictures.iterdir()]
    judged = [name for name in names if any(name in json.dumps(verdict) for verdict in found)]
    assert len(judged) + sum(name in said for name in names) >= len(names), (seed, done, said, found)
    for verdict in found:
        numbers = [value for value in verdict.values() if isinstance(value, float)]
        assert verdict["verdict"] == "INVALID" or all(map(math.isfinite, numbers)), (seed, done, verdict)
    return code


@pytest.mark.parametrize("round_", rounds(1))
def test_a_damaged_run_is_refused_by_its_files_or_judges_every_picture(trained_run, make_rows, tmp_path, round_):
    (tmp_path / "pictures").mkdir()
    for row in make_rows("train", 2, 0):
        (tmp_path / f"pictures/{row['run']}.png").write_bytes(row["image"]["bytes"])
    seeds = range(round_ * PER_ROUND, (round_ + 1) * PER_ROUND)
    assert 2 in {check(trained_run, tmp_path / "pictures", tmp_path / str(seed), seed) for seed in seeds}
