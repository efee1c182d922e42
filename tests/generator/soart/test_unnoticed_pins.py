"""A pin that would not even be missed, because the OK pictures differ too much there, is UNSURE, never OK."""

import json

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.soart import missing_pins
from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.missing_pins import without_pins
from generator.soart.part_model import PartInspectionModel
from generator.soart.pins import PRINT, Pin, PinTable
from generator.verdict.envelope import Verdict
from tests.generator.soart.drawn_pins import PINS, drawn, model_of

BENT = 3, 8
NAMES = [PINS[number].address for number in BENT]


def with_bent() -> list[np.ndarray]:
    """Nine OK pictures: in three of them two pins are bent by 4 px, in any direction."""
    pictures = []
    for seed in range(9):
        angles = np.random.default_rng(1000 + seed).uniform(0, 2 * np.pi, 2)
        bends = [(number, (4 * np.cos(a), 4 * np.sin(a))) for number, a in zip(BENT, angles, strict=True)]
        pictures.append(drawn(seed, bent=[] if seed % 3 else bends))
    return pictures


def test_pins_that_are_bent_in_a_third_of_the_ok_pictures_are_unsure_if_nothing_is_seen_there():
    inspection = model_of(with_bent())
    assert inspection.unnoticed == NAMES
    for judged in (drawn(70), drawn(71, bent=[(BENT[0], (500.0, 0.0))])):
        finding = inspection.inspect(judged)
        assert finding.verdict == Verdict.UNSURE
        assert [pin.measure.address for pin in finding.pins if pin.decision == "UNSURE"] == NAMES
        (reason,) = finding.reasons
        assert reason.startswith("unnoticed: 2 of 12 pins (r1c4, r2c3): even a missing pin might not be noticed")
    other = inspection.inspect(drawn(72, bent=[(5, (500.0, 0.0))]))
    assert other.verdict == Verdict.NG and other.reasons[0].startswith("pin: r1c6, ")


def test_of_good_pictures_every_pin_would_be_missed():
    inspection = model_of([drawn(seed) for seed in range(9)])
    assert inspection.unnoticed == []
    assert inspection.inspect(drawn(70)).verdict == Verdict.OK


def test_a_pin_that_another_view_would_miss_is_judged():
    views = {"center": model_of(with_bent()), "left": model_of([drawn(seed) for seed in range(9)])}
    without_boxes = {"center": model_of(with_bent()), "left": InspectionModel(views["left"].model)}
    for inspection in (*views.values(), *without_boxes.values()):
        inspection.model.notes["parts"] = [str(number) for number in range(9)]
    PartInspectionModel(views)
    assert views["center"].unnoticed == views["left"].unnoticed == []
    PartInspectionModel(without_boxes)
    assert set(without_boxes["center"].unnoticed) >= set(NAMES) and without_boxes["left"].unnoticed == []


def test_a_pin_that_some_ok_pictures_lack_is_never_ok():
    gone = [(BENT[0], (500.0, 0.0))]
    for count, lacking in ((9, (0, 1, 2, 3)), (12, (0, 1, 2, 3)), (20, (1, 4, 9, 12, 15)), (30, (2, 6, 10))):
        inspection = model_of([drawn(seed, bent=gone if seed in lacking else []) for seed in range(count)])
        finding = inspection.inspect(drawn(70, bent=gone))
        assert finding.verdict == Verdict.UNSURE and finding.pins[BENT[0]].decision == "UNSURE", (count, lacking)


def test_a_box_in_which_no_ok_picture_shows_a_pin_is_never_ok():
    inspection = model_of([drawn(seed, bent=[(2, (500.0, 0.0))]) for seed in range(9)])
    assert inspection.unnoticed == ["r1c3"]


def test_a_picture_without_its_pins_is_that_of_the_housing():
    pins = [Pin("r1c1", (26, 26, 42, 42)), Pin("r1c2", (46, 27, 54, 41))]
    for sign in (1, -1):  # bright pins, and dark ones
        picture = np.where(drawn(1) > 0, 0.5 + sign * 0.5 * (drawn(1) - 0.12), 0.0).astype(np.float32)
        table = PinTable(pins, np.stack([picture] * 3), picture)
        for shown in (picture, np.repeat(picture[:, :, None], 3, axis=2)):
            cut = without_pins(shown, picture, table, [0, 1])
            changed = np.abs(cut - shown) > 0.05
            assert np.abs(cut[24:44, 22:58] - 0.5).max() < 0.06 < np.abs(shown[24:44, 22:58] - 0.5).max()
            assert 20 < changed.reshape(*picture.shape, -1).any(axis=2).sum() < 90  # the pins alone


