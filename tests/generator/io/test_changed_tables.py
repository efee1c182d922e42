"""Changed tables: positions of pins, and plans of an augmentation. Every line is read, or the fault is named."""

import contextlib
import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.augmenting.plan import read_plan
from generator.io.pin_boxes import read_pin_boxes
from tests.conftest import folder_bytes
from tests.mutations import mutated, write_tree
from tests.soak import rounds

PER_ROUND = 25  # 500 in a soak of 20
POSITIONS = b"address,cavity,x1,y1,x2,y2\nr1c1,A,4,4,20,20.5\nr1c2,B,30,4,50,20\nprint,,1,1,60,38\n"
BOX = {"expected": [1.5, 2, 30, 20]}
RECORD = {"run": "a", "positions": [{"address": f"r1c{n}", "cavity": str(n), "boxes": BOX} for n in (1, 2)]}


def data_lines(content: bytes) -> int:
    """The number of lines with text after the header, which is the first of them."""
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return sum(any(cell.strip() for cell in row) for row in rows) - 1


def check_positions(folder, seed):
    """Read a changed file of positions; returns whether it was refused."""
    name = "pins.json" if seed % 3 == 0 else "pins.csv"
    tree, done = mutated({name: json.dumps(RECORD).encode() if seed % 3 == 0 else POSITIONS}, seed, fixed=(name,))
    path = write_tree(tree, folder) / name
    try:
        boxes, _ = read_pin_boxes(path)
    except InputError as error:
        assert all(name in problem and "expected" in problem for problem in error.problems), (seed, done, error)
        return True
    expected = data_lines(tree[name]) if name.endswith("csv") else len(json.loads(tree[name])["positions"])
    assert len(boxes) == expected and len({each.address for each in boxes}) == expected, (seed, done, boxes)
    assert all(np.isfinite(each.box).all() for each in boxes), (seed, done, boxes)
    return False


def make_unit(folder):
    """Make the files of a plan: pictures, and the plan that the command proposes for them."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(("OK/a", "OK/b", "BENDNG/c")):
        path = folder / f"photos/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (20, 32, 3), np.uint8)).save(path)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert main(["augment", "plan", str(folder / "photos"), "-o", str(folder / "plan.csv"), "--workers", "1"]) == 0
    return folder


def check(unit, folder, seed):
    """Apply a changed plan; returns the exit code."""
    check_positions(folder / "positions", seed)
    tree, done = mutated(folder_bytes(unit), seed, fixed=("plan.csv",))
    source = write_tree(tree, folder / "in")
    words = ["apply", str(source / "plan.csv"), "--to", str(folder / "out"), "--workers", "1"]
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        code = main(["augment", *words])
    said = stderr.getvalue()
    assert code in (0, 2), (seed, done, said)
    if code == 2:
        assert ": expected " in said, (seed, done, said)
        return code
    lines = read_plan(source / "plan.csv").lines
    assert len(lines) == data_lines(tree["plan.csv"]), (seed, done, said)
    made = [path.name for path in (folder / "out").rglob("*") if path.is_file()]
    for line in lines:
        stem = line.file.rpartition("/")[2].rpartition(".")[0]
        assert any(stem in name for name in made) or line.file in said, (seed, done, line, said, made)
    return code


@pytest.mark.parametrize("round_", rounds(1))
def test_changed_positions_and_plans_are_refused_by_name_or_read_line_by_line(tmp_path, round_):
    unit = make_unit(tmp_path / "unit")
    seeds = range(round_ * PER_ROUND, (round_ + 1) * PER_ROUND)
    assert {check(unit, tmp_path / str(seed), seed) for seed in seeds} == {0, 2}
