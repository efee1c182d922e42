"""A gauge with a finder that knows the truth is adapted to a station whose pictures it accepts, and judges with it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generator.io.checksum import sha256_of
from generator.locating.crops import Crops
from generator.locating.fit import FitLimits
from generator.locating.likeness import Likeness
from generator.locating.locate import FoundPoints
from generator.locating.pose import NotDeterminedError
from generator.verdict.envelope import keyword_of
from generator.verdict.gates import PictureGates
from tests.generator.locating.exact_finder import ExactFinder, connectors_text, drawing_of, grey
from tests.generator.verdict.test_gates import part
from tests.trainer.conftest import tiny_rows, write_dataset
from trainer import adapt, evaluate, export, predict
from trainer.core.picture_transform import PictureTransform
from trainer.core.run_folder import save_tensors
from trainer.gauge import adapting, prediction, station_parts, station_uncertainty
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.run import GaugeConfig, TrainingConfig, Uncertainty, load_run, save_config, save_uncertainty
from trainer.gauge.station_parts import Candidate, see, widened

LIMITS = {"connector_3x9": {"true_position_mm": 0.8, "retraction_mm": 0.6, "protrusion_mm": 0.6}}
PARTS = 8


class NoisyFinder(ExactFinder):
    """Finds tips beside their places by more than it states, as in pictures of a station that it was not trained on."""

    def __init__(self):
        super().__init__(drawing_of(), ["center", "left"])
        self.source = np.random.default_rng(0)

    def find(self, crops: Crops) -> FoundPoints:
        found = super().find(crops)
        found.points[crops.which < self.queries.pins, 0] += self.source.normal(0.0, 0.3, 2)
        return found


class Gates:
    """Gates that refuse nothing."""

    def reasons(self, picture, **how):
        return []

    def widened(self, pictures, most):
        return self

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def station(tmp_path, monkeypatch):
    """Folders of a gauge's run, of its dataset and of photographs of good parts."""
    run, photos = tmp_path / "run", tmp_path / "photos"
    run.mkdir()
    photos.mkdir()
    shape = GaugeConfig(side=48, width=8)
    torch.manual_seed(0)
    save_config(run, shape, TrainingConfig(threads=1), 20.7, LIMITS)
    save_tensors(run / "best.safetensors", GaugeNetwork(shape.side, shape.width).state_dict(), {})
    save_uncertainty(run, Uncertainty(), None)
    (run / "connectors.json").write_text(connectors_text(("plain", "round")))
    (run / "summary.json").write_text(json.dumps({"displaced": ["connector_3x9/r1c1"], "splits": {"test": {}}}))
    Likeness(frozenset({("connector_3x9", "plain", "round")}), {}).save(run)
    for number in range(PARTS):
        photograph(number).save(photos / f"part{number}_center.png")
    data = write_dataset(tmp_path / "data", {"train": tiny_rows("train", 6, 0)})
    finder = NoisyFinder()
    monkeypatch.setattr(prediction, "TorchFinder", lambda network, scales: finder)
    monkeypatch.setattr(prediction, "load_gates", lambda run: {"center": Gates()})
    return run, data, photos


def photograph(number: int) -> Image.Image:
    """A picture unlike those of other numbers, in which the finder finds the part at the same place."""
    shown = grey(0)
    shown.putpixel((0, 0), (number, 0, 0))
    return shown


def adapted(station, out, *more: str) -> int:
    run, data, photos = station
    options = ["--data", str(data), "--photos", str(photos), "--out", str(out), "--judge", "presence,true_position"]
    return adapt.main(["--model", str(run), *options, *more])


def test_a_run_is_adapted_and_judges_with_a_larger_u_and_a_warning(station, tmp_path, capsys):
    out = tmp_path / "adapted"
    assert adapted(station, out, "--change", "none") == 0
    old, new = load_run(station[0]).uncertainty, load_run(out).uncertainty
    assert json.loads((out / "uncertainty.json").read_text())["weights_sha256"] == sha256_of(out / "best.safetensors")
    assert new.alone["center"][0] > 3.0 and new.fit_limits == old.fit_limits
    document = json.loads((out / "adaptation.json").read_text())
    assert len(document["photographs"]) == PARTS and document["photographs"][0]["view"] == "center"
    assert sum(document["good_parts"]["verdicts"].values()) == PARTS
    assert json.loads((out / "summary.json").read_text())["splits"] == {}
    assert "does not hold" in (out / "report.html").read_text()
    assert predict.main(["--model", str(out), str(station[2]), "--json", str(tmp_path / "p.json")]) == 0
    first = json.loads((tmp_path / "p.json").read_text())[0]
    assert first["model"]["hash"] == sha256_of(out / "best.safetensors") != sha256_of(station[0] / "best.safetensors")
    assert first["warnings"][0].startswith("adapted: ")
    (tmp_path / "r.csv").write_text("part,address,dx_mm,dy_mm\npart1,r1c1,0,0\n")
    given = ["--photos", str(station[2]), "--reference", str(tmp_path / "r.csv"), "--out", str(tmp_path / "proof")]
    assert evaluate.main(["--model", str(out), *given]) == 0
    proof = json.loads((tmp_path / "proof" / "reference.json").read_text())
    assert proof["adapted"] in proof["warnings"] and proof["quantities"]["dx"]["pins"] == 1
    shown = next(pin for pin in first["pins"] if pin["address"] == "r1c1")
    assert proof["quantities"]["dx"]["largest"]["u"] == pytest.approx(shown["u_dx_mm"], rel=0.2)
    assert export.main(["--model", str(out), "--to", str(tmp_path / "gauge.onnx")]) == 2
    assert adapted((out, *station[1:]), tmp_path / "again") == 2
    assert not (tmp_path / "again").exists()