def test_the_command_warns_and_says_unsure(tmp_path, capsys):
    (tmp_path / "ok").mkdir()
    for number, values in enumerate([*with_bent(), drawn(70)]):
        folder = tmp_path / "ok" if number < 9 else tmp_path
        Image.fromarray(np.round(255 * values).astype(np.uint8)).save(folder / f"{number}.png")
    lines = [",".join([pin.address, *map(str, pin.box)]) for pin in PINS]
    (tmp_path / "pins.csv").write_text("\n".join(["address,x1,y1,x2,y2", *lines]))
    words = ["--golden", str(tmp_path / "ok"), "--positions", str(tmp_path / "pins.csv"), "--keep-outliers"]
    words += ["--positions-of", str(tmp_path / "ok" / "1.png"), "-o", str(tmp_path / "out")]
    assert main(["inspect", str(tmp_path / "9.png"), *words]) == 0
    said = capsys.readouterr().out
    assert "warning: unnoticed: 2 of 12 pins (r1c4, r2c3)" in said and "UNSURE, never OK" in said
    assert "UNSURE  9.png" in said


def test_an_inspection_without_pins_has_none_to_miss():
    assert InspectionModel(SoartC(window=5).fit([drawn(seed) for seed in range(4)])).unnoticed == []


def sought_with(monkeypatch) -> list[tuple[float, float]]:
    """The limits of each search for pins that would not be missed, from now on."""
    limits, sought = [], missing_pins._sought

    def counted(model, table, *given):
        limits.append(given)
        return sought(model, table, *given)

    monkeypatch.setattr(missing_pins, "_sought", counted)
    return limits


def test_a_saved_unit_space_knows_its_pins_that_would_not_be_missed_and_an_old_one_seeks_them(tmp_path, monkeypatch):
    inspection, unit, old = model_of(with_bent()), tmp_path / "unit.npz", tmp_path / "old.npz"
    inspection.model.save(old)  # before they are sought: as an older version saved it
    assert inspection.unnoticed == NAMES
    inspection.model.save(unit)
    before = inspection.inspect(drawn(70))
    sought = sought_with(monkeypatch)
    for path, count in ((unit, 0), (old, 1)):
        again = InspectionModel.load(path)
        found = again.inspect(drawn(70))
        assert (found.score, found.verdict, found.reasons) == (before.score, before.verdict, before.reasons)
        assert found.pins == before.pins and again.hash() == inspection.hash() and again.unnoticed == NAMES
        assert len(sought) == count


def test_pins_are_sought_anew_with_other_limits_pins_or_pictures(monkeypatch):
    inspection, sought = model_of(with_bent()), sought_with(monkeypatch)
    model, pins = inspection.model, inspection.table.pins
    assert inspection.unnoticed == NAMES and len(sought) == 1
    assert InspectionModel(model, pins).unnoticed == NAMES and len(sought) == 1
    inspection.set_limits([2 * one for one in inspection.scores], 0, inspection.limit)
    assert set(NAMES) <= set(inspection.unnoticed) and sought[1:] == [(2 * sought[0][0], 2 * sought[0][1])]
    assert InspectionModel(model, pins[:3]).unnoticed == [] and len(sought) == 3
    assert "unnoticed" not in model.fit(with_bent()).notes


def test_a_saved_unit_space_of_views_knows_them_too(tmp_path, monkeypatch):
    views = {"center": model_of(with_bent()), "left": model_of([drawn(seed) for seed in range(9)])}
    for inspection in views.values():
        inspection.model.notes["parts"] = [str(number) for number in range(9)]
    made = PartInspectionModel(views)
    blind = {view: (one.unnoticed, one._blind()) for view, one in views.items()}
    assert blind["center"][0] == [] != blind["center"][1]
    made.save(tmp_path / "unit.npz")
    sought = sought_with(monkeypatch)
    again = PartInspectionModel.load(tmp_path / "unit.npz")
    assert {view: (one.unnoticed, one._blind()) for view, one in again.by_view.items()} == blind and sought == []


@pytest.mark.parametrize(
    "note",
    [
        3,
        {},
        {"limits": [1, 2], "addresses": ["r9c9"]},
        {"limits": [1], "addresses": []},
        {"limits": [1, "2"], "addresses": []},
        {"limits": [1, 2], "addresses": [[]]},
    ],
)
def test_damaged_pins_that_would_not_be_missed_are_refused(tmp_path, note):
    inspection = model_of([drawn(seed) for seed in range(4)])
    inspection.model.notes["unnoticed"] = json.loads(json.dumps(note))
    inspection.model.save(tmp_path / "unit.npz")
    with pytest.raises(
        ValueError, match=r"unit\.npz: expected a unit space .*, got a header with damaged pins that wou"
    ):
        InspectionModel.load(tmp_path / "unit.npz")


def test_print_is_cut_out_as_a_whole():
    picture = np.full((40, 60), 0.3, np.float32)
    for left in (16, 24, 32):  # three letters
        picture[14:24, left : left + 4] = 0.9
    box = (14.0, 12.0, 38.0, 26.0)
    for address, left_over in ((PRINT, 0), ("r1c1", 2 * 40)):  # a pin is one of the three
        cut = without_pins(picture, picture, PinTable([Pin(address, box)], np.stack([picture] * 3), picture), [0])
        assert (np.abs(cut - 0.3) > 0.01).sum() == left_over
