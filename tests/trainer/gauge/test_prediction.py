import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from blender_scripts.contract.tolerance import Tolerance
from generator.locating.crops import Crops
from generator.locating.drawings import choose
from generator.locating.edges import Similarity
from generator.locating.factors import ValidationErrors
from generator.locating.gauge_file import read_gauge_file
from generator.locating.judge import CHARACTERISTICS
from generator.locating.likeness import FILE as LIKENESS
from generator.locating.likeness import Likeness
from generator.locating.measure import SAG_DEVIATION
from generator.verdict.gates import PictureGates
from tests.generator.locating.certificates import complete, write_certificate
from tests.generator.locating.drawn_photographs import EdgeFinder, background, draw_part, tips_of
from tests.generator.locating.exact_finder import ExactFinder, connectors_text, drawing_of, grey
from trainer import attention, export, predict, push, report
from trainer.core import adaptation
from trainer.core.errors import InputError
from trainer.core.run_folder import read_tensors, save_tensors
from trainer.gauge import prediction
from trainer.gauge.finder import TorchFinder
from trainer.gauge.gates import load_gates
from trainer.gauge.limits import connector_tolerance, replaced
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.run import GaugeConfig, TrainingConfig, Uncertainty, load_run, save_config, save_uncertainty, tie

VIEWS = ("center", "top")
# 24 validation parts that look alike, with errors of three times the stated standard deviation.
ERRORS = ValidationErrors({view: np.zeros((24, 40)) for view in ("center", "top")}, np.full((24, 27, 3), 3.0))
LIMITS = {"connector_3x9": {"true_position_mm": 0.8, "retraction_mm": 0.6, "protrusion_mm": 0.6}}


