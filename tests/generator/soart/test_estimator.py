"""SOARTC: the unit space, registration, the threshold and its false alarm rate, pins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.limits import beta_quantile, joint_limit, score_limit
from generator.soart.pins import Pin, PinTable
from generator.soart.registration import Pose, register, warp
from tests.soak import times

SIZE = (72, 110)


def board(seed: int, word: bool = True, shift: tuple[float, float] = (0, 0), gain: float = 1.0) -> np.ndarray:
    """A drawn part with pins and a printed bar; each capture has its own noise, shift (x, y; px) and gain."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float64)
    x, y = x - shift[0], y - shift[1]
    picture = 0.25 + 0.15 * ((x > 8) & (x < 100) & (y > 8) & (y < 64))
    for row in (24, 44):
        for column in range(20, 96, 15):
            picture += 0.4 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 8)
    if word:
        picture += 0.3 * ((y > 54) & (y < 60) & (x > 40) & (x < 70) & (np.floor(x / 3) % 2 == 0))
    noise = np.random.default_rng(seed).normal(0, 0.01, SIZE)
    return np.clip(gain * picture + noise, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> SoartC:
    return SoartC(window=8).fit([board(n) for n in range(14)])


@settings(max_examples=times(15))
@given(st.floats(-3, 3), st.floats(-8, 8), st.floats(-8, 8), st.floats(0.97, 1.03))
def test_registration_finds_rotation_shift_and_scale(angle: float, dx: float, dy: float, scale: float) -> None:
    image = board(1)
    reference = warp(image, Pose(angle, dx, dy, scale), image.shape)
    found = register(np.clip(1.3 * image, 0, 1), reference, rotation_deg=4)
    assert found.angle_deg == pytest.approx(angle, abs=0.2)
    assert found.scale == pytest.approx(scale, abs=0.004)
    assert (found.dx, found.dy) == pytest.approx((dx, dy), abs=0.3)


@given(st.floats(-180, 180), st.floats(-50, 50), st.floats(0.5, 2))
def test_a_pose_goes_there_and_back(angle: float, shift: float, scale: float) -> None:
    pose, points = Pose(angle, shift, -shift, scale), np.array([[0.0, 0.0], [30.0, 7.5]])
    there = pose.points(points, (40, 60), (50, 90))
    assert pose.back(there, (40, 60), (50, 90)) == pytest.approx(points, abs=1e-9)


def test_a_blank_picture_is_not_moved() -> None:
    blank = np.full(SIZE, 0.5, np.float32)
    found = register(blank, board(1))
    assert np.isfinite([found.angle_deg, found.dx, found.dy]).all()


def test_a_good_part_is_quiet_and_a_missing_word_stands_out(model: SoartC) -> None:
    assert model.score(board(99)) < 1.5 * model.threshold.value
    anomaly = model.anomaly(board(99, word=False))
    assert anomaly.shape == SIZE and anomaly.dtype == np.float32
    row, column = np.unravel_index(anomaly.argmax(), SIZE)
    assert 48 <= row <= 66 and 34 <= column <= 76
    assert anomaly.max() > 2 * model.threshold.value


@pytest.mark.parametrize(("shift", "gain"), [((2.4, -1.7), 1.0), ((0, 0), 0.6), ((-1.5, 2.5), 1.1)])
def test_shift_and_gain_do_not_raise_an_alarm_nor_hide_a_defect(
    model: SoartC, shift: tuple[float, float], gain: float
) -> None:
    good, bad = (model.anomaly(board(7, word, shift, gain)) for word in (True, False))
    row, column = np.unravel_index(bad.argmax(), SIZE)
    # The anomaly is at the word's place in this picture, not at that in the unit space.
    assert 48 + shift[1] <= row <= 66 + shift[1] and 34 + shift[0] <= column <= 76 + shift[0]
    assert bad.max() > 2 * good.max()


@pytest.mark.parametrize("side", [0, 1])
def test_a_cut_off_picture_has_the_brightness_of_what_it_shows(model: SoartC, side: int) -> None:
    """Cut through the pins, so that bright pixels lie at the border of what is seen."""
    whole = board(98)
    half = whole[:, :50] if side == 0 else whole[:, 50:]
    seen, expected = model.registered(half), model.registered(whole)
    shown = (slice(None), slice(0, 44) if side == 0 else slice(56, None))
    assert float(np.median(seen[shown] / expected[shown])) == pytest.approx(1, abs=0.002)


def test_all_settings_of_stage_one_find_the_word() -> None:
    images = [board(n) for n in range(6)]
    for options in ({"similarity": "gram"}, {"reference": "self"}, {"rotation_deg": 0}, {"grid": 60}):
        fitted = SoartC(window=8, **options).fit(images)
        assert fitted.score(board(50, word=False)) > fitted.threshold.value


def test_colour_sees_what_grey_does_not() -> None:
    rng = np.random.default_rng(5)
    grey = [np.repeat(board(n)[..., None], 3, axis=2) for n in range(6)]
    fitted = SoartC(window=8).fit([np.clip(g + rng.normal(0, 0.01, g.shape), 0, 1).astype(np.float32) for g in grey])
    tinted = grey[0].copy()
    tinted[20:30, 30:40] += np.array([0.12, -0.12, 0.0], np.float32)
    anomaly = fitted.anomaly(np.clip(tinted, 0, 1))
    row, column = np.unravel_index(anomaly.argmax(), SIZE)
    assert 14 <= row <= 36 and 24 <= column <= 46 and anomaly.max() > fitted.threshold.value


def test_a_saved_model_judges_the_same(model: SoartC, tmp_path) -> None:
    model.save(tmp_path / "unit.npz")
    again = SoartC.load(tmp_path / "unit.npz")
    image = board(3, word=False)
    assert np.array_equal(again.anomaly(image), model.anomaly(image))
    assert again.threshold == model.threshold and again.settings == model.settings


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content: bytes) -> None:
    (tmp_path / "unit.npz").write_bytes(content)
    with pytest.raises(ValueError, match="expected a unit space"):
        SoartC.load(tmp_path / "unit.npz")


