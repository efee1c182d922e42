"""The marked picture of a verdict: brightness and colours, boxes of pins, and reasons."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.__main__ import main
from generator.io.palette import hue, rgb
from generator.soart.figure import brightened, overlay, unreadable
from tests.generator.soart.drawn_pins import PINS, SIZE, drawn, model_of
from tests.generator.soart.test_unnoticed_pins import BENT, with_bent


def as_picture(values: np.ndarray, gain: float = 1.0) -> Image.Image:
    return Image.fromarray(np.round(255 * gain * values).astype(np.uint8))


def at(sheet: Image.Image, inspected: np.ndarray, name: str) -> np.ndarray:
    """Mark the pixels (h, w) of an overlay's picture in a verdict's colour for boxes; the picture is enlarged alike."""
    factor = sheet.width // inspected.shape[1]
    pixels = np.asarray(sheet)[sheet.height - factor * inspected.shape[0] :]
    return (pixels == rgb(hue(name).on_picture)).all(axis=2)


def is_round(mask: np.ndarray, number: int) -> bool:
    """Whether pixels are marked round a pin's box."""
    factor = mask.shape[1] // SIZE[1]
    x1, y1, x2, y2 = (round(factor * edge) for edge in PINS[number].box)
    wide = 3 * factor
    return bool(mask[y1 - wide : y2 + wide, x1 - wide : x2 + wide].any())


@pytest.mark.parametrize("gain", [0.05, 0.25, 0.6])
def test_a_dark_picture_is_brightened_and_a_bright_one_stays(gain: float) -> None:
    picture = as_picture(drawn(1), gain)
    shown, factor = brightened(picture)
    values, before = np.asarray(shown), np.asarray(picture)
    assert 200 < np.quantile(values, 0.995) < 240 and shown.mode == "RGB"
    assert factor == pytest.approx(220 / np.quantile(before, 0.995), rel=0.01)
    bright, unchanged = brightened(as_picture(drawn(1), 1.2))
    assert unchanged == 1 and (np.asarray(bright)[..., 0] == np.asarray(as_picture(drawn(1), 1.2))).all()


def test_few_hot_pixels_do_not_keep_a_picture_dark_and_a_black_one_is_drawn() -> None:
    values = np.asarray(as_picture(drawn(1), 0.2)).copy()
    values[::40, ::40] = 255
    assert brightened(Image.fromarray(values))[1] > 2
    assert not np.asarray(brightened(Image.new("L", (40, 30)))[0]).any()


def test_colours_keep_their_hue() -> None:
    red = Image.new("RGB", (40, 30), (40, 10, 20))
    assert brightened(red)[0].getpixel((5, 5)) == (220, 55, 110)
    blue = Image.new("RGB", (40, 30), (0, 0, 200))
    assert brightened(blue)[1] == 1


def test_the_boxes_of_ok_pins_and_of_pins_that_would_not_be_missed_are_told_from_those_of_defects() -> None:
    inspection = model_of(with_bent())
    inspected = drawn(72, bent=[(5, (500.0, 0.0))])
    sheet = overlay(as_picture(inspected), inspection.inspect(inspected))
    ng, ok, unsure = (at(sheet, inspected, name) for name in ("NG", "OK", "UNSURE"))
    for number in range(len(PINS)):
        found = [is_round(mask, number) for mask in (ng, unsure, ok)]
        assert found == [number == 5, number in BENT, number not in (5, *BENT)]
    assert ng.sum() > 1.5 * unsure.sum() / 2  # dashed


def test_the_sheet_says_by_how_much_a_dark_picture_is_brightened() -> None:
    inspection = model_of([0.25 * drawn(seed) for seed in range(9)])
    dark = (0.25 * drawn(70)).astype(np.float32)
    finding = inspection.inspect(dark)
    sheet = overlay(as_picture(dark), finding)
    same = overlay(brightened(as_picture(dark))[0], finding)
    height = 5 * SIZE[0]
    assert (np.asarray(sheet)[-height:] == np.asarray(same)[-height:]).all()
    assert sheet.height > same.height  # a line more


def test_every_reason_of_an_unreadable_picture_begins_a_line() -> None:
    one, two = unreadable(["file: damaged"]), unreadable(["view: half of it", "appearance: another part"])
    assert two.height > one.height


@pytest.mark.parametrize("views", [["center"], ["center", "left"]])
def test_the_command_draws_photographs_in_their_colours_and_dark_ones_brighter(
    tmp_path: Path, views: list[str]
) -> None:
    (tmp_path / "ok").mkdir()
    for seed in range(5):
        for number, view in enumerate(views):
            grey = 0.4 * drawn(10 * seed + number, housing=(0.9 * seed % 2, 0.7 * seed % 1.5))
            tinted = Image.fromarray(np.round(255 * grey[..., None] * [1, 0.5, 0.25]).astype(np.uint8))
            tinted.save(tmp_path / ("ok" if seed < 4 else "") / f"p{seed}_{view}.png")
    words = ["--golden", str(tmp_path / "ok"), "-o", str(tmp_path / "out"), "--figures"]
    words += ["--views", ",".join(views)] if len(views) > 1 else []
    assert main(["inspect", *(str(tmp_path / f"p4_{view}.png") for view in views), *words]) == 0
    for end in ("", "_maps"):
        with Image.open(tmp_path / "out" / f"{'p4' if len(views) > 1 else 'p4_center'}{end}.png") as sheet:
            pixels = np.asarray(sheet).reshape(-1, 3).astype(int)
        pins = (pixels[:, 0] > 180) & (abs(pixels[:, 0] - 2 * pixels[:, 1]) < 30) & (pixels[:, 1] > pixels[:, 2] + 20)
        assert pins.sum() > 20
