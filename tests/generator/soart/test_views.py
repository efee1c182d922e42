"""`generator inspect --views`: one verdict per part from several views, its limit, files, log and mistakes."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageOps

import generator.soart.inspect as inspect_command
from generator.__main__ import main
from generator.soart import learning
from generator.soart.golden import Golden
from generator.soart.limits import part_scores, score_limit
from generator.soart.part_model import PartInspectionModel
from generator.soart.verdict_log import VerdictLog
from generator.soart.watch import Arrival, arriving_parts

VIEWS = ("center", "left")


def view(seed: int, name: str, word: bool = True) -> Image.Image:
    """Draw a part with a printed word, as the camera `center` or (mirrored) `left` sees it."""
    y, x = np.mgrid[0:60, 0:90]
    picture = 0.3 + 0.2 * ((x > 10) & (x < 80) & (y > 8) & (y < 52)) + 0.1 * ((x > 14) & (x < 24) & (y > 12) & (y < 20))
    if word:
        picture = picture + 0.3 * ((y > 30) & (y < 40) & (x > 30) & (x < 60) & (x // 3 % 2 == 0))
    noise = np.random.default_rng([seed, VIEWS.index(name)]).normal(0, 0.01, picture.shape)
    drawn = Image.fromarray(np.round(255 * np.clip(picture + noise, 0, 1)).astype(np.uint8))
    return ImageOps.mirror(drawn) if name == "left" else drawn


def write_part(folder: Path, part: str, seed: int, views: Sequence[str] = VIEWS, without: Sequence[str] = ()) -> None:
    """Write the pictures of a part; `without`: views that show it without its word."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in views:
        view(seed, name, name not in without).save(folder / f"{part}_{name}.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("views")
    for n in range(13):
        write_part(path / "ok", f"g{n:02d}", n)
    write_part(path / "ok", "lacks", 19, views=("center",))
    write_part(path / "new", "good", 20)
    write_part(path / "new", "bad", 21, without=("left",))
    (path / "pins").mkdir()
    (path / "pins" / "left.csv").write_text("address,x1,y1,x2,y2\nr1c1,25,26,65,44\n", "utf-8")
    unit = ["--save", str(path / "unit.npz")]
    assert inspect(path / "new", path / "ok", path / "out", "--views", "center,left", *unit) == 0
    return path


def inspect(images: Path, golden: Path, out: Path, *more: str) -> int:
    return main(["inspect", str(images), "--golden", str(golden), "-o", str(out), *more])


def verdicts(out: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in out.glob("*.json")}


def test_a_defect_that_one_view_shows_makes_the_part_ng(folder: Path) -> None:
    found = verdicts(folder / "out")
    assert {name: one["verdict"] for name, one in found.items()} == {"good": "OK", "bad": "NG"}
    good, bad = found["good"], found["bad"]
    assert good["reasons"] == [] and good["score"] < 1
    assert {name: one["verdict"] for name, one in bad["by_view"].items()} == {"center": "OK", "left": "NG"}
    assert bad["score"] == bad["by_view"]["left"]["score"] > 1 and all("(view left)" in one for one in bad["reasons"])
    x1, y1, x2, y2, _ = bad["by_view"]["left"]["boxes"][0]
    assert 20 <= x1 < x2 <= 70 and 20 <= y1 < y2 <= 50
    assert bad["files"] == {name: str(folder / "new" / f"bad_{name}.png") for name in VIEWS}
    assert set(bad["sha256"]) == set(VIEWS) and bad["limit"]["count"] == 13
    lines = [json.loads(line) for line in (folder / "out" / "verdicts.jsonl").read_text("utf-8").splitlines()]
    assert lines == [bad, good]
    with Image.open(folder / "out" / "bad.png") as sheet:
        assert sheet.width > 2 * 90 * 2


def test_a_saved_unit_space_keeps_its_views_and_limits(folder: Path, tmp_path: Path) -> None:
    assert inspect(folder / "new", folder / "unit.npz", tmp_path / "out") == 0
    for name, one in verdicts(tmp_path / "out").items():
        before = verdicts(folder / "out")[name]
        for key in ("verdict", "limit", "by_view"):
            assert one[key] == before[key]


def test_pins_are_judged_in_the_views_that_have_boxes_of_pins(folder: Path, tmp_path: Path, capsys) -> None:
    pins = ["--views", "center,left", "--positions", str(folder / "pins"), "--positions-of"]
    assert inspect(folder / "new", folder / "ok", tmp_path / "out", *pins, str(folder / "ok" / "g03")) == 0
    assert "view center: judged without boxes of pins" in (printed := capsys.readouterr().out)
    assert "without those of pins that are not visible" in printed and "r1c1" in printed
    bad = verdicts(tmp_path / "out")["bad"]
    assert [pin["verdict"] for pin in bad["by_view"]["left"]["pins"]] == ["NG"] and bad["by_view"]["center"][
        "pins"
    ] == []
    assert inspect(folder / "new", folder / "ok", tmp_path / "out", *pins, str(folder / "ok" / "none")) == 2
    assert "ok/none: expected a part with a picture of the view left" in capsys.readouterr().err


def test_what_is_said_of_the_ok_pictures_of_a_view_names_the_view(folder: Path, tmp_path: Path, monkeypatch, capsys):
    calls: list[Golden] = []

    def doubt(golden: Golden, scores: np.ndarray) -> None:
        calls.append(golden)
        if len(calls) > 2:  # one for each view, then again for the view that is aligned on pins
            golden.warnings.append("warning: scores are high")

    monkeypatch.setattr(learning, "warn_of_doubtful", doubt)
    pins = ["--views", "center,left", "--positions", str(folder / "pins"), "--positions-of", str(folder / "ok" / "g03")]
    assert inspect(folder / "new", folder / "ok", tmp_path / "out", *pins) == 0
    assert "view left: warning: scores are high\n" in capsys.readouterr().out
    for number in range(4):
        write_part(tmp_path / "ok", f"g{number}", number)
        view(0, "left", True).save(tmp_path / "ok" / f"g{number}_left.png")
    assert inspect(folder / "new", tmp_path / "ok", tmp_path / "out", "--views", "center,left") == 2
    assert "ok: view left: expected at least 3 different OK pictures, got 1" in capsys.readouterr().err


def test_a_file_of_another_program_is_not_replaced_by_the_verdict_on_a_part(
    folder: Path, tmp_path: Path, capsys
) -> None:
    (tmp_path / "good.png").write_bytes(b"a photograph")
    for golden, more in ((folder / "ok", ["--views", "center,left"]), (folder / "unit.npz", [])):
        assert inspect(folder / "new", golden, tmp_path, *more) == 2
        assert "got other files, whose names the verdicts need: good.png" in capsys.readouterr().err
    assert (tmp_path / "good.png").read_bytes() == b"a photograph" and not (tmp_path / "good.json").exists()


def test_no_part_is_ok_by_a_part_of_its_views(folder: Path, tmp_path: Path, capsys) -> None:
    write_part(tmp_path / "new", "lacks", 30, views=("center",))
    write_part(tmp_path / "new", "lacks_bad", 31, views=("center",), without=("center",))
    write_part(tmp_path / "new", "half", 32)
    left = tmp_path / "new" / "half_left.png"
    left.write_bytes(left.read_bytes()[:300])
    write_part(tmp_path / "new", "other", 33)
    view(34, "left").rotate(180).save(tmp_path / "new" / "other_left.png")
    write_part(tmp_path / "new", "whole", 35)
    assert inspect(tmp_path / "new", folder / "unit.npz", tmp_path / "out") == 2
    assert "lacks: expected a picture of view left, got none" in capsys.readouterr().err
    found = verdicts(tmp_path / "out")
    said = {name: one["verdict"] for name, one in found.items()}
    assert said == {"lacks": "INVALID", "lacks_bad": "NG", "half": "INVALID", "other": "INVALID", "whole": "OK"}
    assert found["lacks"]["reasons"] == ["file: expected a picture of view left, got none (view left)"]
    assert found["half"]["by_view"]["left"]["score"] is None and found["half"]["by_view"]["center"]["verdict"] == "OK"
    assert all((tmp_path / "out" / f"{name}.png").is_file() for name in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["new", "--golden", "ok", "--views", "center"], "expected two or more different cameras"),
        (
            ["new", "--golden", "ok", "--views", "center,top"],
            "_left.png: expected a name that ends in one of the views",
        ),
        (
            ["ok/lacks_center.png", "--golden", "new", "--views", "center,left"],
            "at least 3 OK parts with a picture of every",
        ),
        (["new", "--golden", "unit.npz", "--views", "center,left"], "together with --views, got unit.npz"),
        (["ok", "new/good_left.png", "new2", "--golden", "unit.npz"], "parts with different names"),
        (["pins/left.csv", "--golden", "unit.npz"], "--out: expected a folder without"),
        (
            ["new", "--golden", "ok", "--views", "center,left", "--positions", "pins/left.csv"],
            "--positions: expected, with",
        ),
        (
            ["new", "--golden", "ok", "--views", "center,left", "--positions", "new"],
            "expected files with boxes of pins",
        ),
        (["new", "--golden", "unit.npz", "--wait", "3"], "--wait: expected --watch"),
        (
            ["new", "--golden", "unit.npz", "--watch", "--wait", "-1"],
            "--wait: expected a number of seconds >= 0, got -1",
        ),
    ],
)
def test_a_mistake_is_told_with_exit_code_2(folder: Path, monkeypatch, capsys, arguments, message) -> None:
    monkeypatch.chdir(folder)
    write_part(folder / "new2", "good", 22)
    out = "pins" if "pins/left.csv" in arguments[:1] else "mistakes"
    try:
        assert main(["inspect", *arguments, "-o", out]) == 2
    except SystemExit as stopped:  # from argparse
        assert stopped.code == 2
    assert message in capsys.readouterr().err
    assert not (folder / "mistakes").exists()


