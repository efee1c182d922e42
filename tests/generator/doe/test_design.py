"""`python -m generator design`: balance, hold-out, sizes and classes of the manifest; mistakes of a SPEC."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.reader import Manifest, Run, read_manifest
from generator.__main__ import main
from generator.doe import assignment
from generator.doe.assignment import Balancer
from generator.doe.blocks import edge_addresses, held_out_addresses
from generator.doe.design import design
from generator.doe.part_class import part_class, rejection
from generator.doe.spec_reader import read_spec
from tests.conftest import ROOT, SCENES, faults_of
from tests.soak import rounds

MANIFESTS = ROOT / "manifests"
CONNECTOR = read_connector(SCENES / "connector_3x9.toml")
FACTORS = """
[factors]
scene = "connector_3x9"
housing = ["plain", "ribbed"]
terminal = "round"
camera = ["center", "top", "bottom"]
lighting = ["ring", "side", "dome"]
marking = ["none", "numbers"]
"""
SPEC = f"""
schema = 1
seed = 3

[design]
kind = "orthogonal"
{FACTORS}
[positions]
held_out = 9

[splits.train]
replicates = 2

[splits.validation]
replicates = 1
"""


def made(tmp_path: Path, text: str, name: str = "made", scenes: Path = SCENES) -> Manifest:
    spec, manifest = tmp_path / f"{name}.toml", tmp_path / f"{name}.csv"
    spec.write_text(text, "utf-8")
    manifest.write_text(design(read_spec(spec), scenes), "utf-8")
    return read_manifest(manifest, scenes)


def class_of(run) -> str:
    part = make_part(CONNECTOR, run.housing, run.terminal, run.marking, run.part, run.defects)
    return part_class(part, CONNECTOR)


def counts(runs, factor: str) -> Counter[str]:
    return Counter(str(run.row()[factor]) for run in runs)


def by_split(manifest: Manifest) -> dict[str, list]:
    splits: dict[str, list] = {}
    for run in manifest.runs:
        splits.setdefault(run.split, []).append(run)
    return splits


# SHA-256 of the manifests of shipped SPECs whose CSV files are not in the repository.
MADE = {
    "all_defects": "2494921c9fd5aeea9a1f900adecc0f6274d46b31fc9cbcc6cdea8e0ff1664d63",
    "gauge_circular_5": "288126a5b486bc0f67415a42f82549f7fa4c7bf60799d668da6e527216790ba6",
    "ladder_1_views": "8ab11b6fd7918b583d22d887221aff71efa1be6676f96781521f3d169c3ba00a",
    "ladder_2_allpins": "ba6d8ea2c3c777fa0c3c667dede1d31d5b5f0a3a465e1a1315b29514bd89f65b",
    "ladder_3_mixed": "728525ff49b674ea65143879d20bd7c10c46988df5c3caf3e6f0876d13b642db",
    "ladder_4_housings": "c335e1209f93a15224d959dc8fe502c034575c7963dd3debaa660fe63a0a4f6c",
}


# A single gauge design, as each takes long: test_measuring.py looks at a few parts of all.
SHIPPED = [path for path in sorted(MANIFESTS.glob("*.toml")) if path.stem in MADE or path.with_suffix(".csv").exists()]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_spec_makes_the_manifest_that_it_always_made(path: Path):
    made = design(read_spec(path), SCENES)
    if path.stem in MADE:
        assert hashlib.sha256(made.encode()).hexdigest() == MADE[path.stem]
    else:
        assert made == path.with_suffix(".csv").read_text("utf-8")


def test_the_sources_design_has_every_level_equally_often_in_both_blocks():
    manifest = read_manifest(MANIFESTS / "ladder_1_shifted.csv", SCENES)
    splits = by_split(manifest)
    assert {name: len(runs) for name, runs in splits.items()} == {"train": 1620, "validation": 378}
    defective = {name: {d.target for run in runs for d in run.defects} for name, runs in splits.items()}
    assert len(defective["train"]) == 18 and len(defective["validation"]) == 9
    assert not defective["train"] & defective["validation"]
    for runs in splits.values():
        for factor in ("camera", "lighting", "marking"):
            assert set(counts(runs, factor).values()) == {len(runs) // 3}
        assert set(Counter(map(class_of, runs)).values()) == {len(runs) // 3}
        # Within each class too: a model would learn a lighting that comes with a defect in place of the defect.
        for name in ("OK", "BENDNG", "NUKENG"):
            part = [run for run in runs if class_of(run) == name]
            assert len(set(counts(part, "lighting").values())) == 1
        used = Counter(defect.target for run in runs for defect in run.defects if class_of(run) == "BENDNG")
        assert len(set(used.values())) == 1


def test_the_same_spec_gives_the_same_manifest_and_another_seed_another(tmp_path: Path):
    first = made(tmp_path, SPEC).content
    assert made(tmp_path, SPEC).content == first
    other = made(tmp_path, SPEC.replace("seed = 3", "seed = 4"))
    assert other.content != first
    assert counts(other.runs, "camera") == counts(made(tmp_path, SPEC).runs, "camera")


def test_a_split_does_not_move_another(tmp_path: Path):
    alone = made(tmp_path, SPEC.split("[splits.validation]")[0])
    both = by_split(made(tmp_path, SPEC))["train"]
    assert [(r.part, r.row()) for r in alone.runs] == [(r.part, r.row()) for r in both]


def test_sizes_fill_their_range_and_turn_small_ones_into_ok(tmp_path: Path):
    text = SPEC.replace("replicates = 2", "replicates = 6")
    runs = by_split(made(tmp_path, text))["train"]
    bends = [d["tip_offset_mm"] * 2 / 0.8 for run in runs for d in run.defects if d.kind == "bent"]
    assert 0.49 < min(bends) < 0.65 and 2.85 < max(bends) <= 3.001
    for run in runs:
        sizes = [d["tip_offset_mm"] * 2 / 0.8 for d in run.defects if d.kind == "bent"]
        sizes += [d["depth_mm"] / 0.6 for d in run.defects if d.kind == "retracted"]
        if class_of(run) == "OK":
            assert all(size < 1.1 for size in sizes)
        else:
            assert all(size > 0.9 for size in sizes)
    good = [run for run in runs if class_of(run) == "OK"]
    assert sum(bool(run.defects) for run in good) == round(len(good) * 0.25)


def test_a_design_of_good_parts_alone_has_defects_within_the_tolerance(tmp_path: Path):
    kinds = "[defects.bent]\nsize = [0.3, 0.9]\n[defects.retracted]\nsize = [0.3, 0.9]\n"
    defects = f"[defects]\ninside_tolerance = 1.0\n[classes]\nOK = 1\n{kinds}"
    runs = made(tmp_path, SPEC.replace("[positions]", f"{defects}[positions]")).runs
    assert {class_of(run) for run in runs} == {"OK"}
    assert {defect.kind for run in runs for defect in run.defects} == {"bent", "retracted"}


def test_protrusions_are_sized_by_their_own_limit(tmp_path: Path):
    classes = "[classes]\nOK = 1\nBENDNG = 1\nNUKENG = 1\nOTHERNG = 1\n"
    defects = f"{classes}[defects.protruding]\nsize = [0.3, 3.0]\n[defects.bent]\n[defects.missing]\n"
    runs = made(tmp_path, SPEC.replace("[positions]", f"{defects}[positions]")).runs
    heights = [(class_of(run), d["height_mm"]) for run in runs for d in run.defects if d.kind == "protruding"]
    assert {label for label, _ in heights} == {"OK", "OTHERNG"}
    # The limit is 0.6 mm, from which a good pin's own scatter differs a little.
    assert all((height > 0.5) if label == "OTHERNG" else (height < 0.7) for label, height in heights)


def test_shapes_of_a_bend_are_drawn_evenly(tmp_path: Path):
    shapes = '[defects.bent]\nshape = ["arc", "kink", "s_bend"]\nstart_mm = [0.3, 2.5]\n[defects.missing]\n'
    runs = made(tmp_path, SPEC.replace("[positions]", f"{shapes}[positions]")).runs
    drawn = [d for run in runs for d in run.defects if d.kind == "bent"]
    counts = Counter(d.word("shape") for d in drawn)
    assert set(counts) == {"arc", "kink", "s_bend"} and min(counts.values()) > 0.2 * len(drawn)
    assert all((d.get("curve_mm") is None) == (d.word("shape") == "kink") for d in drawn)


def random_spec(source: random.Random) -> str:
    """A random plausible SPEC: any kind of design, any hold-out, three splits, maybe one with a held-out level."""
    kind = source.choice(["full", "orthogonal", "lhs", "sobol", "random", "inner_outer"])
    held = source.choice([1, 3, 7, 9, 13, 0.2, 0.5, '["r1c1", "r2c5"]'])
    levels = {
        "housing": source.choice(['["plain", "ribbed"]', '"plain"']),
        "terminal": source.choice(['["round", "square"]', '"round"']),
        "camera": source.choice(['["center", "top"]', '"center"']),
        "lighting": source.choice(['["ring", "side"]']),
    }
    rows = "rows = 12" if kind in ("lhs", "sobol", "random") else "replicates = 1"
    factors = "".join(f"{name} = {value}\n" for name, value in levels.items())
    noise = 'noise = ["lighting"]' if kind == "inner_outer" else ""
    holds = 'hold_out = { housing = "ribbed" }' if "ribbed" in levels["housing"] else ""
    return f"""