def test_too_few_photographs_are_refused_and_leave_no_folder(station, tmp_path, capsys):
    (station[2] / "part0_center.png").unlink()
    assert adapted(station, tmp_path / "adapted") == 2
    assert "photographs of at least 8 good parts in each view, got 7 of view center" in capsys.readouterr().err
    assert not (tmp_path / "adapted").exists()


def referenced(station, tmp_path, lines, view: str = "center", more: str = "") -> int:
    """Adapt with photographs of 8 more parts and a reference of these lines."""
    for number in range(PARTS):
        photograph(PARTS + number).save(station[2] / f"bent{number}_{view}.png")
    path = tmp_path / "measured.csv"
    path.write_text("\n".join([f"part,address,dx_mm,dy_mm{more}", *lines]) + "\n")
    return adapted(station, tmp_path / "adapted", "--change", "none", "--reference", str(path))


def test_a_reference_without_enough_bent_pins_is_refused(station, tmp_path, capsys):
    assert referenced(station, tmp_path, [f"bent{number},r1c1,0.5,0.0" for number in range(PARTS)]) == 2
    assert "got 8 parts with 8 and 0 such pins" in capsys.readouterr().err


def test_a_reference_of_displacements_that_the_gauge_does_not_see_makes_u_larger(station, tmp_path):
    lines = [f"bent{number},r1c{pin},0.5,-0.5" for number in range(PARTS) for pin in range(1, 10)]
    assert referenced(station, tmp_path, lines) == 0
    assert load_run(tmp_path / "adapted").uncertainty.alone["center"][0] > 10.0
    document = json.loads((tmp_path / "adapted" / "adaptation.json").read_text())
    assert document["reference"]["parts"] == PARTS and document["uncertainty_not_measured"] == {"center": ["height"]}
    assert "not measured" in (tmp_path / "adapted" / "report.html").read_text()


def test_heights_of_a_reference_are_compared_with_those_of_tips(station, tmp_path, monkeypatch):
    given, real = [], station_uncertainty.corrected

    def spied(reference, seen, *rest):
        given.append((reference, seen))
        return real(reference, seen, *rest)

    def kept(bench, part, pictures):
        found = see(bench, part, pictures)
        measured.extend(found.pins)
        return found

    monkeypatch.setattr(station_uncertainty, "corrected", spied)
    measured = []
    monkeypatch.setattr(adapting, "see", kept)
    lines = [f"bent{number},r1c{pin},0.5,-0.5,-0.1" for number in range(PARTS) for pin in range(1, 10)]
    assert referenced(station, tmp_path, lines, more=",height_mm") == 0
    assert given[0][0].measures["bent0"]["r1c1"] == pytest.approx([0.5, -0.5, 0.1])
    # The gauge states the retraction, whose variance contains that of the bend's shape.
    for address, pin in given[0][1]["center"]["bent0"].items():
        length = {each.address: each.standing_mm for each in drawing_of().positions}[address]
        own = next(one for one in measured if one.bend_mm == pin.bend_mm)
        assert pin.offsets_mm[2] == pytest.approx(own.offsets_mm[2] + 0.65 * pin.bend_mm**2 / length)
        assert pin.covariance[2, 2] == pytest.approx(own.covariance[2, 2] - (0.15 * pin.bend_mm**2 / length) ** 2)


def test_missing_pins_of_a_reference_are_left_out_and_said(station, tmp_path, capsys):
    lines = [f"bent{number},r1c{pin},0.5,-0.5,yes" for number in range(PARTS) for pin in range(1, 9)]
    assert referenced(station, tmp_path, [*lines, "bent0,r1c9,,,no"], more=",present") == 0
    assert "reference: missing pins, left out as they show nothing of slope and U: 1;" in capsys.readouterr().out
    document = json.loads((tmp_path / "adapted" / "adaptation.json").read_text())
    assert document["reference"]["missing_pins"] == 1 and document["reference"]["parts"] == PARTS
    assert "missing pins, left out: 1" in (tmp_path / "adapted" / "report.html").read_text()


