"""The grammar of the `defects` column: what it means, what it writes back, what it refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.defects import KINDS, Defect, parse_defects, worst_kind

steady = settings(derandomize=True, deadline=None, database=None)


def parse(text: str) -> tuple[Defect, ...]:
    defects, problems = parse_defects(text)
    assert problems == []
    return defects


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_nothing_is_a_good_part(text: str) -> None:
    assert parse(text) == ()
    assert worst_kind(()) == "ok"


def test_the_example_of_the_contract() -> None:
    bent, retracted, missing = parse(
        "bent@r2c5:tilt_deg=12,azimuth_deg=90;retracted@r1c3:depth_mm=1.5;missing@r3c7"
    )
    assert (bent.kind, bent.target, bent["tilt_deg"], bent["azimuth_deg"]) == ("bent", "r2c5", 12.0, 90.0)
    assert bent.get("tip_offset_mm") is None
    assert (retracted.kind, retracted.target, retracted["depth_mm"]) == ("retracted", "r1c3", 1.5)
    assert (missing.kind, missing.target, missing.values) == ("missing", "r3c7", ())


def test_what_is_left_out_takes_the_documented_default() -> None:
    (defect,) = parse("bent@r1c1")
    documented = {p.name: p.default for p in KINDS["bent"].parameters if p.default is not None}
    assert dict(defect.values) == documented
    assert set(documented) == {"tilt_deg", "azimuth_deg", "start_mm", "curve_mm"}


def test_the_tip_offset_stands_in_place_of_the_angle() -> None:
    (defect,) = parse("bent@r1c1:tip_offset_mm=0.8")
    assert defect["tip_offset_mm"] == 0.8 and defect.get("tilt_deg") is None
    with pytest.raises(KeyError):
        defect["tilt_deg"]


def test_several_kinds_may_meet_at_a_pin_and_the_worst_names_it() -> None:
    defects = parse("bent@r1c1;retracted@r1c1;bent@r1c2")
    assert len(defects) == 3
    assert worst_kind(defects) == "retracted"
    assert worst_kind(parse("missing@r1c1;retracted@r1c2")) == "missing"
    assert worst_kind(parse("bent@r1c1")) == "bent"


@pytest.mark.parametrize(
    ("number", "value"), [("1.5", 1.5), (".5", 0.5), ("2.", 2.0), ("+3", 3.0), ("15e-1", 1.5), ("1E0", 1.0)]
)
def test_numbers_as_people_and_programs_write_them(number: str, value: float) -> None:
    assert parse(f"bent@r1c1:tilt_deg={number}")[0]["tilt_deg"] == value


@pytest.mark.parametrize(
    "number", ["1,5", "0x1", "1 2", "--1", "1e", "１", "∞", "1_0", "true", "12deg", "'1'", "1e1234"]
)
def test_other_numbers_are_refused(number: str) -> None:
    assert parse_defects(f"bent@r1c1:tilt_deg={number}")[1]


def test_the_limits_themselves_are_in_range() -> None:
    for kind in KINDS.values():
        for parameter in kind.parameters:
            assert (
                parse(f"{kind.name}@r1c1:{parameter.name}={parameter.low!r}")[0][parameter.name]
                == parameter.low
            )
            assert (
                parse(f"{kind.name}@r1c1:{parameter.name}={parameter.high!r}")[0][parameter.name]
                == parameter.high
            )
            if parameter.default is not None:
                assert parameter.low <= parameter.default <= parameter.high


def test_every_mistake_of_a_cell_is_reported() -> None:
    text = "crushed@r1c1;bent@x;bent@r1c2:tilt_deg=99,azimuth_deg=x,colour=2;missing@r1c3;retracted@r1c3"
    defects, problems = parse_defects(text)
    assert [d.target for d in defects] == ["r1c3", "r1c3"]
    assert [problem.split(" got ")[1] for problem in problems] == [
        "'crushed@r1c1'",
        "'bent@x'",
        "99",
        "'x'",
        "'colour=2'",
        "missing and retracted at r1c3",
    ]


def test_minus_zero_is_zero() -> None:
    assert parse("bent@r1c1:azimuth_deg=-0")[0].text == parse("bent@r1c1:azimuth_deg=0")[0].text


@st.composite
def cells(draw: st.DrawFn) -> str:
    parts = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(list(KINDS.values())))
        names = [p for p in kind.parameters if draw(st.booleans())]
        replaced = {p.instead_of for p in names}
        values = [
            f"{p.name}={draw(st.floats(p.low, p.high, allow_subnormal=False))!r}"
            for p in draw(st.permutations(names))
            if p.name not in replaced
        ]
        parts.append(
            f"{kind.name}@r{number + 1}c{draw(st.integers(1, 9999))}"
            + (":" + ",".join(values) if values else "")
        )
    return ";".join(parts)


@steady
@given(cells())
def test_what_a_defect_writes_is_what_it_reads(text: str) -> None:
    defects = parse(text)
    written = ";".join(defect.text for defect in defects)
    # The text decides which rows are the same picture, so it must say every value there is.
    assert parse(written) == defects
    for defect in defects:
        for parameter in KINDS[defect.kind].parameters:
            value = defect.get(parameter.name)
            assert value is None or parameter.low <= value <= parameter.high


@steady
@given(st.text(alphabet=st.sampled_from("bentmisrac123@:;=,.-_ x９\n\"'"), max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    defects, problems = parse_defects(text)
    assert all(problem.startswith("expected ") and problem.isprintable() for problem in problems)
    assert problems or not text.strip() or defects