schema = 1
seed = {source.randrange(1000)}
[design]
kind = "{kind}"
{noise}
[factors]
scene = "connector_3x9"
marking = "none"
{factors}
[defects]
per_picture = {source.choice([1, 1, 2])}
[defects.bent]
[defects.missing]
[positions]
held_out = {held}
[splits.train]
{rows}
[splits.validation]
{rows}
{"per_picture = 1" if held == 1 else ""}
[splits.test_more]
{rows}
positions = "all"
{holds}
"""


@pytest.mark.parametrize("batch", rounds(3))
def test_hold_out_rules_hold_on_random_specs(tmp_path: Path, batch: int):
    for number in range(20):
        source = random.Random(f"{batch}/{number}")
        text = random_spec(source)
        if "held_out = 1\n" in text:
            text = text.replace("per_picture = 2", "per_picture = 1")
        manifest = made(tmp_path, text)
        splits = by_split(manifest)
        trained = {d.target for run in splits["train"] for d in run.defects}
        validated = {d.target for run in splits["validation"] for d in run.defects}
        assert trained and validated and not trained & validated, text
        parts = {run.part: run.split for run in manifest.runs}
        assert all(parts[run.part] == run.split for run in manifest.runs), text
        if "hold_out =" in text:
            assert {run.housing for run in splits["test_more"]} == {"ribbed"}
            assert {run.housing for name in ("train", "validation") for run in splits[name]} == {"plain"}
        classes = {name: Counter(map(class_of, runs)) for name, runs in splits.items()}
        for name, runs in splits.items():
            assert max(classes[name].values()) - min(classes[name].values()) <= 1, (name, text)
            assert set(counts(runs, "pins")) == {
                {"train": "training", "validation": "held_out", "test_more": "all"}[name]
            }
            if 'kind = "full"' in text:
                assert len(set(counts(runs, "lighting").values())) == 1


def test_inner_runs_are_parts_that_every_outer_run_sees(tmp_path: Path):
    text = SPEC.replace('"orthogonal"', '"inner_outer"\nnoise = ["lighting", "camera"]')
    runs = by_split(made(tmp_path, text))["train"]
    parts: dict[int, list] = {}
    for run in runs:
        parts.setdefault(run.part, []).append(run)
    for captures in parts.values():
        assert len({(run.lighting, run.camera) for run in captures}) == len(captures) == 9
        assert len({(run.housing, run.marking, run.defects) for run in captures}) == 1
        assert len({run.seed for run in captures}) == 9


def test_the_captures_of_a_part_share_a_fixture_per_level(tmp_path: Path):
    factors = 'fixture = ["first", "second"]\nrepeat = [1, 2]\n'
    text = SPEC.replace('"orthogonal"', '"inner_outer"\nnoise = ["camera", "fixture", "repeat"]')
    text = text.replace("[factors]\n", f"[factors]\n{factors}")
    manifest = made(tmp_path, text)
    placings: dict[tuple[int, int], list[Run]] = {}
    for run in manifest.runs:
        placings.setdefault((run.part, run.fixture), []).append(run)
    parts = {run.part for run in manifest.runs}
    assert len(placings) == 2 * len(parts) == len({fixture for _, fixture in placings})
    for captures in placings.values():
        cameras = len({run.camera for run in captures})
        assert cameras > 1 and len(captures) == 2 * cameras == len({run.seed for run in captures})


def test_without_a_factor_fixture_each_capture_is_a_placing(tmp_path: Path):
    text = SPEC.replace('"orthogonal"', '"inner_outer"\nnoise = ["lighting", "camera"]')
    assert all(run.fixture == run.seed for run in made(tmp_path, text).runs)


OTHERS = """
[classes]
OTHERNG = 1
[defects.twisted]
[defects.print]
type = ["missing", "mirrored"]
item = [1, 3]
[defects.bridge]
kind = "foreign"
type = "bridge"
at = "pair"
size_mm = 0.4
[defects.chipped]
[positions]
"""


def test_other_kinds_at_pairs_housing_and_print(tmp_path: Path):
    text = SPEC.replace("[positions]", OTHERS).replace('terminal = "round"', 'terminal = ["round", "square"]')
    runs = made(tmp_path, text).runs
    found = Counter(defect.kind for run in runs for defect in run.defects)
    assert set(found) == {"twisted", "print", "foreign", "chipped"}
    splits = {"train": set(), "validation": set()}
    for run in runs:
        (defect,) = run.defects
        assert class_of(run) == "OTHERNG"
        splits[run.split].update(defect.addresses)
        if defect.kind == "print":
            assert run.marking == "numbers" and defect.word("type") in ("missing", "mirrored")
            assert defect["item"] in (1, 2, 3)
        if defect.kind == "twisted":
            assert run.terminal == "square"  # a round pin cannot be seen to be twisted
        if defect.kind == "foreign":
            assert len(defect.addresses) == 2
        if defect.kind == "chipped":
            assert defect.target == "housing"
    assert splits["train"] and splits["validation"] and not splits["train"] & splits["validation"]


def test_a_bridge_that_leaves_no_position_for_the_next_defect_is_named(tmp_path: Path):
    text = SPEC.replace("held_out = 9", 'held_out = ["r1c1", "r1c2"]').replace(
        "[positions]",
        '[classes]\nOTHERNG = 1\n[defects]\nper_picture = 2\n[defects.foreign]\nat = "pair"\ntype = "bridge"\n'
        "[defects.stained]\n[positions]",
    )
    [problem] = faults_of(made, tmp_path, text)
    assert problem == (
        "made.toml: splits.validation: expected, for stained, a pin without a defect, got defects at all pins "
        "(r1c1-r1c2): decrease per_picture, or allow more positions"
    )


def test_a_kind_that_no_row_can_show_is_named(tmp_path: Path):
    text = SPEC.replace("[positions]", "[classes]\nOTHERNG = 1\n[defects.print]\n[defects.twisted]\n[positions]")
    [problem] = faults_of(made, tmp_path, text.replace('["none", "numbers"]', '"none"'))
    assert "expected a kind of defect of class OTHERNG that is possible with scene connector_3x9" in problem
    assert problem.endswith("got only impossible ones: print, twisted")


def test_a_kind_that_no_part_can_have_is_refused_also_beside_another_of_its_class(tmp_path: Path):
    kinds = "[defects.bent]\n[defects.missing]\n[defects.retracted]\nsize = [20.0, 60.0]\n"
    text = SPEC.replace("[positions]", f"{kinds}[positions]")
    [problem] = faults_of(made, tmp_path, text)
    assert problem == (
        "made.toml: defects.retracted: expected a kind of defect that is possible with a scene, housing, terminal, "
        "marking and positions of the design, got one with sizes from 20 to 60 times the limit of which fewer than 3 "
        "of 120 random draws for each gave a part"
    )
    # Only one of the two terminals can twist: no mistake.
    text = SPEC.replace("[positions]", "[classes]\nOTHERNG = 1\n[defects.stained]\n[defects.twisted]\n[positions]")
    made(tmp_path, text.replace('terminal = "round"', 'terminal = ["round", "square"]'))


@pytest.mark.parametrize(("every", "is_possible"), [(30, True), (50, False)])
def test_a_rare_kind_is_possible_if_a_row_will_find_it(tmp_path: Path, monkeypatch, every: int, is_possible: bool):
    """Of the first 12 random defects none gives a part."""
    calls = Counter()

    def rarely(wanted, variant, texts, part, connector):
        if not texts[0].startswith("retracted"):
            return rejection(wanted, variant, texts, part, connector)
        calls[variant] += 1
        return "collides" if calls[variant] % every else None

    monkeypatch.setattr(assignment, "rejection", rarely)
    text = SPEC.replace("[positions]", "[defects.missing]\n[defects.bent]\n[defects.retracted]\n[positions]")
    text = text.replace('["plain", "ribbed"]', '"plain"').replace('["none", "numbers"]', '"none"')
    text = text.partition("[splits.validation]")[0]
    if is_possible:
        assert any(defect.kind == "retracted" for run in made(tmp_path, text).runs for defect in run.defects)
    else:
        [problem] = faults_of(made, tmp_path, text)
        assert problem.endswith("of which fewer than 3 of 120 random draws for each gave a part")


def test_a_kind_that_no_value_makes_possible_is_sought_in_few_draws(tmp_path: Path, monkeypatch):
    """A round terminal cannot twist, whatever the angle; a retraction that is too deep could be smaller."""
    calls = Counter()

    def counted(wanted, variant, texts, part, connector):
        calls[texts[0].partition("@")[0]] += 1
        return rejection(wanted, variant, texts, part, connector)

    monkeypatch.setattr(assignment, "rejection", counted)
    kinds = "[classes]\nOTHERNG = 1\nNUKENG = 1\n[defects.stained]\n[defects.twisted]\n[defects.missing]\n"
    text = SPEC.replace("[positions]", f"{kinds}[defects.retracted]\nsize = [20.0, 60.0]\n[positions]")
    text = text.replace('["plain", "ribbed"]', '"plain"').replace('["none", "numbers"]', '"none"')
    faults_of(made, tmp_path, text.partition("[splits.validation]")[0])
    assert calls["twisted"] == assignment.FIRST_DRAWS
    assert calls["retracted"] == assignment.DRAWS - assignment.LEAST_VALID + 1


def test_a_kind_that_no_picture_has_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    spec = tmp_path / "made.toml"
    kinds = "[defects.bent]\n[defects.missing]\n[defects.crushed]\n"
    spec.write_text(SPEC.replace("[positions]", f"{kinds}[positions]"), "utf-8")
    assert main(["design", str(spec), "-o", str(tmp_path / "made.csv")]) == 0
    note = (
        "note: made.toml: defects.crushed: no picture has this defect: its class OTHERNG has weight 0 (table [classes])"
    )
    assert note in capsys.readouterr().out.splitlines()


def test_columns_that_go_together_and_factors_of_ones_own(tmp_path: Path):
    text = SPEC.replace(
        'housing = ["plain", "ribbed"]\nterminal = "round"',
        '"housing+terminal" = ["plain+round", "ribbed+square"]\nsupplier = ["A", "B"]\n'
        "humidity = { low = 20, high = 80, decimals = 0 }\nwidth = [128, 256]",
    )
    runs = made(tmp_path, text).runs
    assert {(run.housing, run.terminal) for run in runs} == {("plain", "round"), ("ribbed", "square")}
    assert {run.extra["supplier"] for run in runs} == {"A", "B"}
    assert {run.width for run in runs} == {128, 256}
    humidity = sorted(int(run.extra["humidity"]) for run in runs if run.split == "train")
    assert humidity[0] <= 23 and humidity[-1] >= 77


def test_several_defects_of_a_picture_stand_at_different_pins_of_one_class(tmp_path: Path):
    runs = made(tmp_path, SPEC.replace("[positions]", "[defects]\nper_picture = 3\n[positions]")).runs
    for run in runs:
        targets = [defect.target for defect in run.defects]
        assert len(set(targets)) == len(targets)
        if class_of(run) != "OK":
            assert len(targets) == 3
        if class_of(run) == "BENDNG":
            assert {defect.kind for defect in run.defects} == {"bent"}


def test_held_out_positions_come_from_every_stratum():
    edge = edge_addresses(CONNECTOR.positions)
    assert edge == {p.address for p in CONNECTOR.positions} - {f"r2c{c}" for c in range(2, 9)}
    for seed in range(50):
        held = held_out_addresses(CONNECTOR.positions, 9, random.Random(seed), "x")
        strata = Counter((address[:2], address in edge) for address in held)
        assert strata["r1", True] == strata["r3", True] == 3
        assert strata["r2", False] == 2 and strata["r2", True] == 1


def test_balancer_chooses_in_proportion_to_weights():
    balancer = Balancer({"a": 2.0, "b": 1.0}, random.Random(1))
    assert Counter(balancer.take({"light": str(i % 2)}) for i in range(300)) == {"a": 200, "b": 100}
    assert all(abs(balancer.met["a", "light", level] - 100) <= 2 for level in "01")
    assert balancer.take({}, without=("a",)) == "b"


MISTAKES = {
    "made.toml:6 design.kind: expected one of full, fractional, orthogonal, inner_outer, lhs, sobol, random, got": (
        '"orthogonal"',
        '"all"',
    ),
    "made.toml:12 factors.camera: expected a level, a list of different levels, or a range {low = NUMBER, high = "
    "NUMBER}, got ['top', 'top']": ('["center", "top", "bottom"]', '["top", "top"]'),
    "made.toml:17 positions.held_out: expected a number of positions, a share of all positions between 0 and 1, or "
    "a list of addresses, got 1.5": ("held_out = 9", "held_out = 1.5"),
    "made.toml: positions.held_out: expected fewer positions than the 27 of scene connector_3x9, so that one is left "
    "for training, got 40": ("held_out = 9", "held_out = 40"),
    "made.toml: positions.held_out: expected addresses of scene connector_3x9 (r1c1 to r3c9), got r9c9": (
        "held_out = 9",
        'held_out = ["r9c9"]',
    ),
    "made.toml:19 splits.training: expected train, validation, test or test_NAME, got 'training'": (
        "splits.train]",
        "splits.training]",
    ),
    "made.toml: housing: expected the name of a housing of scene connector_3x9 (plain, ribbed": (
        '["plain", "ribbed"]',
        '["plain", "oak"]',
    ),
    "made.toml: scene: expected a scene in ": ('"connector_3x9"', '"connector_9x9"'),
    "made.toml: splits.train: expected factors that fit one of the tables L8, L9": (
        '["ring", "side", "dome"]',
        '["ring", "side", "dome", "dim", "coaxial"]',
    ),
    "made.toml:10 factors.defects: expected one of scene, housing, terminal, camera, lighting, marking, fixture, "
    "width, height, samples, world, or a factor with a name of your own, got 'defects', a column that "
    "`generator design` fills in": ('scene = "connector_3x9"', 'scene = "connector_3x9"\ndefects = "x"'),
    "made.toml:16 defects.cut: expected a kind of defect: one of wrong, ": (
        "[positions]",
        "[defects.cut]\n[positions]",
    ),
    "made.toml:17 defects.bent.tilt_deg: expected a number from 0.1 to 60, or a range [LOW, HIGH], got 90": (
        "[positions]",
        "[defects.bent]\ntilt_deg = 90\n[positions]",
    ),
    "expected a kind of defect that gives class NUKENG, as split train has this class, got only bent": (
        "[positions]",
        "[defects.bent]\n[positions]",
    ),
    "made.toml:20 splits.train.hold_out.housing: expected levels that [factors] lists for this factor (plain, "
    "ribbed), got oak": ("replicates = 2", 'hold_out = { housing = "oak" }'),
    "made.toml:17 defects.print.type: expected one or more of missing, wrong, misplaced, mirrored, got 'blue'": (
        "[positions]",
        '[defects.print]\ntype = "blue"\n[positions]',
    ),
    "made.toml:17 defects.bent.at: expected one of pin, got 'housing'": (
        "[positions]",
        '[defects.bent]\nat = "housing"\n[positions]',
    ),
    "of at most 18 (number of pins of scene connector_3x9 in positions = training), got 20": (
        "replicates = 2",
        "per_picture = 20",
    ),
    "expected a part of class BENDNG with bent at r": (
        "[positions]",
        "[defects.bent]\nazimuth_deg = 0\nsize = [20, 21]\n[defects.missing]\n[positions]",
    ),
}


@pytest.mark.parametrize("expected", MISTAKES)
def test_a_mistake_in_a_spec_is_named(tmp_path: Path, expected: str):
    old, new = MISTAKES[expected]
    assert old in SPEC
    (problem,) = faults_of(made, tmp_path, SPEC.replace(old, new, 1))
    assert expected in problem


WRONG_LEVELS = {
    "scene": ('scene = "connector_3x9"', "scene = []", ""),
    "housing": ('["plain", "ribbed"]', '["plain", "plain"]', 'hold_out = { housing = "ribbed" }'),
    "terminal": ('terminal = "round"', "terminal = true", 'factors = { terminal = "square" }'),
    "lighting": ('["ring", "side", "dome"]', '["ring", "ring"]', ""),
}


@pytest.mark.parametrize("column", WRONG_LEVELS)
def test_wrong_levels_of_a_factor_give_one_message(tmp_path: Path, column: str):
    old, new, more = WRONG_LEVELS[column]
    text = SPEC.replace('"orthogonal"', '"inner_outer"\nnoise = ["lighting"]').replace(old, new, 1)
    text = text.replace("replicates = 2", f"replicates = 2\n{more}")
    (problem,) = faults_of(made, tmp_path, text)
    assert f"factors.{column}: expected a level, a list of different levels, or a range" in problem


INNER = SPEC.replace('"orthogonal"', '"inner_outer"\nnoise = ["lighting"]')
TRAIN = "replicates = 2\npositions = 'training'"
RANDOM = SPEC.replace('"orthogonal"', '"random"').replace("replicates", "rows")
ONE_MISTAKE = {
    "kind misspelt": (INNER, '"inner_outer"', '"inner_auter"', "design.kind: expected one of full"),
    "kind missing": (INNER, 'kind = "inner_outer"\n', "", "design.kind: expected one of full"),
    "kind's key misspelt": (INNER, "kind =", "kin =", "design.kin: expected the key kind, got 'kin'"),
    "no factors": (INNER, "[factors]", "[factor]", "factor: expected the key factors, got 'factor'"),
    "no factor": (INNER, "camera =", "cam =", "factors.camera: expected one or more levels of this column"),
    "range of words": (
        INNER,
        'terminal = "round"',
        "terminal = { lo = 1 }",
        "factors.terminal: expected levels, as only",
    ),
    "held_out misspelt": (SPEC, "held_out =", "heldout =", "positions.heldout: expected a known key (held_out)"),
    "held_out wrong": (SPEC, "held_out = 9", "held_out = -9", "positions.held_out: expected a number of positions"),
    "rows misspelt": (RANDOM, "rows =", "row =", "splits.train.row: expected the key rows, got 'row'"),
    "rows missing": (
        RANDOM,
        "rows = 2",
        "",
        "splits.train.rows: expected a number of rows, as the design's kind is ra",
    ),
    "rows of a full design misspelt": (
        SPEC,
        "replicates = 2",
        "row = 2",
        "splits.train.row: expected a known key (classes, factors, hold_out, per_picture, positions, replicates, rows)",
    ),
    "positions misspelt": (SPEC, "[positions]", "[position]", "position: expected a known key (classes, "),
    "no held_out": (
        SPEC,
        "held_out = 9",
        "",
        "splits.train.positions: expected all, as the key held_out of [positions]",
    ),
    "name": (SPEC, "schema = 1", "schema = 1\nname = 1", "name: expected a text, got 1"),
    "classes": (SPEC, "schema = 1", "schema = 1\nclasses = 1", "classes: expected a table, got 1"),
    "weight": (SPEC, "[positions]", "[classes]\nOK = -1\n[positions]", "classes.OK: expected an integer"),
    "class": (SPEC, "[positions]", "[classes]\nOKAY = 1\n[positions]", "classes.OKAY: expected a known key"),
    "kind of defect": (SPEC, "[positions]", "[defects.a]\nkind = 1\n[positions]", "defects.a.kind: expected a text"),
    "displacement": (
        SPEC,
        "[positions]",
        "[measurement.kinds]\nbend = 1\n[positions]",
        "measurement.kinds.bend: expected a known key",
    ),
}


@pytest.mark.parametrize("case", ONE_MISTAKE)
def test_one_mistake_gives_one_message(tmp_path: Path, case: str):
    """The tables and keys that depend on what is wrong give no second message."""
    text, old, new, expected = ONE_MISTAKE[case]
    text = text.replace("replicates = 2", TRAIN)
    assert old in text
    (problem,) = faults_of(made, tmp_path, text.replace(old, new, 1))
    assert f" {expected}" in problem


def test_all_mistakes_at_once(tmp_path: Path):
    text = SPEC.replace("schema = 1", "schema = 2\ncolour = 1").replace("replicates = 2", "replicates = 0")
    assert [problem.split(":")[1].split(" ")[1] for problem in faults_of(made, tmp_path, text)] == [
        "schema",
        "colour",
        "splits.train.replicates",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            '["none", "numbers"]',
            '["none", "text=WWWWWWWWWWWWWWWWWWWWWWWWWWWWWWWW"]',
            "made.toml:14 factors.marking: expected a text at most 44.4 mm wide, to fit on the housing, got 'WWW",
        ),
        (
            '"center"',
            '"front"',
            "made.toml:12 factors.camera: expected one of center, left, right, top, bottom, got 'f",
        ),
        (
            "[positions]",
            "width = { low = 10, high = 20 }\n[positions]",
            "made.toml:16 factors.width: expected an integer from 32 to 4096, got '1",
        ),
        (
            "[splits.train]",
            "[splits.train.factors]\ncamera = 'back'\n[splits.train]",
            "made.toml:20 splits.train.factors.camera: expected one of center, left, right, top, bottom, got 'back'",
        ),
    ],
)
def test_a_mistake_that_only_the_rows_show_is_named_as_in_the_spec(
    tmp_path: Path, old: str, new: str, problem: str, capsys: pytest.CaptureFixture[str]
):
    assert SPEC.count(old) == 1
    (tmp_path / "made.toml").write_text(SPEC.replace(old, new), "utf-8")
    assert main(["design", str(tmp_path / "made.toml"), "-o", str(tmp_path / "m.csv")]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(problem)
    assert [path.name for path in tmp_path.iterdir()] == ["made.toml"]


def test_the_manifest_and_the_map_replace_no_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in ("made.toml", "made.csv", "made.png"):
        (tmp_path / name).write_text(SPEC, "utf-8")
    toml, csv_, png = (str(tmp_path / f"made.{end}") for end in ("toml", "csv", "png"))
    new = str(tmp_path / "new.csv")
    for words, problem in (
        ([toml, "-o", toml], f"-o: expected an output file outside the input {toml}, got {toml}"),
        ([csv_, "-o", csv_], f"-o: expected an output file outside the input {csv_}, got {csv_}"),
        ([png, "-o", new, "--map", png], f"--map: expected an output file outside the input {png}, got {png}"),
        ([toml, "-o", new, "--map", new], f"--map: expected a name that ends in .png, got {new}"),
        ([toml, "-o", f"{csv_}/m.csv"], f"-o {csv_}: expected a folder, got the file {csv_}"),
    ):
        assert main(["design", *words]) == 2
        assert capsys.readouterr().err == f"{problem}\n"
    assert {path.read_text("utf-8") for path in tmp_path.iterdir()} == {SPEC}


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "made.toml").write_text(SPEC, "utf-8")
    words = ["design", str(tmp_path / "made.toml"), "-o", str(tmp_path / "new" / "m.csv")]
    assert main([*words, "--map", str(tmp_path / "map.png")]) == 0
    output = capsys.readouterr().out
    assert output.startswith("m.csv: 324 pictures of 324 parts, 1 scene(s), no mistake found")
    assert "\nclass " in output and "\nfactors that vary together in split train" in output
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert read_manifest(tmp_path / "new" / "m.csv", SCENES).runs
    assert main(["design", str(tmp_path / "none.toml"), "-o", str(tmp_path / "x.csv")]) == 2
    assert main([*words[:3], str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path / 'none.toml'}: expected the TOML file of a design (SPEC), got no such file",
        f"-o {tmp_path}: expected the name of a file, got a folder",
    ]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["m.csv"]


def test_an_option_or_a_factor_puts_the_pictures_into_a_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "made.toml").write_text(SPEC, "utf-8")
    words = ["design", str(tmp_path / "made.toml"), "-o"]
    assert main([*words, str(tmp_path / "plain.csv")]) == 0
    assert "\nworld " not in capsys.readouterr().out
    assert main([*words, str(tmp_path / "wide.csv"), "--world", "wide"]) == 0
    assert "\nworld " in capsys.readouterr().out
    plain, wide = (read_manifest(tmp_path / f"{name}.csv", SCENES).runs for name in ("plain", "wide"))
    assert {run.world for run in wide} == {"wide"} and [replace(run, world="scene") for run in wide] == list(plain)
    # A split may have a world of its own.
    split = '[splits.train.factors]\nworld = "wide"\n\n[splits.validation.factors]\nworld = "scene"\n'
    text = SPEC.replace("[factors]", '[factors]\nworld = ["scene", "wide"]') + split
    splits = by_split(made(tmp_path, text, "own"))
    assert {name: {run.world for run in runs} for name, runs in splits.items()} == {
        "train": {"wide"},
        "validation": {"scene"},
    }
    assert main(["design", str(tmp_path / "own.toml"), "-o", str(tmp_path / "x.csv"), "--world", "wide"]) == 2
    assert capsys.readouterr().err == "--world: expected a SPEC without the factor world, got own.toml, which has one\n"
    (problem,) = faults_of(made, tmp_path, SPEC.replace("[factors]", '[factors]\nworld = "wider"'))[:1]
    assert "world" in problem and "expected one of scene, wide" in problem
