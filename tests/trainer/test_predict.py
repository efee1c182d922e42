"""Verdicts as JSON and as pictures, and files that are no pictures."""

import hashlib
import io
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from generator.io.palette import hue, rgb
from tests.conftest import edited
from tests.other_python import other_python
from trainer import predict
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.core.prediction import Prediction, sheet_names
from trainer.predict import main
from trainer.vit.prediction import unfit_reasons


@pytest.fixture
def pictures(tmp_path, make_rows):
    folder = tmp_path / "pictures 部品"
    (folder / "deeper").mkdir(parents=True)
    for index, row in enumerate(make_rows("train", 6, 0)):
        place = folder / "deeper" if index == 5 else folder
        (place / f"{row['run']}.png").write_bytes(row["image"]["bytes"])
    (folder / "readme.txt").write_text("no picture")
    return folder


def test_a_sheet_never_takes_the_place_of_a_picture(trained_run, pictures, capsys):
    before = {path: path.read_bytes() for path in pictures.rglob("*") if path.is_file()}
    assert main(["--model", str(trained_run), str(pictures), "-o", str(pictures)]) == 2
    assert "expected another folder than that of the input pictures" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in pictures.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["train000.png", "predictions.json"])
def test_files_of_others_are_not_replaced(trained_run, pictures, tmp_path, capsys, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text('["mine"]')
    assert main(["--model", str(trained_run), str(pictures), "-o", str(out)]) == 2
    said = capsys.readouterr()
    assert f"--out {out}: expected" in said.err and name in said.err and not said.out
    assert [path.name for path in out.iterdir()] == [name] and (out / name).read_text() == '["mine"]'


def test_sheets_of_an_earlier_call_are_replaced(trained_run, pictures, tmp_path):
    out = tmp_path / "out"
    words = ["--model", str(trained_run), "-o", str(out)]
    assert main([*words, str(pictures)]) == 0
    assert main([*words, str(pictures / "train000.png")]) == 0
    # As after an interrupted call: predictions.json names one sheet, the others are known by their own mark.
    assert main([*words, str(pictures)]) == 0
    # Sheets of earlier versions have no mark; predictions.json names them.
    for path in out.glob("*.png"):
        shutil.copy(pictures / "train000.png", path)
    assert main([*words, str(pictures)]) == 0
    assert len(json.loads((out / "predictions.json").read_text())) == 6


def test_no_verdict_of_an_earlier_call_stays(trained_run, pictures, tmp_path, monkeypatch):
    out, json_file, broken = tmp_path / "out", tmp_path / "v.json", pictures / "train002.png"
    words = ["--model", str(trained_run), "-o", str(out), "--json", str(json_file)]
    assert main([*words, str(pictures)]) == 0 and (out / broken.name).exists()
    content = broken.read_bytes()
    broken.write_bytes(content[:80])
    assert main([*words, str(broken)]) == 2
    assert not (out / broken.name).exists() and (out / "train000.png").exists()
    broken.write_bytes(content)
    monkeypatch.setattr(predict, "write_sheet", lambda *_: 1 / 0)  # stopped at the first picture
    with pytest.raises(ZeroDivisionError):
        main([*words, str(broken)])
    assert not json_file.exists() and not (out / "predictions.json").exists()


def test_nothing_that_is_read_is_written(trained_run, pictures, capsys):
    picture = pictures / "train000.png"
    before = picture.read_bytes()
    assert main(["--model", str(trained_run), str(picture), "--json", str(picture)]) == 2
    assert "expected another file than the input files, got one of them" in capsys.readouterr().err
    assert picture.read_bytes() == before


def test_a_folder_below_a_file_is_told_before_anything_is_judged(trained_run, pictures, tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert main(["--model", str(trained_run), str(pictures), "-o", str(out)]) == 2
    said = capsys.readouterr()
    assert f"--out {out}: expected a folder, got the file {tmp_path / 'file'} in its path" in said.err
    assert not said.out


def test_folder_gives_verdicts_json_and_pictures(trained_run, pictures, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["--model", str(trained_run), str(pictures), "-o", str(out), "--json", str(tmp_path / "v.json")]) == 0
    verdicts = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    assert verdicts == json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    by_name = {v["file"].rsplit("/", 1)[1]: v for v in verdicts}
    assert [by_name[f"train{i:03d}.png"]["label"] for i in range(6)] == ["BENDNG", "NUKENG", "OK"] * 2
    assert [by_name[f"train{i:03d}.png"]["verdict"] for i in range(6)] == ["NG", "NG", "OK"] * 2
    for verdict in verdicts:
        assert sum(verdict["probabilities"].values()) == pytest.approx(1)
        assert verdict["confidence"] == max(verdict["probabilities"].values())
        assert verdict["confidence"] > 0.5
        with Image.open(out / f"{verdict['file'].rsplit('/', 1)[1]}") as sheet:
            assert sheet.width >= 512 and sheet.height > sheet.width
            bar = np.asarray(sheet.convert("RGB"))[2, -2].astype(int)
            assert (bar[0] > bar[1]) == (verdict["verdict"] == "NG")  # red for NG, green for OK
    assert capsys.readouterr().out.count("NG  ") >= 4


def test_heat_peaks_at_the_defect(trained_run, pictures, tmp_path):
    assert main(["--model", str(trained_run), str(pictures), "--json", str(tmp_path / "v.json")]) == 0
    verdicts = json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))
    ng = {v["file"].rsplit("/", 1)[1]: v for v in verdicts if v["verdict"] == "NG"}
    for index in (0, 1, 3, 4):
        x, y = ng[f"train{index:03d}.png"]["peak_px"]
        pin = (8 + 16 * (index % 4), 8 + 16 * (index // 4))
        assert np.hypot(x - pin[0], y - pin[1]) < 12


def test_larger_pictures_are_fitted_and_the_peak_is_in_their_px(trained_run, pictures, tmp_path):
    with Image.open(pictures / "train001.png") as picture:
        wide = picture.resize((192, 96), Image.Resampling.BICUBIC)
        tall = picture.crop((8, 0, 24, 32)).resize((64, 128), Image.Resampling.BICUBIC)
    wide.save(tmp_path / "wide.png")
    tall.save(tmp_path / "tall.png")
    assert (
        main(
            [
                "--model",
                str(trained_run),
                str(tmp_path / "wide.png"),
                str(tmp_path / "tall.png"),
                "-o",
                str(tmp_path / "out"),
            ]
        )
        == 0
    )
    wide_verdict, tall_verdict = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert np.hypot(wide_verdict["peak_px"][0] - 72, wide_verdict["peak_px"][1] - 24) < 36
    assert 0 <= tall_verdict["peak_px"][0] <= 64 and 0 <= tall_verdict["peak_px"][1] <= 128


def test_unreadable_pictures_are_named_and_the_others_judged(trained_run, pictures, tmp_path, capsys):
    broken = pictures / "broken.png"
    broken.write_bytes((pictures / "train000.png").read_bytes()[:80])
    assert main(["--model", str(trained_run), str(pictures), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "broken.png: expected a picture that can be decoded" in said and "Traceback" not in said
    verdicts = {Path(v["file"]).name: v for v in json.loads((tmp_path / "out" / "predictions.json").read_text())}
    assert len(verdicts) == 7 and [v["verdict"] for v in verdicts.values()].count("INVALID") == 1
    unread = verdicts["broken.png"]
    assert unread["verdict"] == "INVALID" and unread["reasons"][0].startswith("file: ") and unread["sha256"]
    assert not (tmp_path / "out" / "broken.png").exists()


def test_a_verdict_is_an_envelope_with_the_keys_of_before(trained_run, pictures, tmp_path):
    assert main(["--model", str(trained_run), str(pictures), "--json", str(tmp_path / "v.json")]) == 0
    for one in json.loads((tmp_path / "v.json").read_text()):
        assert one["schema"] == "pinsight-verdict/1" and one["software"].startswith("pinsight") and one["time"]
        assert one["sha256"] == hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest()
        assert one["model"] == {"name": "run", "hash": sha256_of_weights(trained_run / "best.safetensors")}
        assert one["judged"] == ["true_position", "retraction", "presence"] and one["pins"] == one["boxes"] == []
        assert {"label", "confidence", "probabilities", "peak_px", "peak_class", "peak_probability"} <= set(one)
        assert (one["reasons"] == []) == (one["verdict"] == "OK")


def test_an_unfit_run_judges_nothing_until_it_is_allowed(run, pictures, tmp_path, capsys):
    with edited(run / "frozen.json") as document:
        why = "unfit: balanced accuracy is too low"
        document["fitness"]["unfit"] = [why]
    words = ["--model", str(run), str(pictures), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert {one["verdict"] for one in found} == {"INVALID"} and all(one["reasons"] == [why] for one in found)
    with Image.open(tmp_path / "out" / "train002.png") as sheet:
        assert sheet.convert("RGB").getpixel((2, 2)) == rgb(hue("INVALID").on_white)
    said = capsys.readouterr().out
    # The run's reason once, then a line for each picture.
    assert said.count(why) == 1 and said.count("INVALID  ") == 6 and "OK" not in said
    assert main([*words, "--allow-unfit"]) == 0
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert {one["verdict"] for one in found} == {"OK", "NG"} and all(one["warnings"] == [why] for one in found)
    assert why in capsys.readouterr().out


def test_a_run_of_an_earlier_version_is_as_fit_as_its_summary_says(run, pictures):
    with edited(run / "frozen.json") as document:
        for key in ("fitness", "escape_threshold", "overkill_threshold"):
            del document[key]
    assert unfit_reasons(run) == ()
    summary = json.loads((run / "summary.json").read_text())
    summary["splits"]["validation"]["confusion"] = [[0, 0, 2], [0, 0, 2], [0, 0, 2]]
    (run / "summary.json").write_text(json.dumps(summary))
    assert "balanced accuracy of OK and NG on validation is 0.500" in unfit_reasons(run)[0]
    (run / "summary.json").unlink()
    assert "fitness (how well this run tells OK from NG) is not recorded" in unfit_reasons(run)[0]
    assert "last epoch" in unfit_reasons(run, "last")[0]


def test_the_threshold_option_moves_ng_and_never_widens_ok(trained_run, pictures, tmp_path):
    def verdicts(threshold: str) -> list[dict]:
        target = tmp_path / "v.json"
        assert main(["--model", str(trained_run), str(pictures), "--threshold", threshold, "--json", str(target)]) == 0
        return json.loads(target.read_text())

    assert {one["verdict"] for one in verdicts("0")} == {"NG"}
    strict = verdicts("1")
    assert {one["verdict"] for one in strict} == {"OK", "UNSURE"}
    for one in strict:
        p_ok = one["probabilities"]["OK"]
        assert (one["label"] == "OK") == (p_ok > 0.5) and (one["verdict"] == "UNSURE" or one["confidence"] == p_ok)
        assert one["verdict"] == "OK" or one["reasons"][0].startswith("threshold: ")


def test_wrong_inputs(trained_run, pictures, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["--model", str(trained_run), str(tmp_path / "no.png"), str(empty)]) == 2
    said = capsys.readouterr().err
    assert "no.png: expected a picture or a folder" in said and "empty: expected at least one picture" in said
    assert main(["--model", str(tmp_path / "norun"), str(pictures)]) == 2
    assert "config.json" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["--model", str(trained_run), str(pictures), "--heat"])
    assert stop.value.code == 2


def test_a_json_file_that_cannot_be_written_is_named_before_anything_is_judged(trained_run, pictures, tmp_path, capsys):
    for target in (tmp_path / "none" / "v.json", tmp_path):
        assert main(["--model", str(trained_run), str(pictures), "--json", str(target)]) == 2
        said = capsys.readouterr()
        assert f"--json {target}: expected a file in a folder that exists" in said.err and not said.out


def test_pictures_of_one_name_do_not_overwrite_each_other(tmp_path):
    files = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.jpg", tmp_path / "c" / "y.png"]
    assert sheet_names(files) == ["x.png", "x_2.png", "y.png"]
    many = [tmp_path / str(k) / name for k in range(10_000) for name in ("x.png", "x_3.png")]
    began = time.process_time()
    names = sheet_names(many)
    assert time.process_time() - began < 2
    assert names[:8] == [*("x.png", "x_3.png", "x_2.png", "x_3_2.png", "x_4.png", "x_3_3.png", "x_5.png", "x_3_4.png")]
    assert len(set(names)) == len(many)


def test_no_sheet_has_the_name_of_another_picture(trained_run, pictures, tmp_path):
    files = [tmp_path / name for name in ("a/ok00.png", "b/ok00.png", "b/ok00_2.png")]
    assert sheet_names(files) == ["ok00.png", "ok00_3.png", "ok00_2.png"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        shutil.copy(pictures / "train000.png", file)
    out = tmp_path / "out"
    assert main(["--model", str(trained_run), *map(str, files), "-o", str(out)]) == 0
    verdicts = json.loads((out / "predictions.json").read_text(encoding="utf-8"))
    named = {Path(one["file"]).relative_to(tmp_path).as_posix(): one["sheet"] for one in verdicts}
    assert named == {"a/ok00.png": "ok00.png", "b/ok00.png": "ok00_3.png", "b/ok00_2.png": "ok00_2.png"}
    assert {path.name for path in out.glob("*.png")} == set(named.values())


def test_a_run_is_never_replaced_by_verdicts(trained_run, pictures, tmp_path, capsys):
    before = {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()}
    words = ["--model", str(trained_run), str(pictures)]
    assert main([*words, "--json", str(trained_run / "config.json")]) == 2
    assert "config.json: expected a file outside the run's folder" in capsys.readouterr().err
    assert main([*words, "-o", str(trained_run)]) == 2
    assert "expected another folder than the run's (--model), got the run's folder" in capsys.readouterr().err
    (tmp_path / "o").mkdir()
    assert main([*words, "-o", str(tmp_path / "o"), "--json", str(tmp_path / "o" / "train000.png")]) == 2
    assert "than the sheets of --out" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--json", "-o"])
def test_a_place_where_nothing_can_be_written_is_named_before_anything_is_judged(trained_run, pictures, option, capsys):
    assert main(["--model", str(trained_run), str(pictures), option, "/proc/x"]) == 2
    said = capsys.readouterr()
    assert "/proc/x: expected a f" in said.err and not said.out


def test_a_name_that_is_not_utf8_keeps_its_verdict_and_its_bytes(trained_run, pictures, tmp_path, monkeypatch):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/Geh\xe4use.png"))
    shutil.copy(pictures / "train000.png", file)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict"))
    assert main(["--model", str(trained_run), str(file), "-o", str(tmp_path / "out")]) == 0
    (one,) = json.loads((tmp_path / "out" / "predictions.json").read_text(encoding="utf-8"))
    assert os.fsencode(one["file"]) == os.fsencode(file) and one["verdict"] == "NG"
    assert main(["--model", str(trained_run), str(file), "-o", str(tmp_path / "out")]) == 0


def test_a_name_with_a_line_end_keeps_its_verdict_on_one_line(tmp_path, monkeypatch, capsys):
    file = tmp_path / "a\nOK  b.png"
    file.touch()
    found = SimpleNamespace(places=[file], outcomes=[Prediction(file, {}, f"NG  {file}")])
    monkeypatch.setattr("trainer.predict.run_kind", lambda _: "vit")
    monkeypatch.setattr("trainer.predict._predictions", lambda *_: found)
    assert main(["--model", str(tmp_path), str(file)]) == 0
    assert capsys.readouterr().out == f"NG  {tmp_path}/a\\nOK  b.png\n"


def test_a_prediction_starts_without_what_only_training_and_evaluation_need():
    modules = "trainer.predict, trainer.vit.prediction, trainer.florence2.prediction, trainer.vit.command"
    slow = "{'torchvision', 'sklearn', 'scipy', 'transformers'} & set(sys.modules)"
    assert other_python("-c", f"import sys, {modules}\nprint({slow})").stdout == "set()\n"