def test_a_reference_that_does_not_fit_the_photographs_is_refused(station, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prediction, "load_gates", lambda run: {"center": Gates(), "left": Gates()})
    lines = [f"bent{number},A1,0.5,0.0" for number in range(PARTS)]
    assert referenced(station, tmp_path, [*lines, "bent 1,r1c1,0.5,0.0"], "left") == 2
    said = capsys.readouterr().err
    assert "bent0: expected photographs by the views of the good parts (center), got left" in said
    assert "such as r1c1, got A1" in said and "part bent 1: expected a photograph of it, got none" in said


def test_with_several_views_a_reference_corrects_only_those_it_measured(station, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "load_gates", lambda run: {"center": Gates(), "left": Gates()})
    monkeypatch.setattr(adapting, "renders_by_light", lambda data, view, part: {"": [grey(0)] * 8})
    seen = []

    def half_blind(bench, part, pictures):
        """See bent pins where they are by the view center, alone or not; the view left alone finds no bent part."""
        found = see(bench, part, pictures)
        if not Path(part).name.startswith("bent"):
            return found
        seen.append(tuple(pictures))
        pins = [replace(pin, offsets_mm=np.array([0.5, -0.5, 0.0])) for pin in found.pins]
        return replace(found, pins=() if list(pictures) == ["left"] else pins)

    monkeypatch.setattr(adapting, "see", half_blind)
    for number in range(PARTS):
        for step, name in enumerate(("part", "bent")):
            for value, view in enumerate(("center", "left")):
                shown = grey(value)
                shown.putpixel((255, 127), (number, step, 9))  # each file is unlike the others
                shown.save(station[2] / f"{name}{number}_{view}.png")
    lines = [f"bent{number},r1c{pin},0.5,-0.5" for number in range(PARTS) for pin in range(1, 10)]
    path = tmp_path / "measured.csv"
    path.write_text("\n".join(["part,address,dx_mm,dy_mm", *lines]) + "\n")
    assert adapted(station, tmp_path / "adapted", "--change", "none", "--reference", str(path)) == 0
    found = json.loads((tmp_path / "adapted" / "adaptation.json").read_text())["uncertainty_factors"]
    assert found["several views"][:2] == found["center"][:2] == [0.3, 0.3]
    assert found["left"][0] >= 1.0 and found["left"][1] > 3.0
    assert set(seen) == {("center", "left"), ("center",), ("left",)}


def test_a_scatter_near_the_limits_is_refused(station, tmp_path, capsys):
    assert adapted(station, tmp_path / "adapted", "--scatter", "0.3") == 2
    assert "--scatter 0.3: expected at most 0.1 mm" in capsys.readouterr().err


def test_limits_follow_only_parts_that_the_pose_s_fit_accepts(station, monkeypatch):
    bench, shown = prediction.load_bench(station[0], prediction.Options()), []

    def not_widened(self, pictures, most):
        shown.append(len(pictures))
        return self

    monkeypatch.setattr(Gates, "widened", not_widened)
    parts = {f"part{number}": {"center": photograph(number)} for number in range(PARTS)}
    same = {"center": PictureTransform("none", np.tile(np.arange(256.0), (3, 1)))}
    strict = replace(bench, gauge=replace(bench.gauge, limits=FitLimits(residual=0.0)))
    for each, count in ((bench, [PARTS]), (strict, [])):
        seen = [see(each, name, pictures) for name, pictures in parts.items()]
        widened(each, Candidate("none", same, seen), parts, 1.5)
        assert shown == count
        shown.clear()


def not_determined(*given):
    raise NotDeterminedError("no point was found")


def test_a_quarter_turn_is_a_reason_also_of_a_part_that_looks_alike_after_a_half_turn(station, monkeypatch):
    gates = PictureGates.of([part(seed, (128, 128)) for seed in range(60)])
    monkeypatch.setattr(prediction, "load_gates", lambda run: {"center": gates})
    monkeypatch.setattr(station_parts, "scaled", lambda picture, drawing, camera, pitch: (np.asarray(picture), camera))
    monkeypatch.setattr(station_parts, "located", not_determined)
    bench = prediction.load_bench(station[0], prediction.Options())
    alike = replace(bench, drawing=replace(bench.drawing, symmetries=("half_turn",)))
    shown = part(200, (128, 128))
    unlike = replace(bench, drawing=replace(bench.drawing, symmetries=()))
    for one, turns in ((unlike, (90, 180, 270)), (alike, (90, 270))):
        said = {turn: see(one, "part", {"center": shown.rotate(turn)}).reasons for turn in (0, 90, 180, 270)}
        assert tuple(turn for turn, why in said.items() if "orientation" in map(keyword_of, why)) == turns


def test_every_reason_of_a_part_that_is_not_located_has_a_keyword(station, monkeypatch):
    bench = prediction.load_bench(station[0], prediction.Options())
    monkeypatch.setattr(station_parts, "located", not_determined)
    assert see(bench, "part", {"center": photograph(0)}).reasons == ("not located: no point was found",)