def test_pictures_that_are_refused(model: SoartC) -> None:
    with pytest.raises(ValueError, match="at least 3 OK pictures, got 2"):
        SoartC().fit([board(1), board(2)])
    width, height = SIZE[1], SIZE[0]
    sizes = rf"expected OK pictures of one size, got {width} x {height} px \(picture 1\), {width} x 60 px \(picture 3\)"
    with pytest.raises(ValueError, match=sizes):
        SoartC(window=8).fit([board(1), board(2), board(3)[:60]])
    with pytest.raises(ValueError, match="without NaN"):
        model.anomaly(np.full(SIZE, np.nan))
    with pytest.raises(ValueError, match="floats"):
        model.anomaly(np.zeros(SIZE, np.uint8))
    with pytest.raises(ValueError, match="golden or self"):
        SoartC(reference="silver")


def test_none_above_in_299_shows_one_per_cent() -> None:
    assert score_limit(np.arange(299.0)).interval == pytest.approx((0, 0.01), abs=5e-5)
    assert score_limit(np.arange(298.0)).interval[1] > 0.01
    assert score_limit(np.arange(100.0)).interval[1] <= 0.05
    assert "299" in score_limit(np.arange(5.0)).promise


@given(st.integers(1, 200), st.data())
def test_beta_quantile_inverts_the_binomial(count: int, data: st.DataObject) -> None:
    from scipy import stats

    above = data.draw(st.integers(0, count - 1))
    for probability in (0.025, 0.5, 0.975):
        expected = stats.beta.ppf(probability, above + 1, count - above)
        assert beta_quantile(probability, above, count) == pytest.approx(expected, abs=1e-9)


def test_the_interval_holds_over_many_draws() -> None:
    draws = np.random.default_rng(0)
    for count, above in ((5, 0), (20, 0), (100, 2)):
        held = 0
        for _ in range(400):
            limit = score_limit(draws.random(count), above)
            held += limit.interval[0] <= 1 - limit.value <= limit.interval[1]
        assert held >= 0.92 * 400


def test_the_promise_of_two_limits_holds_over_many_draws() -> None:
    draws = np.random.default_rng(1)
    for count, alike in ((5, 0.0), (20, 0.7), (100, 0.0)):
        held = 0
        for _ in range(400):
            common = draws.normal(size=count + 2000)
            scores = alike * common + (1 - alike) * draws.normal(size=(2, count + 2000))
            limits, promise = joint_limit(scores[:, :count])
            rate = (scores[:, count:] > np.array(limits)[:, None]).any(axis=0).mean()
            held += promise.interval[0] <= rate <= promise.interval[1]
        assert held >= 0.92 * 400
    assert joint_limit(draws.random((2, 100)))[1].interval[1] <= 0.05
    assert "false alarms (without those of pins that are not visible): " in promise.promise
    ends = [joint_limit(draws.random((2, count)))[1].interval[1] for count in (472, 473)]
    assert ends[0] > 0.01 and ends[1] == pytest.approx(0.01, abs=5e-5)
    with pytest.raises(ValueError, match=r"expected at least 4 OK parts to set 2 limits with above = 1 \(.*\), got 3"):
        joint_limit(draws.random((2, 3)), above=1)


def pin_boxes() -> list[Pin]:
    return [
        Pin(f"r{r + 1}c{c + 1}", (20 + 15 * c - 5.0, row - 5.0, 20 + 15 * c + 5.0, row + 5.0))
        for r, row in enumerate((24, 44))
        for c in range(6)
    ]


