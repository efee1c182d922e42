"""A trained gauge against a reference that knows the truth of drawn parts, in pictures copied away from the truth."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.generator.reporting.page_reader import read_page
from tests.trainer.gauge.drawn_parts import LIMIT, PLACES, STANDING, part_rows
from trainer import predict
from trainer.evaluate import main

# Of each three parts, the first lacks a pin.
NUMBERS = range(100, 109)
QUANTITIES = ("dx", "dy", "height", "true_position")
Lines = list[dict[str, str | float]]


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Lines]:
    """Photographs of nine parts, and the lines of a reference that measured their pins without an error."""
    folder, lines = tmp_path_factory.mktemp("station") / "photos", []
    folder.mkdir()
    for number in NUMBERS:
        for row in part_rows("test", number):
            (folder / f"part{number}_{row['camera']}.png").write_bytes(row["image"]["bytes"])
        pins = row["objects"]
        for address, dx, dy, retraction in zip(
            *(pins[name] for name in ("address", "dx_mm", "dy_mm", "retraction_mm")), strict=True
        ):
            if dx is not None:
                tip = -retraction - 0.65 * (dx**2 + dy**2) / STANDING
                lines.append({"part": f"part{number}", "address": address, "dx_mm": dx, "dy_mm": dy, "height_mm": tip})
    return folder, lines


def written(path: Path, lines: Lines) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return path


@pytest.fixture
def proof(drawn_run: Path, station: tuple[Path, Lines], tmp_path: Path) -> Callable[..., dict]:
    """Compares the gauge with a reference of these lines (None: the truth); returns reference.json."""

    def compare(lines: Lines | None = None, *options: str, photos: Path | None = None) -> dict:
        reference = written(tmp_path / "measured.csv", station[1] if lines is None else lines)
        code = main(
            [
                *("--model", str(drawn_run), "--photos", str(photos or station[0]), "--reference", str(reference)),
                *("--out", str(tmp_path / "proof"), "--threads", "1", *options),
            ]
        )
        assert code == 0
        return json.loads((tmp_path / "proof" / "reference.json").read_text())

    return compare


def predicted(run: Path, photos: Path, tmp_path: Path) -> dict[tuple[str, str], dict]:
    """Entries of pins in predictions.json of the same pictures, by part and address."""
    path = tmp_path / "p.json"
    assert predict.main(["--model", str(run), str(photos), "--json", str(path), "--threads", "1"]) == 0
    return {
        (Path(one["part"]).name, pin["address"]): pin for one in json.loads(path.read_text()) for pin in one["pins"]
    }


def test_the_numbers_are_those_of_a_direct_computation(proof, drawn_run, station, tmp_path, capsys):
    document, said = proof(), capsys.readouterr().out
    pins = predicted(drawn_run, station[0], tmp_path)
    pairs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in QUANTITIES}
    for line in station[1]:
        pin = pins[line["part"], line["address"]]
        true = {"dx": line["dx_mm"], "dy": line["dy_mm"], "height": line["height_mm"]}
        true["true_position"] = 2.0 * np.hypot(line["dx_mm"], line["dy_mm"])
        found = {name: pin[f"{name}_mm"] for name in ("dx", "dy", "true_position")}
        found["height"] = -pin["retraction_mm"] - 0.65 * pin["bend_mm"] ** 2 / STANDING
        # U of the tip's height: without that of the bend's shape.
        u = {"height": np.sqrt(pin["u_retraction_mm"] ** 2 - (2.0 * 0.15 * pin["bend_mm"] ** 2 / STANDING) ** 2)}
        for name in QUANTITIES:
            pairs[name].append((true[name], found[name], u.get(name, pin.get(f"u_{name}_mm"))))
    for name in QUANTITIES:
        true, found, u = np.array(pairs[name]).T
        figures = document["quantities"][name]
        assert (figures["pins"], figures["parts"], figures["few"]) == (len(station[1]), len(NUMBERS), "")
        assert figures["rms"] == pytest.approx(np.sqrt(np.mean((found - true) ** 2)))
        assert figures["bias"]["value"] == pytest.approx(np.mean(found - true))
        slope, at_zero = np.polyfit(true, found, 1)
        assert figures["slope"]["value"] == pytest.approx(slope)
        assert figures["slope"]["at_zero"] == pytest.approx(at_zero)
        for each in (figures["slope"], figures["bias"]):
            assert each["interval"][0] < each["value"] < each["interval"][1]
        assert figures["within"]["share"] == pytest.approx(np.mean(np.abs(found - true) <= u))
        largest = int(np.argmax(np.abs(found - true)))
        assert [figures["largest"][key] for key in ("part", "address")] == [
            station[1][largest][key] for key in ("part", "address")
        ]
        assert f"{name.replace('_', ' ')}: {len(station[1])} pins of 9 parts: slope {slope:.3f}" in said
    assert document["quantities"]["dx"]["slope"]["value"] == pytest.approx(1.0, abs=0.1)


def test_truth_is_the_reference_s_value_against_the_tolerance(proof, station, tmp_path):
    document = proof()
    with (tmp_path / "proof" / "reference.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(station[1]) == document["reference"]["pins"]
    for line, row in zip(station[1], rows, strict=True):
        off = line["dx_mm"] ** 2 + line["dy_mm"] ** 2
        terminal = line["height_mm"] + 0.65 * off / STANDING
        bad = 2.0 * np.sqrt(off) > LIMIT["true_position_mm"] or abs(terminal) > LIMIT["retraction_mm"]
        assert (row["part"], row["address"]) == (line["part"], line["address"])
        assert row["truth"] == ("NG" if bad else "OK")
    counts = document["decisions"]
    assert sum(sum(by.values()) for by in counts["pins"]["matrix"].values()) == len(rows)
    assert sum(counts["parts"]["matrix"]["NG"].values()) == len(NUMBERS) == counts["parts"]["escapes"]["of"]
    assert counts["parts"]["escape_bound"] == pytest.approx(1.0 - 0.05 ** (1.0 / 9.0))
    assert "59 NG parts without an escape prove 5%" in counts["parts"]["proof"]


def test_a_shifted_reference_shows_as_bias(proof, station):
    right = proof()["quantities"]
    shifted = proof([{**line, "dx_mm": line["dx_mm"] + 0.2} for line in station[1]])["quantities"]
    assert shifted["dx"]["bias"]["value"] == pytest.approx(right["dx"]["bias"]["value"] - 0.2)
    assert shifted["dx"]["slope"]["value"] == pytest.approx(right["dx"]["slope"]["value"])
    assert shifted["dx"]["within"]["share"] < 0.2 < right["dx"]["within"]["share"]
    assert shifted["dy"] == right["dy"]


def test_the_reference_s_uncertainty_counts_in_en(proof, station):
    alone, both = proof(), proof([{**line, "u_mm": 5.0} for line in station[1]])
    for name in QUANTITIES:
        assert both["quantities"][name]["within"]["share"] == 1.0
    one, other = (each["quantities"]["true_position"]["largest"] for each in (alone, both))
    off = abs(one["measured"] - one["reference"])
    assert one["en"] == pytest.approx(off / one["u"], rel=1e-3)
    assert other["en"] == pytest.approx(off / np.hypot(one["u"], 10.0), rel=1e-3)
    assert (alone["reference"]["with_u"], both["reference"]["with_u"]) == (0, len(station[1]))


WIDE = ("--judge", "presence,true_position", "--tolerance", "true_position_mm=6")


def whole(lines: Lines) -> Lines:
    """Lines of the parts that have all their pins."""
    names = [line["part"] for line in lines]
    return [line for line in lines if names.count(line["part"]) == len(PLACES)]


def test_escapes_are_named(proof, station, tmp_path, capsys):
    lines = whole(station[1])
    bent = lines[4]
    document = proof([{**line, "dx_mm": 4.0} if line is bent else line for line in lines], *WIDE)
    parts, pins = document["decisions"]["parts"], document["decisions"]["pins"]
    assert parts["matrix"]["NG"] == {"NG": 0, "INVALID": 0, "UNSURE": 0, "OK": 1}
    assert parts["matrix"]["OK"]["OK"] == 5 and parts["escape_bound"] == 1.0
    (named,), (pin,) = parts["escaped"], pins["escaped"]
    assert named.startswith(f"{bent['part']}: {bent['address']} true position 8.") and "(limit 6)" in named
    assert pin.startswith(f"{bent['part']} {bent['address']} true position 8.") and "height" not in pin
    assert f"escape: {named}" in (said := capsys.readouterr().out) and "3 photographed parts are not in it" in said
    page = read_page(tmp_path / "proof" / "report.html")
    assert named in page.text and "1 of 1" in page.text
    assert document["quantities"]["dx"]["largest"]["part"] == bent["part"] == document["worst"][0]["part"]


def test_a_missing_pin_that_is_taken_for_present_is_an_escape(proof, station, tmp_path, capsys):
    """A third of the parts lacks a pin; another is only stated as missing, and the gauge sees that it is there."""
    lines = [{**line, "present": "yes"} for line in station[1]]
    empty = dict.fromkeys(("dx_mm", "dy_mm", "height_mm"), "") | {"present": "no"}
    taken = whole(lines)[4]
    stated = {(line["part"], line["address"]) for line in lines}
    addresses = sorted({line["address"] for line in lines})
    pulled = [(f"part{n}", a) for n in NUMBERS for a in addresses if (f"part{n}", a) not in stated]
    found = [{**line, **empty} if line is taken else line for line in lines]
    found += [{"part": part, "address": address, **empty} for part, address in pulled]
    document, said = proof(found, *WIDE), capsys.readouterr().out
    missing, decided = document["missing_pins"], document["decisions"]
    assert len(pulled) == 3 and document["reference"]["missing"] == missing["pins"] == missing["parts"] == 4
    assert missing["noticed"] + missing["undecided"] == 3
    assert missing["taken_for_present"] == 1 and missing["invalid"] == 0
    named = f"{taken['part']} {taken['address']} missing by the reference, gauge: present with a probability of"
    assert missing["named"][0].startswith(named) and decided["pins"]["escaped"][0].startswith(named)
    assert decided["parts"]["escaped"][0].startswith(f"{taken['part']}: {taken['address']} missing by the reference")
    assert decided["parts"]["unknown"] == 0
    assert (decided["parts"]["escapes"]["count"], decided["parts"]["escapes"]["of"]) == (1, 4)
    assert document["quantities"]["dx"]["not_compared"] == {"missing by the reference": 4}
    assert "4 of them missing, of measured.csv" in said and f"missing pin taken for present: {named}" in said
    page = " ".join(read_page(tmp_path / "proof" / "report.html").text)
    assert "Missing pins by the reference: 4, parts: 4: " in page and "1 taken for present, 0 in INVALID parts" in page
    assert "missing pins taken for present" in page and named in page
    with (tmp_path / "proof" / "reference.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["present"] == "no"]
    assert [row["presence"] == "conform" for row in rows] == [True, False, False, False]
    assert {row["truth"] for row in rows} == {"NG"}


def test_a_reference_of_missing_pins_alone_proves_whether_they_are_noticed(proof):
    lines: Lines = [{"part": "part102", "address": "r1c1", "present": "no"}]
    document = proof(lines, "--judge", "true_position")
    assert sum(document["decisions"]["parts"]["matrix"]["NG"].values()) == 1  # NG although presence is not judged
    assert document["missing_pins"]["taken_for_present"] == 0 and document["quantities"]["dx"]["pins"] == 0


def test_u_of_a_tip_s_height_is_without_that_of_the_bend_s_shape(proof, station, drawn_run, tmp_path):
    proof()
    pins = predicted(drawn_run, station[0], tmp_path)
    with (tmp_path / "proof" / "reference.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    smaller = []
    for row in rows:
        pin = pins[row["part"], row["address"]]
        of_shape = 2.0 * 0.15 * pin["bend_mm"] ** 2 / STANDING
        assert float(row["u_height"]) == pytest.approx(np.sqrt(pin["u_retraction_mm"] ** 2 - of_shape**2), rel=1e-4)
        smaller.append(float(row["u_height"]) / pin["u_retraction_mm"])
    assert min(smaller) < 0.99


def test_overkill_is_named_and_parts_of_which_too_little_is_known_are_not_good(proof, station):
    zero = [{**line, "dx_mm": 0.0, "dy_mm": 0.0} for line in station[1]]
    document = proof(zero, "--judge", "presence,true_position")
    parts = document["decisions"]["parts"]
    assert parts["overkill"]["count"] == parts["overkill"]["of"] == 6 == len(parts["overkilled"])
    assert (
        parts["unknown"] == 3 == sum(parts["matrix"]["unknown"].values())
        and "no part is NG by the reference" in parts["proof"]
    )
    assert document["quantities"]["dx"]["slope"] is None
    assert document["quantities"]["dx"]["slope_note"] == "not told: the reference's pins are hardly displaced"
    without = [{key: value for key, value in line.items() if key != "height_mm"} for line in zero]
    document = proof(without)
    assert document["decisions"]["pins"]["unknown"] == len(zero) and document["decisions"]["parts"]["unknown"] == 9
    assert document["quantities"]["height"] == {
        "pins": 0,
        "parts": 0,
        "not_compared": {"not in the reference": len(zero)},
        "few": "",
    }


def test_invalid_parts_and_measures_that_are_missing_are_counted(proof, station, tmp_path, capsys):
    photos = tmp_path / "photos"
    shutil.copytree(station[0], photos)
    for view in ("center", "top"):
        Image.new("RGB", (96, 64)).save(photos / f"part101_{view}.png")
    for number in NUMBERS:
        if number != 101:
            (photos / f"part{number}_top.png").unlink()
    document = proof(None, photos=photos)
    pins = len([line for line in station[1] if line["part"] == "part101"])
    height, dx = document["quantities"]["height"], document["quantities"]["dx"]
    assert dx["not_compared"]["part INVALID"] == pins and dx["parts"] == 8
    assert height["pins"] == 0 and sum(height["not_compared"].values()) == len(station[1])
    assert height["not_compared"]["undetermined"] > 0
    parts = document["decisions"]["parts"]
    assert parts["invalid"]["ng"]["count"] == 1 == sum(by["INVALID"] for by in parts["matrix"].values())
    page = read_page(tmp_path / "proof" / "report.html").text
    assert "INVALID parts" in page and "part INVALID" in page
    assert f"not compared: {pins} part INVALID" in capsys.readouterr().out


def test_few_parts_are_said_to_be_few(proof, station):
    document = proof([line for line in station[1] if line["part"] == "part101"])
    assert document["quantities"]["dx"]["few"] == "shown by few parts: 1"
    assert document["quantities"]["dx"]["bias"]["interval"] is None
    assert len(document["not_in_reference"]) == 8


def test_earlier_results_are_replaced_and_files_of_others_stay(proof, drawn_run, station, tmp_path, capsys):
    proof()
    proof()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.html").write_text("mine")
    base = ["--model", str(drawn_run), "--photos", str(station[0]), "--reference", str(tmp_path / "measured.csv")]
    assert main([*base, "--out", str(tmp_path / "other")]) == 2
    assert "got other files, whose names the results need: report.html" in capsys.readouterr().err
    assert main([*base, "--out", str(station[0] / "proof")]) == 2
    assert "expected a folder outside of the photographs" in capsys.readouterr().err
    own = tmp_path / "proof" / "reference.csv"
    before = own.read_bytes()
    assert main([*base[:-1], str(own), "--out", str(tmp_path / "proof")]) == 2
    assert "expected a file that the results do not replace" in capsys.readouterr().err and own.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"--reference": None}, "--photos: expected together with --reference, got --photos alone"),
        ({"--photos": None}, "--reference: expected together with --photos, got --reference alone"),
        ({"--data": "set"}, "--data: expected either --data or --photos with --reference, got both"),
        ({"--reference": None, "--photos": None}, "--data: expected either --data or --photos with --reference, got n"),
        ({"--reference": None, "--photos": None, "--data": "d", "--judge": "height"}, "--judge: expected only with"),
        ({"--split": "test", "--rows": "all"}, "--split, --rows: expected only with --data, got --reference"),
        ({"--device": "cuda"}, "--device cuda: expected auto or cpu with --reference"),
        ({"--judge": "colour"}, "--judge: expected some of presence, true_position, height"),
        (
            {"--tolerance": "true_position_mm=0"},
            "--tolerance: expected true_position_mm in mm, from 0.001 to 50, got '0'",
        ),
        ({"--tolerance": "r9c9.true_position_mm=1"}, "--tolerance: expected a pin address of drawn"),
        ({"--camera": "left"}, "--camera left: expected a view known to the run"),
        ({"--terminal": "square"}, "--terminal square"),
        ({"--calibration": "rig.json"}, "rig.json"),
        ({"--photos": "nowhere"}, "nowhere: expected a picture or a folder of pictures"),
        ({"--model": "nowhere"}, "nowhere/config.json: expected a trained run's config.json"),
        ({"--reference": "nowhere.csv"}, "--reference nowhere.csv: expected a CSV file"),
    ],
)
def test_mistakes_exit_with_2_and_one_line(drawn_run, station, tmp_path, capsys, options, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {
        "--model": str(drawn_run),
        "--photos": str(station[0]),
        "--out": str(tmp_path / "out"),
        "--reference": str(written(tmp_path / "measured.csv", station[1])),
        **options,
    }
    assert main([text for pair in given.items() if pair[1] is not None for text in pair]) == 2
    errors = capsys.readouterr().err
    assert said in errors and errors.count("error: ") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"part": "part7"}, "--reference: part part7: expected a photograph of it, got none"),
        ({"address": "r9c9"}, "--reference: part part100: expected addresses on the drawing, such as r1c1, got r9c9"),
        ({"dx_mm": "a"}, ":2 dx_mm: expected a number of mm, got 'a'"),
        (None, ":2 row: expected at least one pin, got none"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(drawn_run, station, tmp_path, capsys, change, said):
    first, *others = station[1]
    path = written(tmp_path / "measured.csv", [{**first, **(change or {})}, *others])
    if change is None:
        path.write_text("part,address,dx_mm,dy_mm\n")
    base = ["--model", str(drawn_run), "--photos", str(station[0]), "--out", str(tmp_path / "out")]
    assert main([*base, "--reference", str(path)]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_picture_that_cannot_be_read_and_a_tolerance_given_twice_are_refused(drawn_run, station, tmp_path, capsys):
    photos = tmp_path / "photos"
    shutil.copytree(station[0], photos)
    (photos / "part101_top.png").write_bytes(b"\x89PNG")
    reference = written(tmp_path / "measured.csv", station[1])
    base = ["--model", str(drawn_run), "--out", str(tmp_path / "out"), "--reference", str(reference)]
    assert main([*base, "--photos", str(photos)]) == 2
    assert "part101_top.png" in capsys.readouterr().err and not (tmp_path / "out").exists()
    twice = ["--tolerance", "true_position_mm=1", "--tolerance", "true_position_mm=2"]
    assert main([*base, "--photos", str(station[0]), *twice]) == 2
    assert "--tolerance: expected once with --reference, got 2 times" in capsys.readouterr().err


def test_other_kinds_of_run_are_refused(trained_run, station, tmp_path, capsys):
    base = ["--model", str(trained_run), "--photos", str(station[0]), "--out", str(tmp_path / "out")]
    assert main([*base, "--reference", str(written(tmp_path / "measured.csv", station[1]))]) == 2
    assert "--reference applies to gauges only" in capsys.readouterr().err
