"""Whether a picture shows the part: residual, seen share and orientation, and verdicts that follow from them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from generator.soart.estimator import SoartC
from generator.soart.evidence import limits_of, residual, seen_share
from generator.soart.inspection import UNSUITABLE, InspectionModel
from generator.soart.pins import Pin, PinTable
from generator.verdict.envelope import Verdict
from generator.verdict.gates import PictureGates

HEIGHT, WIDTH = 72, 110


def keyed(seed: int, shift: tuple[float, float] = (0, 0), missing: bool = False) -> np.ndarray:
    """A drawn housing with two rows of pins and a key at its left; 8-bit steps, with its own noise and pose."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    dx, dy = draws.normal(0, 0.7, 2) + shift
    x, y = x - dx, y - dy
    picture = (
        0.25 + 0.2 * ((x > 12) & (x < 98) & (y > 10) & (y < 62)) + 0.2 * ((x > 14) & (x < 19) & (y > 14) & (y < 24))
    )
    for row in (26, 46):
        for column in range(26, 92, 13):
            if not (missing and (row, column) == (26, 52)):
                picture += 0.35 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 7)
    return eight_bit(picture + draws.normal(0, 0.01, picture.shape))


def eight_bit(picture: np.ndarray) -> np.ndarray:
    return (np.round(255 * np.clip(picture, 0, 1)) / 255).astype(np.float32)


def as_picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.round(255 * values).astype(np.uint8))


@pytest.fixture(scope="module")
def inspection() -> InspectionModel:
    images = [keyed(n) for n in range(24)]
    model = SoartC(window=8).fit(images)
    return InspectionModel(model, [Pin("r1c3", (47, 21, 57, 31))], PictureGates.of(as_picture(one) for one in images))


