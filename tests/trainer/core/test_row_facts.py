"""A defect's size is the measure that makes its pin NG, as the row type says it; never scatter within tolerance."""

import json

import numpy as np
import pytest

from generator.dataset.build import Options, build
from generator.dataset.rows import ObjectRow
from tests.generator.made_renders import SCENES, read_json, row, write_record, write_renders
from trainer.core.data import load_frozen_classes
from trainer.core.defect_size import size_of
from trainer.core.row_facts import facts
from trainer.vit.metrics import detection, sizes_found

CLASSES = ("BENDNG", "NUKENG", "OK", "OTHERNG")
LIMITS = {"true_position_mm": 0.8, "retraction_mm": 0.6}
DEFECTS = {
    "bent": "bent@r2c5:tilt_deg=12,azimuth_deg=30",
    "retracted": "retracted@r1c3:depth_mm=1.5",
    "broken": "broken@r2c2",
    "protruding": "protruding@r3c7",
    "missing": "missing@r1c1",
    "good": "",
}


def pin(category: str, kinds: tuple[str, ...] | None, true_position=0.05, retraction=0.01) -> ObjectRow:
    return ObjectRow(
        id=1,
        box=(0.0, 0.0, 4.0, 4.0),
        category=category,
        kinds=kinds,
        address="r1c1",
        true_position_mm=true_position,
        retraction_mm=retraction,
    )


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ([pin("BENDNG", ("bent",), 1.2)], ("true_position_mm", 1.2)),
        ([pin("NUKENG", ("retracted",), 0.05, 1.5)], ("retraction_mm", 1.5)),
        ([pin("NUKENG", ("bent", "retracted"), 1.2, 0.9)], ("true_position_mm", 1.2)),
        # Broken pins measure as short or shifted because of what they are.
        ([pin("OTHERNG", ("broken",))], ("", None)),
        ([pin("OTHERNG", ("broken",), 0.3, 2.0)], ("", None)),
        ([pin("OTHERNG", ("protruding",), 0.3, -1.0)], ("protrusion_mm", 1.0)),
        ([pin("BENDNG", ("broken", "bent"), 1.2)], ("", None)),
        # No limit of protrusion is stated, so that it is the limit of retraction.
        ([pin("OTHERNG", ("protruding",), 0.3, -0.5)], ("", None)),
        # Within the tolerance the measure is not what makes it NG.
        ([pin("BENDNG", ("bent",), 0.5)], ("", None)),
        ([pin("NUKENG", ("missing",), None, None)], ("", None)),
        ([pin("BENDNG", ("bent",), 1.2), pin("BENDNG", ("bent",), 1.3)], ("", None)),
        ([ObjectRow(None, (0.0, 0.0, 4.0, 4.0), "OTHERNG", ("foreign",))], ("", None)),
        # An earlier version's dataset says the class alone.
        ([pin("BENDNG", None, 1.2)], ("true_position_mm", 1.2)),
        ([pin("NUKENG", None, 0.05, 1.5)], ("retraction_mm", 1.5)),
        ([pin("OTHERNG", None, 0.3, 2.0)], ("", None)),
        ([pin("NUKENG", None, None, None)], ("", None)),
        ([], ("", None)),
    ],
)
def test_a_size_is_that_of_the_measure_that_makes_the_pin_ng(things, expected):
    assert size_of(things, LIMITS) == expected


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sizes")
    rows = [row(f"t{n}", "test", defects) for n, defects in enumerate(DEFECTS.values())]
    write_renders(folder / "renders", rows)
    # What is left of the broken pin is short and stands askew: it measures so, out of tolerance.
    record = read_json(folder / "renders", "t2")
    broken = next(each for each in record["positions"] if each["kind"] == "broken")
    broken |= {"true_position_mm": 1.0, "retraction_mm": 2.0}
    write_record(folder / "renders", record)
    build(folder / "renders", folder / "dataset", SCENES, Options({}))
    return load_frozen_classes(folder / "dataset", "image", (96, 48), CLASSES, ("test",))["test"]


def test_broken_pins_enter_no_curve(split):
    found = facts(split, CLASSES.index("OK"))
    assert [each.kinds for each in found] == ["bent", "retracted", "broken", "protruding", "missing", "OK"]
    assert [(each.measure, each.size_mm) for each in found] == [
        ("true_position_mm", pytest.approx(1.2)),
        ("retraction_mm", pytest.approx(1.5)),
        ("", None),
        ("protrusion_mm", pytest.approx(1.2)),
        *[("", None)] * 2,
    ]
    said_ng = np.array([True, False, True, True, False, False])
    assert sizes_found(found, said_ng) == {
        "true_position_mm": ([pytest.approx(1.2)], [True]),
        "retraction_mm": ([pytest.approx(1.5)], [False]),
        "protrusion_mm": ([pytest.approx(1.2)], [True]),
    }
    curves = detection(found, said_ng)
    assert {name: (curve["defects"], curve["found"]) for name, curve in curves.items()} == {
        "true_position_mm": (1, 1),
        "retraction_mm": (1, 0),
        "protrusion_mm": (1, 1),
    }


def test_the_row_type_s_columns_are_no_factors(split):
    for each in facts(split, CLASSES.index("OK")):
        assert not {name for name in each.factors if name.endswith("_json")}
        assert json.loads(json.dumps(dict(each.factors))) == dict(each.factors)