def noise(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 16, 3), np.uint8)
    return Image.fromarray(coarse).resize((256, 128), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def gauge_run(tmp_path_factory):
    """A gauge's run with random weights; its gates know a few blurred patterns."""
    run = tmp_path_factory.mktemp("gauge") / "run"
    run.mkdir()
    shape = GaugeConfig(side=48, width=8)
    torch.manual_seed(0)
    network = GaugeNetwork(shape.side, shape.width)
    torch.nn.init.normal_(network.surely[2].weight, std=0.3)
    save_config(run, shape, TrainingConfig(threads=1), 20.7, LIMITS)
    save_tensors(run / "best.safetensors", network.state_dict(), {})
    save_uncertainty(run, Uncertainty(tip=1.3, foot=1.1, edge=1.2, together=(1.4, 1.5, 1.6), sag=0.7), ERRORS)
    (run / "connectors.json").write_text(connectors_text(("plain", "round"), ("ribbed", "square")))
    Likeness(frozenset(("connector_3x9", *pair) for pair in (("plain", "round"), ("ribbed", "square"))), {}).save(run)
    for view in VIEWS:
        (run / "gates" / view).mkdir(parents=True)
        PictureGates.of([noise(seed) for seed in range(6)]).save(run / "gates" / view)
    return run


class Passes:
    def reasons(self, picture, **how):
        return []


@pytest.fixture
def exact(monkeypatch):
    """A gauge that sees r2c5 0.5 mm off: its pictures are of one grey value by view, which no gate refuses."""
    views, finder = sorted(VIEWS), ExactFinder(drawing_of(), sorted(VIEWS), {"r2c5": (0.5, 0.0, 0.0)})
    monkeypatch.setattr(prediction, "TorchFinder", lambda network, scales: finder)
    monkeypatch.setattr(prediction, "load_gates", lambda run: {view: Passes() for view in views})


def predicted(run, tmp_path, *more, names=("part7_center.png", "part7_top.png")):
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for name in names:
        grey(1 if "top" in name else 0).save(folder / name)
    code = predict.main(
        ["--model", str(run), *(str(folder / name) for name in names), "-o", str(tmp_path / "out"), *more]
    )
    written = tmp_path / "out" / "predictions.json"
    return code, json.loads(written.read_text()) if code == 0 else []


def test_views_of_a_part_make_one_verdict_with_measures_and_a_sheet(gauge_run, tmp_path, exact, capsys):
    code, (one,) = predicted(gauge_run, tmp_path)
    assert code == 0 and one["verdict"] == "NG" and one["views"] == ["center", "top"]
    assert one["sentence"].startswith("NG: r2c5 bent, true position 1.0")
    assert one["pose"]["inliers"] == 1.0 and one["scale"].startswith("nominal millimetres")
    assert [pin["address"] for pin in one["pins"] if pin["decision"] == "nonconform"] == ["r2c5"]
    assert one["tolerance"] == LIMITS and set(one["sha256"]) == {"center", "top"}
    assert one["sentence"] in capsys.readouterr().out
    assert (tmp_path / "out" / "part7.png").is_file()


@pytest.fixture
def rig(tmp_path):
    """A certificate of the two cameras, whose focal lengths are uncertain by 0.1 %."""
    cameras = {view: drawing_of().cameras[view] for view in VIEWS}
    deviations = {f"{view}.f": 1e-3 * 512 * camera["fx_per_width"] for view, camera in cameras.items()}
    return lambda **other: write_certificate(tmp_path / "rig.json", cameras, deviations, **other)


def test_a_certificate_is_named_and_its_covariance_enters_u(gauge_run, tmp_path, exact, rig, capsys):
    _, (nominal,) = predicted(gauge_run, tmp_path)
    _, (one,) = predicted(gauge_run, tmp_path, "--calibration", str(rig()))
    assert one["verdict"] == "NG" and one["scale"].endswith("made 2026-01-02, expires 2999-01-02")
    assert sum(pin["u_dx_mm"] for pin in one["pins"]) > 1.1 * sum(pin["u_dx_mm"] for pin in nominal["pins"])
    _, (late,) = predicted(gauge_run, tmp_path, "--calibration", str(rig(expires="2026-01-03T00:00:00Z")))
    assert late["pins"] == one["pins"] and late["scale"].endswith("expired 2026-01-03: no conformity is stated")
    told = "".join(capsys.readouterr())
    assert "rig.json: expired on 2026-01-03, so no conformity is stated." in told
    assert late["warnings"] == [
        "calibration: certificate rig.json expired on 2026-01-03, so no conformity is stated"
    ] and not one.get("warnings")
    assert late["sentence"] == f"{one['sentence']}; certificate expired, no conformity stated"
    assert f"{late['sentence']}  " in told


def test_certificates_that_do_not_fit_are_refused(gauge_run, tmp_path, exact, rig, capsys):
    for other, said in (
        ({"schema": "x"}, "rig.json: expected a calibration certificate of schema pinsight-camera/1, got schema 'x'"),
        ({"cameras": {"top": _stated(rig())}}, "rig.json camera center: expected this camera in the certificate"),
        ({"cameras": dict.fromkeys(VIEWS, _stated(rig(), height=512))}, "512 x 512 px, got 256 x 128 px"),
    ):
        file = rig(**{**other, **complete(list(other.get("cameras", VIEWS)))})
        names = ("part7_center.png", "part7_top.png", "part8_center.png", "part8_top.png")
        assert predicted(gauge_run, tmp_path, "--calibration", str(file), names=names)[0] == 2
        assert capsys.readouterr().err.count(said) == (2 if "px" in said else 1)  # of two cameras, but not of each part


def _stated(file, **other):
    return {**json.loads(file.read_text())["cameras"]["top"], **other}


def test_tolerance_and_what_is_judged_are_followed(gauge_run, tmp_path, exact):
    wide = ("--tolerance", "r2c5.true_position_mm=2", "--judge", "true_position,presence")
    _, (one,) = predicted(gauge_run, tmp_path, *wide)
    assert one["verdict"] == "OK" and one["not_inspected"] == ["height"]
    assert one["tolerance"]["connector_3x9"]["at"]["r2c5"]["true_position_mm"] == 2.0


def test_an_ok_by_other_limits_than_those_of_the_run_names_them(gauge_run, tmp_path, exact, capsys):
    judged = ("--judge", "true_position,presence")
    _, (one,) = predicted(gauge_run, tmp_path, *judged, "--tolerance", "true_position_mm=31.5,retraction_mm=0.4")
    said = "OK: all 27 pins are present and within their limits of true position (true_position_mm 31.5 in place of "
    output = capsys.readouterr().out
    assert one["sentence"].startswith(f"{said}0.8); not inspected: height") and said in output
    wide = "--tolerance: true_position_mm=31.5 is more than the pitch, 4 mm, so that hardly any pin exceeds it: limits"
    assert any(text.startswith(wide) for text in one["warnings"]) and f"WARNING: {wide}" in output
    _, (one,) = predicted(gauge_run, tmp_path, "--judge", "presence", "--tolerance", "true_position_mm=31.5")
    assert one["sentence"].startswith("OK: all 27 pins are present; not inspected")
    _, refused = predicted(gauge_run, tmp_path, *judged, "--tolerance", "true_position_mm=800")
    assert refused == [] and "from 0.001 to 50, got '800'" in capsys.readouterr().err


def test_replaced_limits_are_named_by_pin():
    usual = Tolerance(0.8, 0.6, None, {"r1c1": {"true_position_mm": 0.2}})
    assert replaced(usual, usual, CHARACTERISTICS) == ""
    assert replaced(usual.with_limits({"r1c2.retraction_mm": 0.3}), usual, CHARACTERISTICS) == (
        "r1c2.retraction_mm 0.3 in place of 0.6, r1c2.protrusion_mm 0.3 in place of 0.6"
    )
    assert replaced(usual.with_limits({"true_position_mm": 2}), usual, CHARACTERISTICS) == (
        "true_position_mm 2 in place of 0.8, r1c1.true_position_mm 2 in place of 0.2"
    )
    assert replaced(Tolerance(31.5, 0.6), None, ("true_position",)) == "true_position_mm 31.5"
    many = usual.with_limits({f"r1c{column}.true_position_mm": 3 for column in range(2, 11)})
    assert replaced(many, usual, CHARACTERISTICS).endswith("r1c7.true_position_mm 3 in place of 0.8, and 3 more")


def test_a_picture_without_a_view_is_from_the_centre_and_lacks_heights(gauge_run, tmp_path, exact, capsys):
    _, (one,) = predicted(gauge_run, tmp_path, names=("picture.png",))
    assert one["views"] == ["center"] and one["verdict"] == "NG"
    assert len(one["not_determined"]["height"]) == 27
    assert "1 pictures have no view in their names: judged as view center" in capsys.readouterr().out


def test_pictures_of_one_stem_are_parts_of_their_own(gauge_run, tmp_path, exact):
    _, found = predicted(gauge_run, tmp_path, names=("desk.bmp", "desk.png", "pin_center.png", "pin.png", "alone.png"))
    names = [Path(one["part"]).name for one in found]
    assert names == ["pin", "desk.bmp", "desk.png", "pin.png", "alone"]
    assert {one["verdict"] for one in found} == {"NG"} and all(len(one["pins"]) == 27 for one in found)
    sheets = sorted(path.name for path in (tmp_path / "out").glob("*.png"))
    assert sheets == ["alone.png", "desk.bmp.png", "desk.png.png", "pin.png", "pin.png.png"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--camera", "left"), "--camera left: expected a view known to the run (center, top)"),
        (("--judge", "colour"), "--judge: expected some of presence, true_position, height"),
        (("--housing", "keyed"), "connector_3x9 plain round; connector_3x9 ribbed square"),
        (("--tolerance", "r9c9.retraction_mm=1"), "expected a pin address of connector_3x9"),
        (("--threshold", "0"), "--threshold applies to ViT and Florence-2 runs only, got a run of gauge"),
    ],
)
def test_wrong_options(gauge_run, tmp_path, exact, options, said, capsys):
    assert predicted(gauge_run, tmp_path, *options)[0] == 2
    assert said in capsys.readouterr().err