def unfit(name: str) -> np.ndarray:
    """A picture that shows no part, another one, or the part turned, blurred or in half."""
    good, draws = keyed(100), np.random.default_rng(1)
    flat = np.full((HEIGHT, WIDTH), 0.25, np.float32)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    half = flat.copy()
    half[:, : WIDTH // 2] = good[:, : WIDTH // 2]
    made = {
        "black": 0 * flat,
        "white": 0 * flat + 1,
        "noise": draws.random(flat.shape),
        "gradient": x / WIDTH,
        "90 degrees": np.rot90(good),
        "180 degrees": good[::-1, ::-1],
        "another part": 0.5 + 0.3 * np.sin(np.hypot(x - 40, y - 30) / 3),
        "half, cut": good[:, : WIDTH // 2],
        "half, covered": half,
        "half, moved": np.concatenate([flat[:, : WIDTH // 2], good[:, : WIDTH - WIDTH // 2]], axis=1),
        "blurred": np.asarray(as_picture(good).filter(ImageFilter.GaussianBlur(5))) / 255,
        "dark": 0.2 * good,
    }
    return eight_bit(np.ascontiguousarray(made[name]))


@pytest.mark.parametrize(
    ("name", "keyword"),
    [
        ("black", "appearance"),
        ("white", "appearance"),
        ("noise", "appearance"),
        ("gradient", "appearance"),
        ("90 degrees", "appearance"),
        ("180 degrees", "orientation"),
        ("another part", "appearance"),
        ("half, cut", "view"),
        ("half, covered", "appearance"),
        ("half, moved", "view"),
        ("blurred", "appearance"),
        ("dark", "exposure"),
    ],
)
def test_a_picture_that_does_not_show_the_part_is_not_judged_for_a_reason(
    inspection: InspectionModel, name, keyword
) -> None:
    found = inspection.inspect(unfit(name))
    assert found.verdict is Verdict.INVALID
    assert keyword in [reason.partition(":")[0] for reason in found.reasons]
    assert found.pins[0].decision in ("not_judged", "not_seen", "OK")


def test_a_picture_with_less_than_half_of_the_part_is_invalid_whatever_its_rest_looks_like(
    inspection: InspectionModel,
) -> None:
    image = np.full((HEIGHT, WIDTH), 0.25, np.float32)
    image[:, 62:] = keyed(100)[:, : WIDTH - 62]
    image[40:52, 84:96] = 1.0  # far beyond the limit, and yet no verdict on a part that is hardly seen
    found = inspection.inspect(eight_bit(image))
    assert found.look.evidence.residual < inspection.model.evidence_.residual and found.score > 2
    assert (found.verdict, found.boxes) == (Verdict.INVALID, ())
    assert found.reasons[0].startswith("view: only ")


@pytest.mark.parametrize("shift", [(-30, 0), (30, 0), (0, 16), (0, -16)])
def test_a_part_that_is_partly_in_the_picture_is_ng_only_for_a_defect_that_is_seen(
    inspection: InspectionModel, shift
) -> None:
    for seed in range(210, 216):
        found = inspection.inspect(keyed(seed, shift))
        assert found.verdict is Verdict.INVALID
        assert any(reason.startswith("view: only ") for reason in found.reasons)
        assert found.pins[0].decision in ("OK", "UNSURE", "not_seen")
    if shift[1] >= 0:  # else the pin lies outside the picture's upper edge
        assert inspection.inspect(keyed(216, shift, missing=True)).verdict is Verdict.NG


def test_a_blurred_good_part_is_not_ng(inspection: InspectionModel) -> None:
    scores = []
    for seed in range(220, 224):
        for radius in (1, 1.2, 1.3, 1.4):
            blurred = as_picture(keyed(seed)).filter(ImageFilter.BoxBlur(radius))
            found = inspection.inspect(np.asarray(blurred, dtype=np.float32) / 255)
            if found.score < 1 + UNSUITABLE:
                assert found.verdict is Verdict.INVALID
                share = f"{100 * max(inspection.picture_doubt, inspection.pin_doubt):.0f} %"
                said = [f"uncertain by {share}; as the picture is unsuitable, twice the limit counts"] * (
                    found.score > 1
                )
                assert [one.partition("limit is ")[2] for one in found.reasons if one.startswith("limit:")] == said
            scores.append(found.score)
    assert any(1 + max(inspection.picture_doubt, inspection.pin_doubt) < score < 1 + UNSUITABLE for score in scores), (
        scores
    )


def test_a_pin_that_is_painted_over_is_bad_though_its_box_is_mostly_ground() -> None:
    def pictured(seed: int, noise: float, painted: bool = False) -> np.ndarray:
        draws = np.random.default_rng(seed)
        y, x = np.mgrid[0:40, 0:60]
        light = draws.normal(0.4, 0.03)  # the ground varies more than one pin's pixels change it
        pins = [(15, 20), (45, 20)][: 1 if painted else 2]
        picture = light + sum(0.1 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 4) for a, b in pins)
        return eight_bit(picture + draws.normal(0, noise, (40, 60)))

    for noise, right in ((0.01, [0, 1]), (0.2, [0, 0])):  # a pin that is lost in the noise is not judged by contrast
        table = PinTable(
            [Pin(f"r1c{n}", (a - 7, 13, a + 7, 27)) for n, a in enumerate((15, 45), 1)],
            np.stack([pictured(n, noise) for n in range(20)]),
        )
        assert [sum(one.fading > 1 for one in table.measure(pictured(n, noise))) for n in range(50, 60)] == [0] * 10
        assert [one.fading > 1 for one in table.measure(pictured(70, noise, painted=True))] == right


def test_a_good_part_is_ok_anywhere_in_the_picture_and_a_bad_one_ng(inspection: InspectionModel) -> None:
    for shift in ((0, 0), (5, -3), (-6, 4)):
        assert inspection.inspect(keyed(200, shift)).verdict in (Verdict.OK, Verdict.UNSURE)
        bad = inspection.inspect(keyed(201, shift, missing=True))
        assert (bad.verdict, [pin.decision for pin in bad.pins]) == (Verdict.NG, ["NG"])
        assert bad.reasons[0].startswith("pin: r1c3, ") and bad.reasons[1].startswith("anomaly: ")


@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-6, 4)])
def test_the_largest_box_of_a_reduced_picture_has_the_degree_of_the_score(shift) -> None:
    model = SoartC(window=5, grid=60).fit([keyed(n) for n in range(12)])
    for seed in range(201, 205):
        found = InspectionModel(model).inspect(keyed(seed, shift, missing=True))
        assert found.score > 1.5 and found.boxes[0][4] == pytest.approx(found.score)
        assert found.anomaly.max() <= found.score
        x1, y1, x2, y2, _ = found.boxes[0]
        assert x1 < 52 + shift[0] < x2 and y1 < 26 + shift[1] < y2
        assert f"by up to {found.score:.2f} times the limit" in found.reasons[0]


def test_a_score_within_the_limits_uncertainty_is_unsure_and_never_ok(inspection: InspectionModel) -> None:
    found = inspection.inspect(keyed(300))
    doubt = 1 + max(inspection.picture_doubt, inspection.pin_doubt)
    assert 0 < inspection.picture_doubt <= 0.5
    for factor, right in ((0.98, Verdict.OK), (1 + 0.5 * (doubt - 1), Verdict.UNSURE), (1.6, Verdict.NG)):
        changed = InspectionModel(inspection.model, [], inspection.gates)
        changed.picture_doubt = doubt - 1
        changed.picture_limit = float(found.look.degrees.max()) / factor
        assert changed.inspect(keyed(300)).verdict is right


@pytest.mark.parametrize(
    ("shift", "field", "limit", "said"),
    [
        ((30, 0), "seen", 1.0004, r"view: only (\d+\.?\d*) % of the part .*, at least (\d+\.?\d*) % needed"),
        ((70, 0), "seen", 0.6, r"view: only (\d+\.?\d*) % of the part .*, at least (50) % needed"),
        ((0, 0), "residual", 0.9996, r"appearance: .*\(misfit (\d\.\d+), limit (\d\.\d+)\)"),
    ],
)
def test_a_share_and_its_limit_are_printed_so_that_they_differ(monkeypatch, shift, field, limit, said) -> None:
    """The limit is set to so many times the picture's own value."""
    inspection = InspectionModel(SoartC(window=8).fit([keyed(n) for n in range(12)]))
    model, image = inspection.model, keyed(40, shift)
    found = getattr(model.look(image).evidence, field)
    monkeypatch.setattr(model, "evidence_", replace(model.evidence_, **{field: limit * found}))
    reason = next(one for one in inspection.inspect(image).reasons if one.startswith(said.partition(":")[0]))
    value, least = re.fullmatch(said, reason).groups()
    assert float(value) != float(least) and (float(value) < float(least)) == (field == "seen")


def test_a_part_without_a_key_is_not_called_turned() -> None:
    def plain(seed: int) -> np.ndarray:
        draws = np.random.default_rng(seed)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH] + 0.5
        picture = 0.25 + 0.3 * ((abs(x - WIDTH / 2) < 40) & (abs(y - HEIGHT / 2) < 25))
        return eight_bit(picture + draws.normal(0, 0.01, picture.shape))

    inspection = InspectionModel(SoartC(window=8).fit([plain(n) for n in range(12)]))
    for seed in range(20, 30):
        for image in (plain(seed), np.ascontiguousarray(plain(seed)[::-1, ::-1])):
            assert not [reason for reason in inspection.inspect(image).reasons if reason.startswith("orientation")]


