from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from generator.io.srgb import coded, linear
from trainer.core.picture_transform import FDA, GAIN, KINDS, NONE, SMOOTH, TONE, PictureStatistics, PictureTransform

Y, X = np.mgrid[0:32, 0:64]


def picture(seed: int) -> np.ndarray:
    """Bright spots on a dark ground, with noise."""
    source = np.random.default_rng(seed)
    grey = np.where(np.hypot(X % 16 - 8, Y % 16 - 8) < 4, 180.0, 60.0) + source.normal(0, 3, X.shape)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def dimmed(pixels: np.ndarray, gains=(0.8, 0.6, 0.4)) -> np.ndarray:
    """The picture under another light: less of it, and warmer."""
    return np.rint(coded(linear(pixels) * gains)).astype(np.uint8)


RENDERS = [picture(seed) for seed in range(6)]
PHOTOGRAPHS = [dimmed(picture(seed)) for seed in range(10, 16)]


def fitted(kind: str, photographs=PHOTOGRAPHS) -> PictureTransform:
    return PictureTransform.fit(kind, photographs, PictureStatistics.of(RENDERS))


@pytest.mark.parametrize("kind", [GAIN, TONE, FDA])
def test_exposure_and_colour_are_undone(kind):
    target, change = PictureStatistics.of(RENDERS), fitted(kind)
    before = PictureStatistics.of(PHOTOGRAPHS).distance(target)
    after = PictureStatistics.of([change.pixels(each) for each in PHOTOGRAPHS]).distance(target)
    assert before > 20 and after < 3


def test_no_change_returns_the_picture_itself():
    shown = Image.fromarray(PHOTOGRAPHS[0])
    assert fitted(NONE).apply(shown) is shown


def test_a_shading_of_the_light_is_undone_by_fda_only():
    shade = (1.0 + 0.25 * np.cos(2 * np.pi * X / X.shape[1]))[..., None]
    shaded = [np.clip(picture(seed) * shade, 0, 255).astype(np.uint8) for seed in range(10, 16)]

    def uneven(change: PictureTransform) -> float:
        means = np.mean([change.pixels(each).mean(axis=(0, 2)) for each in shaded], axis=0)
        return abs(means[:16].mean() - means[24:40].mean())

    assert uneven(fitted(FDA, shaded)) < 0.75 * uneven(fitted(TONE, shaded))


def test_a_failing_lamp_still_shows():
    """The change is the same for every picture, so that a darker one stays darker."""
    change, dark = fitted(TONE), dimmed(PHOTOGRAPHS[0], (0.4, 0.4, 0.4))
    assert change.pixels(dark).mean() < 0.8 * change.pixels(PHOTOGRAPHS[0]).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_is_the_same_after_it_was_stored(kind):
    change = fitted(kind)
    again = PictureTransform.from_json(change.to_json())
    difference = again.pixels(PHOTOGRAPHS[0]).astype(int) - change.pixels(PHOTOGRAPHS[0])
    assert abs(difference).max() <= 1
    assert again.to_json() == PictureTransform.from_json(again.to_json()).to_json()


def test_a_falling_curve_is_refused():
    held = fitted(TONE).to_json()
    held["curves"][0][100] = 0.0
    with pytest.raises(ValueError, match="never fall"):
        PictureTransform.from_json(held)


def test_noise_is_smoothed_and_sharp_pictures_are_left_as_they_are():
    source = np.random.default_rng(3)
    soft = [gaussian_filter(each, (1.2, 1.2, 0.0)) for each in RENDERS]
    noisy = [np.clip(each + source.normal(0, 8, each.shape), 0, 255).astype(np.uint8) for each in soft]
    target = PictureStatistics.of(soft)
    change = PictureTransform.fit(SMOOTH, noisy, target)
    assert 0.2 <= change.blur_px <= 1.0
    after = PictureStatistics.of([change.pixels(each) for each in noisy])
    assert abs(after.fine - target.fine) < 0.5 * abs(PictureStatistics.of(noisy).fine - target.fine)
    assert PictureTransform.fit(SMOOTH, soft, target).blur_px == 0.0


@pytest.mark.parametrize("target", [0, 30, 128, 255])
def test_a_curve_keeps_structure_where_the_target_has_none(target):
    """Renders of one grey value would map all values to this one."""
    flat = PictureStatistics.of([np.full((32, 64, 3), target, np.uint8)])
    for photographs in (PHOTOGRAPHS, RENDERS, [255 - each for each in RENDERS]):
        steps = np.diff(PictureTransform.fit(TONE, photographs, flat).curves, axis=1)
        assert steps.min() > 0.249 and steps.max() < 4.001


@pytest.mark.parametrize("kind", [GAIN, TONE, FDA])
def test_a_burnt_out_picture_stays_burnt_out_after_a_change_that_darkens(kind):
    target = PictureStatistics.of([dimmed(each, (0.3, 0.3, 0.3)) for each in RENDERS])
    change = PictureTransform.fit(kind, RENDERS, target)
    burnt = RENDERS[0].copy()
    burnt[8:24, 16:48] = 255
    assert change.pixels(RENDERS[0]).max() < 250
    assert (change.pixels(burnt)[8:24, 16:48] == 255).all()
    if kind == GAIN:  # photographs with as many burnt-out pixels are changed as a whole
        assert PictureTransform.fit(kind, [burnt, *RENDERS], target).pixels(burnt).max() < 250


def test_a_blur_is_as_wide_a_share_of_a_larger_picture():
    change = replace(fitted(SMOOTH), blur_px=0.8, width=64)
    large = np.repeat(np.repeat(PHOTOGRAPHS[0], 8, axis=0), 8, axis=1)
    large = np.clip(large + np.random.default_rng(0).normal(0, 9, large.shape), 0, 255).astype(np.uint8)
    reduced = [
        np.asarray(Image.fromarray(each).resize((64, 32), Image.Resampling.BOX), float)
        for each in (large, change.pixels(large))
    ]
    wanted = change.pixels(reduced[0].round().astype(np.uint8))
    assert abs(reduced[1] - wanted).mean() < 0.25 * abs(reduced[0] - wanted).mean()