def test_a_part_is_found_in_a_photograph_whose_name_says_no_view(gauge_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prediction, "TorchFinder", lambda network, scales: EdgeFinder())
    similarity = Similarity(0.8 * np.exp(0.5j), 200 + 160j)
    drawn = draw_part(background((400, 320), 2), drawing_of(), np.eye(4), similarity)
    drawn.save(tmp_path / "desk_top.png")
    options = ["--find", "--judge", "presence,true_position", "--tolerance", "true_position_mm=1.5"]
    words = ["--model", str(gauge_run), str(tmp_path / "desk_top.png"), "-o", str(tmp_path / "out"), *options]
    code = predict.main(words)
    (one,) = json.loads((tmp_path / "out" / "predictions.json").read_text()) if code == 0 else [{}]
    assert one["verdict"] == "OK" and one["views"] == ["center"], capsys.readouterr().err
    expected = similarity.apply(tips_of(drawing_of(), np.eye(4)))
    assert np.abs(np.array(list(one["place"]["pins_px"].values())) - expected).max() < 1.0
    assert one["scale"].endswith("the camera's place is not known") and (tmp_path / "out" / "desk_top.png").is_file()
    assert predict.main([*words, "--calibration", "rig.json"]) == 2
    assert "--find: expected without --calibration" in capsys.readouterr().err