def test_y1_y2_and_d_are_those_of_the_rt_method() -> None:
    members = np.stack([board(n) for n in range(30)]).astype(np.float64)
    table = PinTable(pin_boxes(), members)
    picture = board(77)
    part = table.parts[4]
    x, y = members.mean(axis=0)[part].ravel(), picture[part].astype(np.float64).ravel()
    product, power = x @ y, x @ x
    spread = (y @ y - product**2 / power) / (y.size - 1)
    found = table.measure(picture)[4]
    assert (found.y1, found.y2) == pytest.approx((product / power, np.sqrt(spread)), rel=1e-9)
    assert found.d >= 0 and found.address == "r1c5"


def test_the_pin_that_differs_is_named(model: SoartC) -> None:
    inspection = InspectionModel(model, pin_boxes())
    good = inspection.inspect(board(60))
    assert good.score < 1.6
    image = board(61)
    image[18:31, 44:57] = 0.4  # the pin r1c3 is gone
    found = inspection.inspect(image)
    assert found.verdict == "NG"
    assert [pin.measure.address for pin in found.pins if pin.is_bad] == ["r1c3"]
    assert found.boxes and found.boxes[0][0] < 57 and found.boxes[0][2] > 44


def test_an_anomaly_belongs_to_the_pin_that_it_lies_beside() -> None:
    pins = [Pin("r1c3", (44.0, 18.0, 57.0, 31.0)), Pin("r1c5", (74.0, 18.0, 87.0, 31.0))]
    table = PinTable(pins, np.stack([board(n) for n in range(5)]))
    in_box, near_first, near_second, far = (50, 24), (61, 24), (80, 38), (50, 55)
    assert table.beside(np.array([in_box], float)) == set()
    assert table.beside(np.array([near_first, far], float)) == {0}
    assert table.beside(np.array([near_second, near_first], float)) == {0, 1}
    assert table.beside(np.zeros((0, 2))) == set()
    printed = PinTable([*pins, Pin("print", (44.0, 48.0, 66.0, 60.0))], np.stack([board(n) for n in range(5)]))
    assert printed.beside(np.array([near_first, (38, 54)], float)) == {0}  # beside print lies no pin
    alone = PinTable(pins[:1], np.stack([board(n) for n in range(5)]))
    assert alone.beside(np.array([near_first], float)) == {0} and alone.beside(np.array([far], float)) == set()


def test_a_pin_whose_tip_lies_outside_its_box_is_not_ok(model: SoartC) -> None:
    pins = [Pin("r1c3", (48.0, 22.0, 53.0, 27.0)), Pin("r2c3", (48.0, 42.0, 53.0, 47.0))]
    image = board(61)
    dot(image, 50, 33, 0.4)  # beside r1c3, nearer to it than to r2c3
    found = InspectionModel(model, pins).inspect(image)
    assert found.verdict == "NG"
    assert [(pin.measure.address, pin.decision, pin.is_bad) for pin in found.pins] == [
        ("r1c3", "UNSURE", False),
        ("r2c3", "OK", False),
    ]
    assert "pin: r1c3, an anomaly lies beside it, as the tip of a bent pin does" in found.reasons


def dot(picture: np.ndarray, column: float, row: float, height: float) -> None:
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    picture += (height * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("moved_to", "extra", "hint"),
    [
        (None, None, "no pin seen: missing"),
        ((66, 27), None, "moved by +1, +3 px: bent"),
        ((65, 33), None, "moved by +0, +9 px: bent"),
        ((65, 24), (69, 28), "foreign body"),
    ],
)
def test_a_hint_names_what_happened_to_the_pin(moved_to, extra, hint: str) -> None:
    table = PinTable(pin_boxes(), np.stack([board(n) for n in range(10)]))
    picture = board(50)
    dot(picture, 65, 24, -0.4)
    if moved_to:
        dot(picture, *moved_to, height=0.4)
    if extra:
        dot(picture, *extra, height=0.4)
    assert hint in table.hint(picture.astype(np.float64), 3)


def test_a_region_with_the_address_print_gets_hints_about_print() -> None:
    table = PinTable([Pin("print", (40, 53, 70, 61))], np.stack([board(n) for n in range(10)]))
    assert "no print seen: missing" in table.hint(board(50, word=False).astype(np.float64), 0)
    moved = np.roll(board(50), 2, axis=1).astype(np.float64)
    assert table.hint(moved, 0) == "moved by +2, +0 px: misplaced"


def test_a_sensor_noisier_than_the_good_parts_does_not_hide_a_defect() -> None:
    quiet = [board(0) + np.float32(0.001 * n) for n in range(8)]
    noisy = board(0, word=False) + np.random.default_rng(3).normal(0, 0.015, SIZE)
    fitted = SoartC(window=8).fit([np.clip(image, 0, 1) for image in quiet])
    anomaly = fitted.anomaly(np.clip(noisy, 0, 1).astype(np.float32))
    row, column = np.unravel_index(anomaly.argmax(), SIZE)
    assert 48 <= row <= 66 and 34 <= column <= 76
