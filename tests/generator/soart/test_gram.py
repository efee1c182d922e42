"""SOART3 on row-Gram matrices, on colour, and in single precision, compared with NumPy in double precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.soart.soart3_maps import mean_window, soart3_map
from tests.generator.soart.test_soart3_maps import plain_soart3
from tests.other_python import other_python
from tests.soak import times

ROOT = Path(__file__).resolve().parents[3]


def grams(picture: np.ndarray, window: int, stride: int) -> np.ndarray:
    cut = np.lib.stride_tricks.sliding_window_view(np.asarray(picture, np.float64), (window, window))
    cut = cut[::stride, ::stride]
    s = cut @ cut.swapaxes(-1, -2)
    return s.reshape(*s.shape[:2], -1)


@settings(max_examples=times(25))
@given(st.data())
def test_gram_maps_match_numpy(data: st.DataObject) -> None:
    window, stride = data.draw(st.integers(1, 17)), data.draw(st.integers(1, 4))
    height, width = (data.draw(st.integers(window, window + 40)) for _ in range(2))
    draws = np.random.default_rng([window, stride, height])
    image, golden = draws.random((2, height, width)).astype(np.float32)
    patch = draws.random((window, window)).astype(np.float32)
    y = grams(image, window, stride)
    own = mean_window(image.astype(np.float64), window, stride)
    for reference, x in (
        (golden, grams(golden, window, stride)),
        (patch, grams(patch, window, 1)[0, 0]),
        (None, (own @ own.T).ravel()),
    ):
        maps = soart3_map(image, reference, window, stride, "gram")
        assert np.abs(maps - plain_soart3(y, np.broadcast_to(x, y.shape))).max() < 1e-5


def test_scaling_the_signal_moves_the_gram_s_beta_by_its_square() -> None:
    image = np.random.default_rng(11).random((40, 60)).astype(np.float32)
    whole, half = (soart3_map(one, image, 8, 1, "gram") for one in (image, np.float32(0.5) * image))
    assert np.allclose(half[0] - whole[0], np.log(0.25), atol=1e-3)


@pytest.mark.parametrize("similarity", ["pixels", "gram"])
def test_a_colour_picture_is_its_channels_one_by_one(similarity: str) -> None:
    image, golden = np.random.default_rng(11).random((2, 30, 40, 3)).astype(np.float32)
    for reference in (None, golden, golden[:8, :8]):
        maps = soart3_map(image, reference, 8, 2, similarity)
        assert maps.shape == (3, 3, 12, 17)
        for c in range(3):
            channel = None if reference is None else reference[..., c]
            assert np.array_equal(maps[c], soart3_map(image[..., c], channel, 8, 2, similarity))


def test_constant_bright_windows_stay_within_the_bound() -> None:
    # The hardest case for single precision: the residual is 0, so all roundings of beta x add up with one sign.
    for y, x in np.random.default_rng(11).random((50, 2)).astype(np.float32):
        image, golden = np.full((20, 20), y), np.full((20, 20), x)
        expected = plain_soart3(np.full((1, 256), np.float64(y)), np.full((1, 256), np.float64(x)))
        maps = soart3_map(image, golden)
        assert np.abs(maps.reshape(3, -1) - expected).max() < 1e-5


def test_an_unknown_similarity_is_refused() -> None:
    with pytest.raises(ValueError, match="one of pixels, gram, got 'cosine'"):
        soart3_map(np.zeros((20, 20)), None, similarity="cosine")


def test_one_and_two_threads_give_the_same_bits() -> None:
    program = """
import sys, zlib, numpy as np
from generator.soart import soart3_map
image, golden = np.random.default_rng(3).random((2, 90, 700)).astype(np.float32)
maps = [soart3_map(image, r, 16, 1, s) for s in ("pixels", "gram") for r in (None, golden, golden[:16, :16])]
maps += [soart3_map(image, r, 7, 3) for r in (None, golden)]
print([zlib.crc32(m.tobytes()) for m in maps])
"""
    found = {other_python("-c", program, NUMBA_NUM_THREADS=threads).stdout for threads in ("1", "2")}
    assert len(found) == 1
