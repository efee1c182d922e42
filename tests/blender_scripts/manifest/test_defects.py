"""The grammar of the `defects` column: values read, text written back, refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.defect import HOUSING, PAIR, PIN, PRINT, Choice, Parameter
from blender_scripts.kinds.kind import EVERY_OTHER, Kind
from blender_scripts.manifest.defects import KINDS, Defect, parse_defects, worst_kind


def parse(text: str) -> tuple[Defect, ...]:
    defects, problems = parse_defects(text)
    assert problems == []
    return defects


@pytest.mark.parametrize("text", ["", " ", "\t\n"])
def test_nothing_is_a_good_part(text: str) -> None:
    assert parse(text) == ()
    assert worst_kind(()) == "ok"


def test_the_example_of_the_contract() -> None:
    bent, retracted, missing = parse("bent@r2c5:tilt_deg=12,azimuth_deg=90;retracted@r1c3:depth_mm=1.5;missing@r3c7")
    assert (bent.kind, bent.target, bent["tilt_deg"], bent["azimuth_deg"]) == ("bent", "r2c5", 12.0, 90.0)
    assert bent.get("tip_offset_mm") is None
    assert (retracted.kind, retracted.target, retracted["depth_mm"]) == ("retracted", "r1c3", 1.5)
    assert (missing.kind, missing.target, missing.values) == ("missing", "r3c7", ())


def test_what_is_left_out_takes_the_documented_default() -> None:
    (defect,) = parse("bent@r1c1")
    documented = {p.name: p.default for p in KINDS["bent"].parameters if p.default is not None}
    assert dict(defect.values) == documented
    assert set(documented) == {"shape", "tilt_deg", "azimuth_deg", "start_mm", "curve_mm"}
    # As short as the metal allows, which depends on pin and angle.
    (kink,) = parse("bent@r1c1:shape=kink")
    assert kink.get("curve_mm") is None and parse("bent@r1c1:curve_mm=1,shape=kink")[0]["curve_mm"] == 1.0


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


TARGETS = {PIN: "r1c1", PAIR: "r1c1-r12c345", HOUSING: "housing", PRINT: "print"}


def test_the_limits_themselves_are_in_range() -> None:
    for kind in KINDS.values():
        target = TARGETS[kind.targets[0]]
        for parameter in kind.parameters:
            if isinstance(parameter, Choice):
                for word in parameter.choices:
                    (defect,) = parse(f"{kind.name}@{target}:{parameter.name}={word}")
                    assert defect.word(parameter.name) == word
                assert parameter.default is None or parameter.default in parameter.choices
                continue
            for limit in (parameter.low, parameter.high):
                (defect,) = parse(f"{kind.name}@{target}:{parameter.name}={limit!r}")
                assert defect[parameter.name] == limit
            if parameter.default is not None:
                assert parameter.low <= parameter.default <= parameter.high


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_takes_its_targets_and_no_other(kind: Kind) -> None:
    for sort, target in TARGETS.items():
        defects, problems = parse_defects(f"{kind.name}@{target}")
        if sort in kind.targets:
            assert not problems and defects[0].target == target
            assert defects[0].addresses == (() if sort in (HOUSING, PRINT) else tuple(target.split("-")))
        else:
            (problem,) = problems
            assert problem.startswith(f"expected {kind.name}@ followed by ") and f"@{target}" in problem
    # A kind has either `shape`, for one pin, or `add`.
    assert (kind.shape is None) != (kind.add is None)
    assert kind.shape is None or kind.targets == (PIN,)


def test_kinds_have_ranks_of_their_own_where_a_pin_can_have_both() -> None:
    ranks = [kind.severity for kind in KINDS.values() if kind.shape]
    assert len(set(ranks)) == len(ranks)
    assert max(ranks) == KINDS["missing"].severity


def test_what_a_kind_excludes_is_a_kind() -> None:
    assert [kind.name for kind in KINDS.values() if kind.excludes == EVERY_OTHER] == ["missing"]
    named = {other for kind in KINDS.values() if kind.excludes != EVERY_OTHER for other in kind.excludes}
    assert named == {"bent", "broken", "crushed", "retracted", "protruding"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("crushed@r1c1;bent@r1c1", "expected either crushed or bent at a pin, got both at r1c1"),
        ("bent@r1c1;crushed@r1c1", "expected either bent or crushed at a pin, got both at r1c1"),
        ("broken@r1c1;crushed@r1c1", "expected either broken or crushed at a pin, got both at r1c1"),
        ("retracted@r1c1;protruding@r1c1", "expected either retracted or protruding at a pin, got both at r1c1"),
        ("stained@r1c1;missing@r1c1", "no other defect at a pin that is missing, got missing and stained at r1c1"),
        ("foreign@r1c1;missing@r1c1", "no other defect at a pin that is missing, got missing and foreign at r1c1"),
        ("foreign@r1c1-r1c1:type=bridge", "expected two different addresses"),
        ("foreign@r1c1-r1c2-r1c3", "or two addresses such as r1c1-r1c2 or `housing`, got"),
        ("foreign@r1c1:type=wasp", "expected type as one of ball, bridge, fibre, burr, got 'wasp'"),
        ("foreign@r1c1:type=", "expected type as one of ball, bridge, fibre, burr, got ''"),
        ("foreign@r1c1:type=ball,type=ball", "expected type once, got it twice"),
        ("wrong@r1c1:terminal=a b", "expected terminal as a name of letters, digits and underscores, got 'a b'"),
        ("wrong@r1c1:terminal=" + "a" * 65, "expected terminal as a name"),
        ("wrong@r1c1:terminal=square,plating=gold", "expected either terminal or plating, got both"),
        (
            "print@print:type=wrong;print@print:item=2",
            "expected each kind of defect once per target, got print@print twice",
        ),
    ],
)
def test_words_targets_and_exclusions(text: str, says: str) -> None:
    _, problems = parse_defects(text)
    assert len(problems) == 1 and says in problems[0]


@pytest.mark.parametrize(
    "text",
    [
        "crushed@r1c1;bent@r1c2",
        "bent@r1c1;retracted@r1c1;stained@r1c1;wrong@r1c1",
        "broken@r1c1;bent@r1c1;twisted@r1c1",
        "crushed@r1c1;protruding@r1c1;stained@r1c1",
        "foreign@r1c1;foreign@r1c1-r1c2:type=bridge;foreign@housing",
        "cracked@housing;chipped@housing;print@print",
    ],
)
def test_what_may_come_together(text: str) -> None:
    assert len(parse(text)) == text.count(";") + 1


def test_every_mistake_of_a_cell_is_reported() -> None:
    text = "melted@r1c1;bent@x;bent@r1c2:tilt_deg=99,azimuth_deg=x,colour=2;missing@r1c3;retracted@r1c3"
    defects, problems = parse_defects(text)
    assert [d.target for d in defects] == ["r1c3", "r1c3"]
    assert [problem.split(" got ")[1] for problem in problems] == [
        "'melted@r1c1'",
        "'bent@x'",
        "99",
        "'x'",
        "'colour=2'",
        "missing and retracted at r1c3",
    ]


def test_minus_zero_is_zero() -> None:
    assert parse("bent@r1c1:azimuth_deg=-0")[0].text == parse("bent@r1c1:azimuth_deg=0")[0].text


def value_of(parameter: Parameter | Choice) -> st.SearchStrategy[str]:
    if isinstance(parameter, Choice):
        return st.sampled_from(parameter.choices or ("round", "pin_2", "X"))
    return st.floats(parameter.low, parameter.high, allow_subnormal=False).map(repr)


@st.composite
def cells(draw: st.DrawFn) -> str:
    parts = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(list(KINDS.values())))
        names = [p for p in kind.parameters if draw(st.booleans())]
        replaced = {p.instead_of for p in names}
        values = [f"{p.name}={draw(value_of(p))}" for p in draw(st.permutations(names)) if p.name not in replaced]
        # Rows count the defects, so that no target has a kind twice.
        first, second = (f"r{2 * number + i}c{draw(st.integers(1, 9999))}" for i in (1, 2))
        named = {PIN: first, PAIR: f"{first}-{second}", HOUSING: "housing", PRINT: "print"}
        target = named[draw(st.sampled_from(kind.targets))]
        if f"{kind.name}@{target}" not in " ".join(parts):
            parts.append(f"{kind.name}@{target}" + (":" + ",".join(values) if values else ""))
    return ";".join(parts)


@given(cells())
def test_what_a_defect_writes_is_what_it_reads(text: str) -> None:
    defects = parse(text)
    written = ";".join(defect.text for defect in defects)
    # The text decides which rows are the same picture, so it must hold every value.
    assert parse(written) == defects
    for defect in defects:
        for parameter in KINDS[defect.kind].parameters:
            if isinstance(parameter, Choice):
                assert defect.word(parameter.name) in ("", *(parameter.choices or ("round", "pin_2", "X")))
                continue
            value = defect.get(parameter.name)
            assert value is None or parameter.low <= value <= parameter.high


@given(st.text(alphabet=st.sampled_from("bentmisrac123@:;=,.-_ x９\n\"'housgpfk"), max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    defects, problems = parse_defects(text)
    assert all(problem.startswith("expected ") and problem.isprintable() for problem in problems)
    assert problems or not text.strip() or defects