def test_verdicts_are_not_written_where_pictures_are_searched(folder: Path, capsys) -> None:
    assert inspect(folder / "new", folder / "unit.npz", folder / "new" / "verdicts") == 2
    assert "--out: expected a folder outside of" in capsys.readouterr().err


def test_a_golden_part_is_used_in_all_views_or_in_none(folder: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(folder / "ok", tmp_path / "ok")
    (tmp_path / "ok" / "g13").mkdir()
    for name in VIEWS:
        view(13, name).save(tmp_path / "ok" / "g13" / f"{name}.png")
    write_part(tmp_path / "ok", "poor", 40, without=("left",))
    assert inspect(folder / "new", tmp_path / "ok", tmp_path / "out", "--views", "center,left") == 0
    printed = capsys.readouterr().out
    assert "OK part lacks is set aside: it has no picture of the view left" in printed
    assert (
        "view left: OK picture poor_left.png is set aside" in printed and "OK part poor is set aside in all" in printed
    )
    assert "limit of the score: set from 14 OK parts" in printed
    assert verdicts(tmp_path / "out")["bad"]["limit"]["count"] == 14


def test_the_limits_of_all_views_keep_the_promise_for_the_part() -> None:
    random = np.random.default_rng(0)

    def drawn(count: int) -> np.ndarray:
        shared = random.normal(size=(count, 1))
        return np.exp((0.6 * shared + 0.8 * random.normal(size=(count, 3))) * [0.08, 0.15, 0.25])

    new = drawn(4000)
    for count in (5, 20):
        rates, upper = [], 0.0
        for _ in range(120):
            combined, equivalent = part_scores(list(drawn(count).T))
            limit = score_limit(combined)
            limits = np.array([score_limit(one).value for one in equivalent])
            rates.append(float((new > limits).any(axis=1).mean()))
            upper = limit.interval[1]
        assert np.mean(rates) < 1 / (count + 1) and np.mean(np.array(rates) <= upper) > 0.9


def test_a_damaged_file_of_views_judges_nothing(folder: Path, tmp_path: Path, capsys) -> None:
    with np.load(folder / "unit.npz") as file:
        held = dict(file)
    other = json.loads(held["views"].tobytes()) | {"views": ["center"]}
    damages = {
        "cut": {"unit_1": held["unit_1"][:900]},
        "one": {"views": np.frombuffer(json.dumps(other).encode(), dtype=np.uint8)},
        "text": {"views": np.frombuffer(b"[]", dtype=np.uint8)},
    }
    for name, damage in damages.items():
        np.savez(tmp_path / f"{name}.npz", **(held | damage))
        assert inspect(folder / "new", tmp_path / f"{name}.npz", tmp_path / "out") == 2
        assert f"{name}.npz: " in (error := capsys.readouterr().err) and "expected a unit space" in error
    inspection = PartInspectionModel.load(folder / "unit.npz")
    next(iter(inspection.by_view.values())).model.notes["parts"][0] = "another"
    with pytest.raises(ValueError, match="expected the OK parts of the other views"):
        PartInspectionModel(inspection.by_view)


def arrived(folder: Path, count: int, wait_s: float = 60.0, judged: Sequence[str] = ()) -> list[Arrival]:
    incoming = arriving_parts(folder, VIEWS, wait_s, lambda part, view, sha256: view in judged, pause_s=0.01)
    return [next(incoming) for _ in range(count)]


def test_a_part_arrives_with_its_last_view_or_after_the_wait(tmp_path: Path) -> None:
    write_part(tmp_path, "a", 1)
    write_part(tmp_path, "b", 2, views=("left",))
    (tmp_path / "c").mkdir()
    for name in VIEWS:
        view(3, name).save(tmp_path / "c" / f"{name}.png")
    view(4, "left").save(tmp_path / "notes.png")
    whole = {
        "a": {name: tmp_path / f"a_{name}.png" for name in VIEWS},
        "c": {name: tmp_path / "c" / f"{name}.png" for name in VIEWS},
    }
    found = {Path(one.part).name: one for one in arrived(tmp_path, 4, wait_s=0.05)}
    assert {name: found[name].files for name in whole} == whole
    assert found["b"].files == {"left": tmp_path / "b_left.png"}
    assert "notes.png: expected a name that ends in one of the views" in found["notes.png"].problem


def test_views_of_two_parts_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    write_part(tmp_path, "p", 1)
    incoming = arriving_parts(tmp_path, VIEWS, 0.05, lambda *_: False, pause_s=0.01)
    assert len(next(incoming).files) == 2
    write_part(tmp_path, "p", 2, views=("center",))  # the file `left` is still that of the first part
    assert next(incoming).files == {"center": tmp_path / "p_center.png"}
    assert arrived(tmp_path, 1, 0.05, judged=["left"])[0].files == {"center": tmp_path / "p_center.png"}


def test_watching_judges_each_part_once(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    incoming, out = tmp_path / "incoming", tmp_path / "out"
    write_part(incoming, "bad", 50, without=("left",))
    write_part(incoming, "good", 51)
    write_part(incoming, "late", 52, views=("center",))
    view(53, "left").save(incoming / "notes.png")

    def watch(count: int) -> None:
        def limited(place: Path, views: Sequence[str], wait_s: float, is_judged) -> Iterator[Arrival]:
            yield from arrived_from(arriving_parts(place, views, wait_s, is_judged, pause_s=0.01), count)
            raise KeyboardInterrupt

        monkeypatch.setattr(inspect_command, "arriving_parts", limited)
        assert inspect(incoming, folder / "unit.npz", out, "--watch", "--wait", "0.05") == 0

    def arrived_from(arrivals: Iterator[Arrival], count: int) -> Iterator[Arrival]:
        for _ in range(count):
            yield next(arrivals)

    watch(4)
    said = {name: one["verdict"] for name, one in verdicts(out).items()}
    assert said == {"bad": "NG", "good": "OK", "late": "INVALID", "notes": "INVALID"}
    assert "INVALID  late  (center OK, left INVALID)" in capsys.readouterr().out
    write_part(incoming, "next", 54)
    write_part(incoming, "good", 55, without=("left",))  # another part of this name
    watch(3)  # next, good, notes.png
    found = verdicts(out)
    assert len(found) == 6 and found["next"]["verdict"] == "OK" and found["good"]["verdict"] == "OK"
    (again,) = (one for name, one in found.items() if name.startswith("good-"))
    assert again["verdict"] == "NG" and again["part"] == "good"
    assert len((out / "verdicts.jsonl").read_text("utf-8").splitlines()) == 6
    with VerdictLog(out, resume=True) as log:
        assert log.has_view("late", "center", found["late"]["sha256"]["center"])
        assert not log.has_view("late", "left", found["late"]["sha256"]["center"])


def digests(*files: Path) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_a_replaced_picture_is_not_mixed_with_the_next_part(tmp_path: Path) -> None:
    write_part(tmp_path, "cam", 1, views=("center",))
    write_part(tmp_path, "z", 2)
    center, left = (tmp_path / f"cam_{name}.png" for name in VIEWS)
    first = digests(center)
    incoming = arriving_parts(tmp_path, VIEWS, 60.0, lambda *_: False, pause_s=0.01)
    assert Path(next(incoming).part).name == "z"
    write_part(tmp_path, "cam", 3, views=("center",))
    replaced = next(incoming)
    assert (list(replaced.files), list(replaced.sha256.values())) == (["center"], first)
    view(1, "left").save(left)
    second = next(incoming)
    assert list(second.sha256.values()) == digests(center, left) and list(second.wrong) == ["left"]
    write_part(tmp_path, "cam", 4)
    assert next(incoming).wrong == {}


def test_a_picture_that_changes_after_its_arrival_is_not_judged(folder: Path, tmp_path: Path, monkeypatch) -> None:
    incoming, out = tmp_path / "incoming", tmp_path / "out"
    write_part(incoming, "p", 60)
    arrived_first = digests(*(incoming / f"p_{name}.png" for name in VIEWS))

    def overwritten(*arguments) -> Iterator[Arrival]:
        arrival = next(arriving_parts(*arguments, pause_s=0.01))
        write_part(incoming, "p", 61, views=("center",))
        yield arrival
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_command, "arriving_parts", overwritten)
    assert inspect(incoming, folder / "unit.npz", out, "--watch") == 0
    found = verdicts(out)["p"]
    changed = "file: expected the picture that arrived, got a file that has changed since (view center)"
    assert (found["verdict"], found["reasons"]) == ("INVALID", [changed])
    assert [found["sha256"][name] for name in VIEWS] == arrived_first


def test_two_files_of_one_view_are_never_ok(folder: Path, tmp_path: Path, monkeypatch) -> None:
    incoming, out = tmp_path / "incoming", tmp_path / "out"
    write_part(incoming, "p", 62)
    view(63, "left").save(incoming / "p_left.bmp")

    def limited(*arguments) -> Iterator[Arrival]:
        found = arriving_parts(*arguments, pause_s=0.01)
        yield from (next(found) for _ in range(2))
        raise KeyboardInterrupt

    monkeypatch.setattr(inspect_command, "arriving_parts", limited)
    assert inspect(incoming, folder / "unit.npz", out, "--watch", "--wait", "0.05") == 0
    found = list(verdicts(out).values())
    assert [one["verdict"] for one in found] == ["INVALID"] * 2
    assert all(any("expected one picture of view left, got" in why for why in one["reasons"]) for one in found)


def test_the_wait_for_a_view_does_not_run_out_while_another_part_is_judged(tmp_path: Path, monkeypatch) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr("generator.soart.watch.time", clock)
    write_part(tmp_path, "a", 1)
    write_part(tmp_path, "b", 2, views=("center",))
    incoming = arriving_parts(tmp_path, VIEWS, 2.0, lambda *_: False)
    assert Path(next(incoming).part).name == "a"
    write_part(tmp_path, "c", 3)
    assert Path(next(incoming).part).name == "c"  # b waits now
    clock.sleep(3)  # the judge is busy
    view(2, "left").save(tmp_path / "b_left.png")
    assert list(next(incoming).files) == ["center", "left"]
    write_part(tmp_path, "d", 4, views=("center",))
    assert list(next(incoming).files) == ["center"]


@pytest.mark.parametrize("runs", [1, 2])
def test_a_picture_of_another_part_is_not_judged_again(folder: Path, tmp_path: Path, runs: int) -> None:
    stations = [tmp_path / "station", tmp_path / ("station" if runs == 1 else "later")]
    write_part(stations[0], "p1", 64)
    write_part(stations[1], "p8", 65)
    shutil.copy(stations[0] / "p1_left.png", stations[1] / "p8_left.png")
    out, expected = tmp_path / "out", "file: expected a picture of its own, got the same picture as part p1 (view left)"
    codes = [inspect(station, folder / "unit.npz", out) for station in stations[:runs]]
    assert codes == [2] if runs == 1 else [0, 2]
    for _ in range(2):
        found = verdicts(out)
        assert {name: one["verdict"] for name, one in found.items()} == {"p1": "OK", "p8": "INVALID"}
        assert found["p8"]["reasons"] == [expected]
        inspect(stations[0], folder / "unit.npz", out)  # the same part again


def test_a_renamed_part_is_judged(folder: Path, tmp_path: Path) -> None:
    station, out = tmp_path / "station", tmp_path / "out"
    write_part(station, "p1", 66)
    assert inspect(station, folder / "unit.npz", out) == 0
    for name in VIEWS:
        (station / f"p1_{name}.png").rename(station / f"p2_{name}.png")
    write_part(station, "p1", 67)
    for _ in range(2):
        assert inspect(station, folder / "unit.npz", out) == 0
    assert {name: one["verdict"] for name, one in verdicts(out).items()} == {"p1": "OK", "p2": "OK"}


def test_no_verdict_on_a_picture_stays_beside_that_on_its_part(folder: Path, tmp_path: Path, monkeypatch) -> None:
    station, out, golden, unit = (tmp_path / name for name in ("station", "out", "center", "center.npz"))
    golden.mkdir()
    for file in sorted((folder / "ok").glob("g*_center.png"))[:5]:
        shutil.copy(file, golden)
    write_part(station, "p7", 68, views=("center",))
    write_part(station, "p8", 69)
    (station / "p9").mkdir()
    view(70, "center").save(station / "p9" / "center.png")
    alone = ["p7_center.png", "p9/center.png"]
    monkeypatch.chdir(station)
    assert inspect(Path(alone[0]), golden, out, "--save", str(unit)) == 0
    assert inspect(Path(alone[1]), unit, out) == 0
    assert set(verdicts(out)) == {"p7_center", "center"}
    monkeypatch.chdir(tmp_path)
    assert inspect(station, folder / "unit.npz", out) == 2
    assert {name: one["verdict"] for name, one in verdicts(out).items()} == {
        "p7": "INVALID",
        "p8": "OK",
        "p9": "INVALID",
    }
    assert inspect(station / alone[0], unit, out) == inspect(station / alone[1], unit, out) == 0
    assert set(verdicts(out)) == {"p7_center", "p8", "center"}
