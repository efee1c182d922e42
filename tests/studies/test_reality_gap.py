"""The study `reality_gap`, with commands that only pretend to render and to judge."""

import json
import shutil
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from generator.dataset.connectors import connectors_json, nominal_connector, read_connectors
from studies import reality_gap
from studies.foreign_stations import HOUSING, SCENE, SCENES, TERMINAL, write_scene
from studies.gap_runs import MeasuredRun
from studies.gap_tables import ADAPTED, MATCHED, tables
from studies.page import marked
from studies.reality_gap import PAGE, Study, parser, run
from trainer.core.errors import InputError


class Pretended:
    """Stands in for `studies.execution.python`: writes what each command would write, and keeps its words."""

    def __init__(self):
        self.said = []

    def __call__(self, words, log):
        self.said.append([str(word) for word in words])
        if words[1] == "trainer.adapt":
            to = Path(words[words.index("--out") + 1])
            shutil.copytree(words[words.index("--model") + 1], to)
            (to / "adaptation.json").write_text("{}")
            return
        {"render": self.render, "inspect": self.inspect, "match": self.match}.get(words[2], self.predict)(words)

    def render(self, words):
        folder = Path(words[words.index("--out") + 1])
        for name in ("images", "records"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        pin = {"address": "r1c1", "tip_mm": [0, 0, 0], "dx_mm": 0.0, "dy_mm": 0.0, "retraction_mm": 0.0}
        for part, dx in (("good000", 0.0), ("bad000", 0.9)):
            for camera in ("center", "left", "top"):
                (folder / "images" / f"{part}_{camera}.png").write_bytes(b"")
                content = {"positions": [pin | {"dx_mm": dx}]}
                (folder / "records" / f"{part}_{camera}.json").write_text(json.dumps(content))

    def inspect(self, words):
        out = Path(words[words.index("-o") + 1])
        out.mkdir(parents=True)
        if "--save" in words:
            Path(words[words.index("--save") + 1]).write_bytes(b"")
        pictures = [Path(word).name for word in words if word.endswith("_center.png")]
        lines = [{"picture": name, "verdict": "NG", "reasons": [], "score": 2.0} for name in pictures]
        (out / "verdicts.jsonl").write_text("\n".join(map(json.dumps, lines)))

    def match(self, words):
        scenes = Path(words[words.index("--scenes") + 1])
        assert (scenes / f"{words[words.index('--scene') + 1]}.toml").is_file()
        text = (SCENES / f"{SCENE}.toml").read_text().replace("distance_mm = 118.0", "distance_mm = 111.0")
        Path(words[words.index("-o") + 1]).write_text(text)

    def predict(self, words):
        names = {Path(word).name for word in words}
        if words[3].endswith("vit"):
            self.judged = {name for name in names if name.endswith(".png")}
            entries = [
                {"part": f"x/{name}", "files": {}, "verdict": "OK", "reasons": [], "label": "OK"}
                for name in ("good000", "bad000")
            ]
            Path(words[words.index("--json") + 1]).write_text(json.dumps(entries))
            return
        assert {"good000_top.png", "bad000_left.png"} <= names
        entries = [{"part": f"x/{name}", "verdict": "OK", "reasons": [], "pins": []} for name in ("good000", "bad000")]
        Path(words[words.index("--json") + 1]).write_text(json.dumps(entries))


def run_folder(folder, format_, weights=b"weights", **model):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"format": format_, "version": 1, "model": model}))
    (folder / "best.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def gauge(tmp_path):
    folder = run_folder(tmp_path / "g1", "pinsight-gauge")
    own = nominal_connector(read_connector(SCENES / f"{SCENE}.toml"), HOUSING, TERMINAL)
    (folder / "connectors.json").write_text(connectors_json([own]))
    return folder


def test_a_station_is_judged_once_by_each_run_and_ingredient(tmp_path, gauge):
    command = Pretended()
    study = Study(tmp_path / "work", 3, 256, command=command)
    stations = {station.name: station for station in study.stations()}
    for name in ("own", "foreign_2"):
        study.measure(stations[name], {gauge: tmp_path / "data"}, match=True)
    found = study.results()
    assert [(each.run, each.step, each.station) for each in found] == [
        ("g1", "as trained", "own"),
        ("g1", "as trained", "foreign_2"),
        ("g1", MATCHED, "foreign_2"),
        ("g1", ADAPTED, "foreign_2"),
        ("inspect", "as trained", "own"),
        ("inspect", "as trained", "foreign_2"),
    ]
    assert [part.truth for part in found[0].parts] == ["OK", "BENDNG"]
    matched = [words for words in command.said if "match" in words]
    assert [words[words.index("--scene") + 1] for words in matched] == [SCENE, "matched_center", "matched_left"]
    (adapted,) = (words for words in command.said if "trainer.adapt" in words)
    assert len(list(Path(adapted[adapted.index("--photos") + 1]).iterdir())) == 6
    (fitted,) = read_connectors(tmp_path / "work" / "matched" / "foreign_2" / "256px" / MeasuredRun.of(gauge).key(256))
    assert fitted.cameras["center"]["matrix"][2][3] == pytest.approx(111.0 - 2.5)
    count = len(command.said)
    shutil.rmtree(tmp_path / "work" / "renders")
    study.measure(stations["own"], {gauge: None}, match=True)
    assert len(command.said) == count + 1  # rendering keeps its own finished rows


def test_other_weights_of_the_same_name_and_other_widths_are_judged_anew(tmp_path, gauge):
    other = run_folder(tmp_path / "elsewhere" / "g1", "pinsight-gauge", b"other weights")
    command = Pretended()
    for width, model in ((256, gauge), (256, other), (512, other), (512, other)):
        study = Study(tmp_path / "work", 3, width, command=command)
        study.measure(study.stations()[0], {model: None}, match=False)
    judged = [words[words.index("--model") + 1] for words in command.said if "trainer.predict" in words]
    assert judged == [str(gauge), str(other), str(other)]
    rendered = [Path(words[words.index("--out") + 1]).name for words in command.said if "render" in words]
    assert {"own_256px", "golden_256px", "own_512px", "golden_512px"} == set(rendered)  # never two widths in a folder
    golden = [words[words.index("--save") + 1] for words in command.said if "--save" in words]
    assert [Path(path).name for path in golden] == ["unit_256px.npz", "unit_512px.npz"]
    found = study.results()
    assert len({(each.run, each.weights, each.width) for each in found if each.run == "g1"}) == 3
    text = tables(found, "own")
    weights = {each.weights for each in found if each.run == "g1"}
    assert all(f"| g1, weights {each[:16]} | own station, nothing changed, 256 px |" in text for each in weights)


def test_a_run_judges_the_pictures_of_its_own_views(tmp_path):
    vit = run_folder(tmp_path / "vit", "pinsight-vit", views=["center", "top"])
    command = Pretended()
    study = Study(tmp_path / "work", 3, 256, command=command)
    study.measure(study.stations()[0], {vit: None}, match=False)
    assert command.judged == {f"{part}_{view}.png" for part in ("good000", "bad000") for view in ("center", "top")}
    assert [part.name for part in study.results()[-1].parts] == ["good000", "bad000"]
    strange = run_folder(tmp_path / "strange", "pinsight-vit", views=["center", "right"])
    with pytest.raises(InputError, match="expected views among center, left, top, which the stations have, got right"):
        study.measure(study.stations()[0], {strange: None}, match=False)


def test_a_florence_2_with_a_dataset_is_measured_as_trained_only(tmp_path, capsys):
    detector = run_folder(tmp_path / "a_vit", "pinsight-florence2")
    command = Pretended()
    study = Study(tmp_path / "work", 3, 256, command=command)
    study.measure(study.stations()[-1], {detector: tmp_path / "data"}, match=True)
    assert [each.step for each in study.results() if each.run == "a_vit"] == ["as trained"]
    assert not [words for words in command.said if "trainer.adapt" in words]
    assert "--data of a_vit has no effect: trainer.adapt adapts no Florence-2" in capsys.readouterr().out


def test_the_tables_have_a_place_in_the_docs(tmp_path, monkeypatch, capsys, gauge):
    page = tmp_path / "page.md"
    page.write_text(PAGE.read_text("utf-8"))
    monkeypatch.setattr(reality_gap, "PAGE", page)
    monkeypatch.setattr(reality_gap.Study.__init__, "__defaults__", (1, 1, None, Pretended()))
    words = ["--model", str(gauge), "--work", str(tmp_path / "w"), "--only", "own", "--parts", "3", "--write"]
    assert run(parser().parse_args(words)) == 0
    said = capsys.readouterr().out
    assert "g1, as trained, own: bad000 is NG and was called OK" in said
    text = page.read_text("utf-8")
    assert "| g1 | own station, nothing changed | as trained | 1 / 0 / 0 / 0 | 1 / 0 / 0 / 0 | 1 (< 100 %)" in text
    assert marked(text, "reality gap", "x") != text


def test_the_cameras_of_a_scene_with_other_values_are_taken(tmp_path):
    study = Study(tmp_path, 3, 256)
    station = study.stations()[-1]
    assert write_scene(station, tmp_path).shell.depth_mm != study.nominal.shell.depth_mm
