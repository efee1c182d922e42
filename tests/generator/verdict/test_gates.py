"""Gates that refuse pictures which cannot be judged, and pass regular ones."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from blender_scripts.contract.errors import InputError
from generator.verdict.gates import FILE, PictureGates
from generator.verdict.orientation import Orientation


def part(seed: int, size: tuple[int, int] = (192, 96), key: bool = True, light: float = 1.0) -> Image.Image:
    """Draw a connector: bright pins in a dark housing with a key at the top, shifted, with noise."""
    draw_from = random.Random(seed)
    width, height = size
    picture = Image.new("RGB", (2 * width, 2 * height), (90, 90, 90))
    draw = ImageDraw.Draw(picture)
    x, y = (draw_from.uniform(-4, 4) for _ in range(2))
    draw.rectangle((30 + x, 30 + y, 2 * width - 30 + x, 2 * height - 30 + y), fill=(30, 30, 32))
    if key:
        draw.rectangle((width / 2 + x, 30 + y, width / 2 + 50 + x, 52 + y), fill=(140, 140, 140))
    for column in range(8):
        for row in range(3):
            at = (52 + column * (2 * width - 104) / 7 + x, 66 + row * (2 * height - 132) / 2 + y)
            draw.ellipse((at[0] - 9, at[1] - 9, at[0] + 9, at[1] + 9), fill=(200, 200, 190))
    picture = picture.resize(size, Image.Resampling.BOX)
    noise = np.random.default_rng(seed).normal(0, 2, (height, width, 1))
    level = light * draw_from.uniform(0.9, 1.1)
    return Image.fromarray(np.clip(np.asarray(picture) * level + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def gates() -> PictureGates:
    return PictureGates.of([part(seed) for seed in range(60)])


def tinted(picture: Image.Image, red: float, blue: float, bright: bool) -> Image.Image:
    """Return a copy whose pins (`bright`) or whose housing have another colour."""
    values = np.asarray(picture).astype(float)
    chosen = (values.mean(2) > 150) if bright else (values.mean(2) < 60)
    values[chosen] *= (red, 1.0, blue)
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def keywords(reasons: list[str]) -> set[str]:
    return {reason.split(":")[0] for reason in reasons}


def test_regular_pictures_pass(gates):
    assert [gates.reasons(part(seed)) for seed in range(100, 200)] == [[]] * 100


def test_a_defect_passes(gates):
    picture = part(300)
    ImageDraw.Draw(picture).rectangle((40, 28, 56, 44), fill=(30, 30, 32))  # a pin is missing
    assert gates.reasons(picture) == []


WRONG = {
    "black": (lambda p: Image.new("RGB", p.size), "contrast"),
    "white": (lambda p: Image.new("RGB", p.size, "white"), "contrast"),
    "noise": (lambda p: Image.effect_noise(p.size, 120).convert("RGB"), "noise"),
    "gradient": (lambda p: Image.linear_gradient("L").resize(p.size).convert("RGB"), "appearance"),
    "dark": (lambda p: p.point(lambda v: v / 4), "exposure"),
    "bright": (lambda p: p.point(lambda v: min(255, 3 * v)), "exposure"),
    "blurred": (lambda p: p.filter(ImageFilter.GaussianBlur(5)), "sharpness"),
    "slightly blurred": (lambda p: p.filter(ImageFilter.BoxBlur(2)), "sharpness"),
    "quarter turn": (lambda p: p.transpose(Image.Transpose.ROTATE_90), "size"),
    "half turn": (lambda p: p.transpose(Image.Transpose.ROTATE_180), "orientation"),
    "other size": (lambda p: p.resize((p.width * 2, p.height * 2)), "size"),
    "half of it": (lambda p: p.crop((0, 0, p.width // 2, p.height)).resize(p.size), "appearance"),
    "shifted": (lambda p: Image.fromarray(np.roll(np.asarray(p), p.width // 2, axis=1)), "appearance"),
    "grey noise on it": (
        lambda p: Image.fromarray(
            np.clip(np.asarray(p) + np.random.default_rng(1).normal(0, 25, (p.height, p.width, 1)), 0, 255).astype(
                np.uint8
            )
        ),
        "noise",
    ),
    "red housing": (lambda p: tinted(p, 2.0, 0.9, False), "colour"),
    "blue housing": (lambda p: tinted(p, 0.8, 1.6, False), "colour"),
    "gilt pins": (lambda p: tinted(p, 1.0, 0.6, True), "colour"),
}


@pytest.mark.parametrize("name", WRONG)
def test_unsuitable_pictures_are_refused_with_the_reason(gates, name):
    change, keyword = WRONG[name]
    for seed in range(400, 410):
        assert keyword in keywords(gates.reasons(change(part(seed)))), (name, seed)


def test_another_white_balance_and_a_grey_picture_are_not_another_colour(gates):
    for seed in range(700, 720):
        cast = part(seed).point([min(255, round(value * gain)) for gain in (1.06, 1.0, 0.94) for value in range(256)])
        assert gates.reasons(cast) == [] == gates.reasons(part(seed).convert("L").convert("RGB"))


def test_every_colour_of_the_training_is_regular_and_only_those():
    def coloured(seed: int) -> Image.Image:
        return tinted(part(seed), *[(1.0, 1.0), (2.0, 0.9)][seed % 5 == 0], False)

    gates = PictureGates.of([coloured(seed) for seed in range(120)])
    assert [gates.reasons(coloured(seed)) for seed in range(200, 240)] == [[]] * 40
    assert "colour" in keywords(gates.reasons(tinted(part(300), 0.8, 1.8, False)))


def test_a_file_of_an_older_version_refuses_nothing_for_its_colours(gates, tmp_path: Path):
    gates.save(tmp_path)
    with np.load(tmp_path / FILE) as file:
        held = {name: file[name] for name in file.files if name != "tones"}
    header = json.loads(held["header"].tobytes())
    del header["limits"]["colour"]
    np.savez(tmp_path / FILE, **{**held, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    old = PictureGates.load(tmp_path)
    red = tinted(part(500), 2.0, 0.9, False)
    assert keywords(gates.reasons(red)) == {"colour"} and old is not None and old.reasons(red) == []
    old.save(tmp_path)
    again = PictureGates.load(tmp_path)
    assert again is not None and again.limits == old.limits and again.reasons(red) == []


def test_parts_that_lie_either_way_in_training_may_lie_either_way():
    def lying(seed: int) -> Image.Image:
        picture = part(seed, key=seed % 3 > 0)
        return picture.transpose(Image.Transpose.ROTATE_180) if seed % 2 else picture

    gates = PictureGates.of([lying(seed) for seed in range(80)])
    assert [gates.reasons(lying(seed)) for seed in range(100, 150)] == [[]] * 50


def test_quarter_turns_of_square_pictures_are_seen():
    gates = PictureGates.of([part(seed, (128, 128)) for seed in range(60)])
    assert [gates.reasons(part(seed, (128, 128))) for seed in range(100, 130)] == [[]] * 30
    reasons = gates.reasons(part(200, (128, 128)).transpose(Image.Transpose.ROTATE_270))
    assert any(
        reason.startswith("orientation: the picture seems turned: rotated counter-clockwise by 90°")
        for reason in reasons
    )

    reasons = gates.reasons(part(200, (128, 128)).transpose(Image.Transpose.ROTATE_90))
    assert any(
        reason.startswith("orientation: the picture seems turned: rotated clockwise by 90°") for reason in reasons
    )


def test_a_half_turn_is_no_reason_if_the_part_looks_alike_after_it_but_a_quarter_turn_is():
    gates = PictureGates.of([part(seed, (128, 128)) for seed in range(60)])
    turned = {turn: part(200, (128, 128)).rotate(turn) for turn in (90, 180, 270)}
    for turn, picture in turned.items():
        assert "orientation" in keywords(gates.reasons(picture)), turn
        assert ("orientation" in keywords(gates.reasons(picture, half_turn_alike=True))) == (turn != 180)


def test_every_reason_names_the_training_pictures_as_it_is_told(gates):
    said = []
    for change, _ in WRONG.values():
        said += gates.reasons(change(part(300)), noun="OK pictures")
    assert len({one.partition(":")[0] for one in said}) >= 6
    assert not [one for one in said if "training" in one]
    assert sum("OK pictures" in one for one in said) >= 6


def test_a_refused_size_is_stated_with_the_size_of_the_file(gates):
    (said,) = gates.size_reasons((100, 100), own_size=(400, 400))
    assert said.startswith("size: 400 x 400 px, resampled to 100 x 100 px, width / height 1.00, not 2.00 as")


def test_only_a_part_that_is_more_alike_after_a_half_turn_is_called_turned(gates, monkeypatch):
    monkeypatch.setattr(Orientation, "score", lambda self, histograms: -1.0)
    half_turned = part(300).transpose(Image.Transpose.ROTATE_180)
    assert "orientation" in keywords(gates.reasons(half_turned))
    other = part(300).crop((0, 0, 96, 96)).resize((192, 96))  # unlike the part whichever way it lies
    assert keywords(gates.reasons(other)) & {"appearance", "view"}
    turned = Image.fromarray(np.ascontiguousarray(np.asarray(other)[::-1, ::-1]))
    claimed = ["orientation" in keywords(gates.reasons(one)) for one in (other, turned)]
    assert claimed.count(True) <= 1  # not both: each is the other's half turn


def test_the_score_of_a_turned_part_is_printed_so_that_it_differs_from_the_limit(gates, monkeypatch):
    limit = gates.orientation.limit
    monkeypatch.setattr(Orientation, "score", lambda self, histograms: -limit - 0.0004)
    reasons = " ".join(gates.reasons(part(300).transpose(Image.Transpose.ROTATE_180)))
    score, least = re.search(r"turned by 180° \(score (-\d\.\d+), at least (-\d\.\d+) needed", reasons).groups()
    assert float(score) < float(least)


def test_several_lights_and_sizes_in_training_are_all_regular():
    def mixed(seed: int) -> Image.Image:
        return part(seed, [(192, 96), (384, 192)][seed % 2], light=[1.0, 0.5][seed // 2 % 2])

    gates = PictureGates.of([mixed(seed) for seed in range(80)])
    assert [gates.reasons(mixed(seed)) for seed in range(100, 160)] == [[]] * 60
    assert {"exposure", "contrast"} & keywords(gates.reasons(part(500, light=0.15)))


def test_one_unsuitable_training_picture_does_not_widen_the_limits(gates):
    pictures = [part(seed) for seed in range(60)]
    spoilt = PictureGates.of([*pictures, part(60).filter(ImageFilter.GaussianBlur(4)), Image.new("RGB", (192, 96))])
    assert "sharpness" in keywords(spoilt.reasons(part(61).filter(ImageFilter.BoxBlur(2))))
    assert spoilt.limits.appearance < 2 * gates.limits.appearance


def test_pictures_of_one_part_are_not_compared_with_each_other():
    pictures = [part(seed) for seed in range(20) for _ in range(3)]
    alone = PictureGates.of(pictures, [seed for seed in range(20) for _ in range(3)])
    together = PictureGates.of(pictures)
    assert together.limits.appearance < alone.limits.appearance
    assert alone.reasons(part(99)) == []


def test_few_pictures_give_wide_limits():
    for count in (1, 2, 3):
        assert PictureGates.of([part(seed) for seed in range(count)]).reasons(part(50)) == []
    with pytest.raises(ValueError, match="at least one picture"):
        PictureGates.of([])


def test_saved_gates_say_the_same(gates, tmp_path: Path):
    gates.save(tmp_path)
    again = PictureGates.load(tmp_path)
    assert again is not None and again.limits == gates.limits
    for picture in (part(600), part(601).rotate(180), part(602).filter(ImageFilter.GaussianBlur(3))):
        assert again.reasons(picture) == gates.reasons(picture)


def test_no_file_is_no_gates(tmp_path: Path):
    assert PictureGates.load(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_a_broken_file_is_an_input_error(tmp_path: Path, content: bytes):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(
        InputError, match=r"gates\.npz: expected the file with the limits of picture quality that a training wrote, got"
    ):
        PictureGates.load(tmp_path)


def test_a_pickle_or_foreign_arrays_are_an_input_error(tmp_path: Path, gates):
    np.savez(tmp_path / FILE, header=np.array([{"schema": 1}], dtype=object))
    with pytest.raises(InputError, match="expected the file with the limits of picture quality"):
        PictureGates.load(tmp_path)
    gates.save(tmp_path)
    with np.load(tmp_path / FILE) as file:
        held = {name: file[name] for name in file.files}
    np.savez(tmp_path / FILE, **{**held, "measures": held["measures"][:3]})
    with pytest.raises(InputError, match="arrays of wrong shapes"):
        PictureGates.load(tmp_path)


def test_limits_follow_further_pictures_up_to_a_factor(gates):
    soft = [part(seed).filter(ImageFilter.GaussianBlur(0.75)) for seed in range(400, 412)]
    wider = gates.widened(soft, 1.5)
    for name, (low, high) in gates.limits.measures.items():
        new = wider.limits.measures[name]
        assert low - 0.5 * abs(low) <= new[0] <= low and high <= new[1] <= high + 0.5 * abs(high)
    assert wider.limits.measures["fine_across"][0] < gates.limits.measures["fine_across"][0]
    assert gates.limits.appearance <= wider.limits.appearance <= 1.5 * gates.limits.appearance
    assert "sharpness" in keywords(wider.reasons(part(300).filter(ImageFilter.GaussianBlur(5))))
    redder = gates.widened([tinted(part(seed), 1.4, 1.0, False) for seed in range(400, 412)], 1.5)
    assert gates.limits.colour < redder.limits.colour <= 1.5 * gates.limits.colour
    assert "colour" in keywords(redder.reasons(tinted(part(300), 2.0, 0.9, False)))
    assert wider.limits.turn == gates.limits.turn and wider.limits.diagonal_px == gates.limits.diagonal_px


def test_good_parts_that_are_accepted_move_no_limit(gates):
    accepted = [part(seed, light=light) for seed, light in zip(range(400, 412), [1.0, 0.98] * 6, strict=True)]
    assert [gates.reasons(each) for each in accepted] == [[]] * 12
    assert gates.widened(accepted, 1.5).limits == gates.limits