def test_a_part_that_training_never_showed_is_invalid(gauge_run, tmp_path, exact):
    run = shutil.copytree(gauge_run, tmp_path / "run")
    Likeness(frozenset({("connector_3x9", "plain", "square")}), {}).save(run)
    code, (one,) = predicted(run, tmp_path, "--terminal", "round")
    assert code == 0 and one["verdict"] == "INVALID" and not one["pins"]
    assert one["reasons"] == ["unlike training: terminal round, in training square (scene connector_3x9)"]
    (run / LIKENESS).unlink()
    with pytest.raises(InputError, match=r"limits for the appearance of parts, got no such file: .* --resume"):
        load_run(run)


def test_a_name_that_is_not_given_is_one_that_training_showed(gauge_run, tmp_path, exact):
    run = shutil.copytree(gauge_run, tmp_path / "run")
    Likeness(frozenset({("connector_3x9", "ribbed", "square")}), {}).save(run)  # plain round comes first in the file
    _, (one,) = predicted(run, tmp_path)
    assert one["verdict"] == "NG" and one["connector"]["housing"] == "ribbed" and "warnings" not in one
    _, (one,) = predicted(run, tmp_path, "--housing", "plain", "--terminal", "round")
    assert one["reasons"][0] == "unlike training: housing plain, in training ribbed (scene connector_3x9)"


def test_a_terminal_that_was_not_named_but_matters_is_stated(gauge_run, tmp_path, exact, capsys):
    run = shutil.copytree(gauge_run, tmp_path / "run")
    slopes = {"": 0.98, "round": 0.97, "square": 0.99}
    save_uncertainty(run, Uncertainty(tip=1.3, foot=1.1, edge=1.2, slopes=slopes), ERRORS)
    _, (one,) = predicted(run, tmp_path)
    (warning,) = one["warnings"]
    assert warning.startswith("connector: measured as connector_3x9 with housing plain and terminal round; with ")
    assert "with terminal square measures differ" in warning and f"WARNING: {warning}." in capsys.readouterr().out
    _, (one,) = predicted(run, tmp_path, "--terminal", "round")
    assert "warnings" not in one


def test_a_picture_that_cannot_be_read_costs_only_its_own_part_the_verdict(gauge_run, tmp_path, exact, monkeypatch):
    opened = Path.open

    def refuse(path, *mode, **more):
        if path.name == "bad_top.png":
            raise OSError(5, "Input/output error", str(path))
        return opened(path, *mode, **more)

    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("bad_center.png", "bad_top.png", "good_center.png", "good_top.png"):
        grey(1 if "top" in name else 0).save(folder / name)
    monkeypatch.setattr(Path, "open", refuse)
    assert predict.main(["--model", str(gauge_run), str(folder), "-o", str(tmp_path / "out")]) == 2
    bad, good = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert (bad["verdict"], good["verdict"]) == ("INVALID", "NG") and list(bad["sha256"]) == ["center"]
    assert bad["reasons"][0].startswith("file: ") and "bad_top.png" in bad["reasons"][0]


def test_pictures_of_a_part_with_two_of_one_view_state_their_own_reason(gauge_run, tmp_path, exact):
    names = ("a_center.png", "a-center.png", "a_top.png", "b_center.png", "b-center.png", "c_center.png")
    predicted(gauge_run, tmp_path, names=names)
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert Path(found[0]["part"]).name == "c" and found[0]["sheet"] == "c.png"
    reasons = {Path(one["file"]).name: one["reasons"] for one in found[1:]}
    assert set(reasons) == set(names[:5]) and {len(each) for each in reasons.values()} == {1}
    assert all(f"/{name[0]}: expected one picture of view center" in each for name, (each,) in reasons.items())


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"true_position_mm": -1}, ".true_position_mm: expected a number of mm above 0, got -1"),
        ({"true_position_mm": math.nan}, ".true_position_mm: expected a number of mm above 0, got nan"),
        ({"true_position_mm": "0.8"}, ".true_position_mm: expected a number of mm above 0, got '0.8'"),
        ({"true_position_um": 800}, ".true_position_um: expected only true_position_mm, retraction_mm, protrusion_mm"),
        (
            {"at": {"r9c9": {"true_position_mm": 5.0}}},
            ".at: expected addresses of connector_3x9, such as r1c1, got r9c9",
        ),
    ],
)
def test_a_bad_tolerance_of_the_run_is_named(gauge_run, tmp_path, exact, limits, said, capsys):
    run = shutil.copytree(gauge_run, tmp_path / "run")
    document = json.loads((run / "config.json").read_text())
    document["tolerance"]["connector_3x9"] |= limits
    (run / "config.json").write_text(json.dumps(document))
    assert predicted(run, tmp_path)[0] == 2
    assert f"{run / 'config.json'} tolerance.connector_3x9{said}" in capsys.readouterr().err


