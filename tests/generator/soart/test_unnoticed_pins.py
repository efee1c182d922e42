"""A pin that would not even be missed, because the OK pictures differ too much there, is UNSURE, never OK."""

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.part_model import PartInspectionModel
from generator.soart.pins import without_pins
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
        assert reason.startswith("unnoticed: 2 of 12 pins (r1c4, r2c3): even a missing pin would not be noticed")
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


def test_a_picture_without_its_pins_is_that_of_the_housing():
    box = (slice(20, 40), slice(20, 40))
    bright = without_pins(drawn(1), [(slice(25, 43), slice(21, 39))])
    assert bright[25:43, 21:39].max() < 0.2 < drawn(1)[25:43, 21:39].max()
    dark = np.full((60, 60, 3), 0.8, np.float32)
    dark[27:33, 27:33] = 0.1
    assert without_pins(dark, [box]).min() == pytest.approx(0.8)


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
