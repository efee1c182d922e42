"""The public names of `generator.soart` keep their arguments and results."""

from __future__ import annotations

import inspect

import numpy as np

from generator import soart
from generator.soart import SoartC, encode_nsoart, soart3, soart3_map

GREY = np.random.default_rng(5).uniform(0.2, 0.8, (30, 44)).astype(np.float32)


def parameters(function: object) -> list[tuple[str, object]]:
    found = inspect.signature(function).parameters.values()
    return [(one.name, None if one.default is one.empty else one.default) for one in found]


def test_all_public_names_are_listed() -> None:
    assert sorted(soart.__all__) == ["SoartC", "encode_nsoart", "soart3", "soart3_map"]


def test_soart3_takes_two_vectors_and_gives_three_numbers() -> None:
    assert parameters(soart3) == [("y", None), ("x", None)]
    found = soart3(GREY[0], GREY[1])
    assert len(found) == 3 and all(type(value) is float for value in found)


def test_soart3_map_gives_three_maps_of_every_kind_of_reference() -> None:
    assert parameters(soart3_map)[:4] == [("image", None), ("reference", None), ("window", 16), ("stride", 1)]
    for reference in (GREY[::-1], GREY[:8, :8], None):
        maps = soart3_map(GREY, reference, window=8, stride=2)
        assert maps.shape == (3, 12, 19) and maps.dtype == np.float32


def test_soartc_fits_looks_and_is_saved(tmp_path) -> None:
    assert parameters(SoartC)[:2] == [("window", 16), ("grid", 250)]
    noise = np.random.default_rng(6)
    good = [np.clip(GREY + noise.normal(0, 0.01, GREY.shape), 0, 1).astype(np.float32) for _ in range(4)]
    model = SoartC(window=8, grid=100)
    assert model.fit(good) is model
    anomaly = model.anomaly(GREY)
    assert anomaly.shape == GREY.shape and anomaly.dtype == np.float32
    assert model.transform(GREY).shape == (3, 23, 37)
    model.save(tmp_path / "unit.npz")
    assert np.array_equal(SoartC.load(tmp_path / "unit.npz").anomaly(GREY), anomaly)


def test_encode_nsoart_gives_a_picture() -> None:
    assert parameters(encode_nsoart) == [("maps", None), ("params", None)]
    params = {"mean": [0.0, 1.0, -1.0], "sd": [1.0, 1.0, 1.0], "window": 8, "stride": 1}
    picture = encode_nsoart(soart3_map(GREY, None, window=8), params)
    assert picture.shape == (30, 44, 3) and picture.dtype == np.uint8