def test_without_a_tolerance_of_the_run_one_must_be_given():
    with pytest.raises(InputError, match="expected retraction_mm, as the run states no tolerance"):
        connector_tolerance({}, drawing_of(), {"true_position_mm": 1.0})
    found = connector_tolerance({}, drawing_of(), {"true_position_mm": 1.0, "retraction_mm": 0.5})
    assert found.limits("r1c1").protrusion_mm == 0.5


def test_a_picture_unlike_training_is_invalid(gauge_run, tmp_path):
    Image.new("RGB", (256, 128)).save(tmp_path / "a_center.png")
    noise(0).resize((128, 256)).save(tmp_path / "b_center.png")
    json_file = tmp_path / "all.json"
    files = [str(tmp_path / f"{name}_center.png") for name in "ab"]
    assert predict.main(["--model", str(gauge_run), *files, "--json", str(json_file)]) == 0
    first, second = json.loads(json_file.read_text())
    assert first["verdict"] == second["verdict"] == "INVALID" and first["pins"] == []
    assert "one grey value" in first["reasons"][0] and second["reasons"][0].startswith("size:")


def test_an_onnx_file_finds_what_the_run_finds(gauge_run, tmp_path, capsys):
    file = tmp_path / "gauge.onnx"
    assert export.main(["--model", str(gauge_run), "--to", str(file)]) == 0, capsys.readouterr().err
    held, loaded = read_gauge_file(file, threads=1), load_run(gauge_run)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (7, 48, 48, 3), np.uint8)
    marks, besides = random.uniform(5, 43, (2, 7, 2))
    crops = Crops(pixels, np.zeros((7, 2), int), marks, besides, np.ones(7), np.arange(7), np.arange(7) % 3)
    ours = TorchFinder(loaded.network, loaded.uncertainty.scales).find(crops)
    theirs = held.gauge.finder.find(crops)
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one - other).max() < 0.01 * max(1.0, np.abs(one).max())
    assert (
        held.gauge.pitch_px == 20.7 and held.gauge.factors.together == [1.4, 1.5, 1.6] and held.gauge.finder.side == 48
    )
    looks = {view: np.zeros(40) for view in ("center", "top")}
    assert held.gauge.factors.sag == loaded.factors.sag == 0.7
    assert held.gauge.factors.for_part(looks).tolist() == loaded.factors.for_part(looks).tolist() == [1.5, 1.5, 1.5]
    assert choose(held.drawings, None, "plain", None).measured == drawing_of().measured
    assert held.tolerances["connector_3x9"].limits().retraction_mm == 0.6
    for view, gates in load_gates(gauge_run).items():
        assert held.gauge.gates[view].reasons(noise(99)) == gates.reasons(noise(99))
    assert math.isfinite(held.gauge.limits.residual)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (report, ["RUN"]),
        (attention, ["--model", "RUN", "--data", "nowhere"]),
        (push, ["RUN", "--to", "me/gauge", "--dry-run"]),
    ],
)
def test_what_takes_no_gauge_says_so(gauge_run, capsys, command, words):
    assert command.main([str(gauge_run) if word == "RUN" else word for word in words]) == 2
    said = capsys.readouterr().err
    assert f"{gauge_run}: expected the run of a ViT" in said and "of a gauge" in said and said.count("\n") == 1


def test_another_file_is_no_gauge(tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"nothing")
    with pytest.raises(Exception, match="expected an ONNX file"):
        read_gauge_file(tmp_path / "other.onnx")