def test_the_residual_is_0_for_the_same_and_1_for_nothing_and_a_defect_hardly_counts() -> None:
    reference, everywhere = keyed(1), np.ones((HEIGHT, WIDTH), bool)
    assert residual(reference, everywhere, reference) == pytest.approx(0, abs=1e-6)
    assert residual(0.5 * reference + 0.2, everywhere, reference) == pytest.approx(0, abs=1e-4)
    assert residual(np.full_like(reference, 0.3), everywhere, reference) == 1.0
    assert residual(reference, ~everywhere, reference) == 1.0
    spoiled = reference.copy()
    spoiled[20:36, 40:60] = 1.0
    assert residual(spoiled, everywhere, reference) < 0.05


def test_a_lost_pin_counts_more_than_lost_background() -> None:
    reference, core = keyed(1), np.ones((HEIGHT, WIDTH), bool)
    without_pin, without_background = core.copy(), core.copy()
    without_pin[20:32, 46:58] = False
    without_background[:12, :12] = False
    assert seen_share(core, reference, core) == pytest.approx(1.0)
    assert seen_share(without_pin, reference, core) < seen_share(without_background, reference, core) < 1
    assert seen_share(without_background, reference, without_background) == pytest.approx(1.0)


def test_limits_leave_each_member_out() -> None:
    members = np.stack([keyed(n) for n in range(6)])
    seen = np.ones(members.shape, bool)
    seen[3, :, :20] = False  # only one member does not show the left side: it must widen the limit
    limits = limits_of(members, seen, SoartC(window=8).fit(list(members)).turned)
    assert limits.seen < 0.9
    assert limits.residual > 0.1