@pytest.fixture
def tied(gauge_run, tmp_path):
    """Two runs whose files state what they belong to; the other has weights, factors, errors and gates of its own."""
    run, other = (shutil.copytree(gauge_run, tmp_path / name) for name in ("run", "other"))
    tensors, _ = read_tensors(other / "best.safetensors")
    save_tensors(other / "best.safetensors", tensors, {"epoch": "2"})
    save_uncertainty(other, Uncertainty(tip=0.4), ValidationErrors(ERRORS.features, np.full((24, 27, 3), 0.3)))
    PictureGates.of([noise(seed) for seed in range(7)]).save(other / "gates" / "top")
    Likeness(frozenset({("connector_3x9", "plain", "square")}), {}).save(other)
    for each in (run, other):
        tie(each)
    return run, other


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("best.safetensors", "uncertainty.json weights_sha256: expected that of best.safetensors beside it"),
        ("uncertainty.json", "uncertainty.json weights_sha256: expected that of best.safetensors beside it"),
        ("errors.npz", "errors.npz: expected the file of SHA-256"),
        ("likeness.npz", "likeness.npz: expected the file of SHA-256"),
        ("gates/top/gates.npz", "gates/top/gates.npz: expected the file of SHA-256"),
    ],
)
def test_files_of_another_run_are_refused(tied, tmp_path, exact, name, said, capsys):
    run, other = tied
    assert predicted(run, tmp_path)[0] == 0
    (run / name).write_bytes((other / name).read_bytes())
    assert predicted(run, tmp_path)[0] == 2
    assert f"{run}/{said}" in capsys.readouterr().err


def test_a_missing_or_new_file_is_refused(tied, tmp_path, exact, capsys):
    run, _ = tied
    (run / "errors.npz").unlink()
    (run / "gates" / "left").mkdir()
    PictureGates.of([noise(0)]).save(run / "gates" / "left")
    assert predicted(run, tmp_path)[0] == 2
    said = capsys.readouterr().err
    assert "errors.npz: expected the file of SHA-256" in said and "as uncertainty.json states, got no such file" in said
    assert "gates/left/gates.npz: expected no file, as uncertainty.json states, got another file" in said


@pytest.mark.parametrize("name", ["gates/top/gates.npz", "likeness.npz", "uncertainty.json"])
def test_a_damaged_adapted_run_is_to_be_adapted_again(tied, tmp_path, exact, name, capsys):
    """Its files come from no training, which the message on other runs proposes."""
    run, source = tied
    shutil.copyfile(source / "best.safetensors", run / "best.safetensors")
    tie(run)
    adaptation.seal(source, run, {"views": {"top": {"transform": {"kind": "none"}}}})
    (run / name).write_text('{"tip": -1}') if name == "uncertainty.json" else (run / name).unlink()
    assert predicted(run, tmp_path)[0] == 2
    said = capsys.readouterr().err
    assert "adapt again" in said and "--resume" not in said


@pytest.mark.parametrize(
    ("key", "value"), [("tip", -1.0), ("foot", 0), ("together", [1.0, 0.0, 1.0]), ("slopes", {"": 0}), ("inliers", 1.5)]
)
def test_factors_that_no_training_writes_are_refused(gauge_run, tmp_path, exact, key, value, capsys):
    run = shutil.copytree(gauge_run, tmp_path / "run")
    stated = json.loads((run / "uncertainty.json").read_text())
    (run / "uncertainty.json").write_text(json.dumps({**stated, key: value}))
    assert predicted(run, tmp_path)[0] == 2
    assert f"uncertainty.json {key}" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_keeps_its_factors_and_a_damaged_one_is_named(gauge_run, tmp_path):
    run = shutil.copytree(gauge_run, tmp_path / "run")
    file = run / "uncertainty.json"
    old = {"tip": 1.3, "aside": 0.9, "height": 1.2, "aside_alone": 0.8, "height_alone": 1.1, "slopes": {"": 0.98}}
    file.write_text(json.dumps(old))
    factors = load_run(run).factors
    assert (factors.together, factors.alone) == ((0.9, 0.9, 1.2), {"": (0.8, 0.8, 1.1)})
    assert factors.sag == SAG_DEVIATION  # that of arcs and kinks, as the earlier version took for all bends
    file.write_text(json.dumps({"together": [1.0, 2.0]}))
    with pytest.raises(InputError, match=r"uncertainty.json together.2: expected the uncertainty of a gauge"):
        load_run(run)
