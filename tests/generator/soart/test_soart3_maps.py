"""SOART3 compared with plain NumPy in double precision, its properties, and the coding of NSOART."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from generator.soart import nsoart
from generator.soart.soart3_maps import encode_nsoart, mean_window, soart3, soart3_map
from tests.other_python import other_python
from tests.soak import times

ROOT = Path(__file__).resolve().parents[3]


def plain_soart3(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """SOART3 by its definition, over the last axis."""
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    beta = ((x * y).sum(-1) + 1e-4) / ((x * x).sum(-1) + 1e-4)
    rest = np.abs(y - beta[..., None] * x)
    log_yita = np.log(rest.sum(-1) + 1)
    return np.stack([np.log(beta), log_yita, np.log(rest.max(-1) + 1) - log_yita])


def plain_map(image: np.ndarray, reference: np.ndarray | None, window: int, stride: int) -> np.ndarray:
    def windows(picture: np.ndarray) -> np.ndarray:
        cut = np.lib.stride_tricks.sliding_window_view(np.asarray(picture, np.float64), (window, window))
        cut = cut[::stride, ::stride]
        return cut.reshape(*cut.shape[:2], -1)

    y = windows(image)
    if reference is None:
        x = y.mean(axis=(0, 1))
    elif reference.shape == image.shape:
        x = windows(reference)
    else:
        x = np.asarray(reference, np.float64).reshape(-1)
    return plain_soart3(y, np.broadcast_to(x, y.shape))


grey_values = npst.arrays(np.float64, 24, elements=st.floats(0, 1))


@given(grey_values, grey_values)
def test_vectors_match_numpy(y: np.ndarray, x: np.ndarray) -> None:
    assert np.abs(np.array(soart3(y, x)) - plain_soart3(y, x)).max() < 1e-9


@given(grey_values, grey_values, st.permutations(range(24)))
def test_permuting_both_vectors_alike_changes_nothing(y: np.ndarray, x: np.ndarray, order: list[int]) -> None:
    assert np.allclose(soart3(y, x), soart3(y[order], x[order]), atol=1e-9)


@given(st.floats(0.2, 5.0))
def test_scaling_the_reference_moves_only_log_beta(scale: float) -> None:
    rng = np.random.default_rng(7)
    y, x = rng.random(256), rng.random(256)
    base, scaled = soart3(y, x), soart3(y, scale * x)
    assert scaled[0] == pytest.approx(base[0] - np.log(scale), abs=1e-4)
    assert scaled[1:] == pytest.approx(base[1:], abs=1e-4)


def test_a_signal_equal_to_its_reference_has_no_difference() -> None:
    rng = np.random.default_rng(7)
    x = rng.random(100)
    assert soart3(x, x) == pytest.approx((0, 0, 0), abs=1e-12)
    image = rng.random((30, 40))
    assert np.abs(soart3_map(image, image, window=8)).max() < 1e-6
    assert np.abs(soart3_map(image[:8, :8], image[:8, :8].copy(), window=8)).max() < 1e-6


def test_one_element_that_differs_is_wholly_concentrated() -> None:
    x = np.full(400, 0.5)
    y = x.copy()
    y[17] = 1.0
    log_beta, log_yita, log_gamma = soart3(y, x)
    everywhere = soart3(np.where(np.arange(400) % 2, 0.4, 0.6), x)
    assert log_beta == pytest.approx(0, abs=0.01)
    assert log_yita > 0
    assert log_gamma > everywhere[2] + 1


@pytest.mark.parametrize(
    ("y", "x", "message"),
    [
        ([0.5], [0.5, 0.5], "one length"),
        ([], [], "one length"),
        ([[0.5]], [[0.5]], "one length"),
        ([np.nan], [0.5], "y must have finite numbers, got nan"),
        ([0.5], [np.inf], "x must have finite numbers, got inf"),
        ([-1.0, -1.0], [1.0, 1.0], "beta must be > 0"),
    ],
)
def test_vectors_that_are_refused(y: list[float], x: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        soart3(np.array(y), np.array(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("height", "width", "window", "stride"),
    [(40, 50, 16, 1), (33, 70, 7, 1), (33, 70, 7, 3), (64, 64, 16, 5), (20, 20, 20, 1), (24, 1100, 5, 2), (9, 9, 1, 1)],
)
def test_maps_match_numpy(height: int, width: int, window: int, stride: int, dtype: type) -> None:
    rng = np.random.default_rng(7)
    image = rng.random((height, width)).astype(dtype)
    references = [None, rng.random((height, width)), rng.random((window, window)), 0.7 * image]
    for reference in references:
        maps = soart3_map(image, reference, window, stride)
        assert maps.dtype == np.float32
        expected = plain_map(image, reference, window, stride)
        assert maps.shape == expected.shape
        assert np.abs(maps - expected).max() < 1e-5


def test_maps_of_large_smooth_windows_match_numpy() -> None:
    # Nearly proportional windows leave a small residual of large sums: the hardest case for rounding.
    y, x = np.mgrid[0:120, 0:130] / 130
    image = 0.3 + 0.5 * x * y
    golden = np.clip(image * 0.8 + 1e-4 * np.random.default_rng(7).random(image.shape), 0, 1)
    for reference in (None, golden):
        maps = soart3_map(image, reference, window=100)
        assert np.abs(maps - plain_map(image, reference, 100, 1)).max() < 1e-5


@settings(max_examples=times(30))
@given(st.data())
def test_any_size_from_the_window_on_works(data: st.DataObject) -> None:
    window, stride = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 6))
    height, width = (data.draw(st.integers(window, window + 20)) for _ in range(2))
    image = np.random.default_rng(window).random((height, width))
    golden = np.clip(image[::-1], 0, 1)
    for reference in (None, golden):
        maps = soart3_map(image, reference, window, stride)
        assert np.abs(maps - plain_map(image, reference, window, stride)).max() < 1e-5


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_black_and_constant_windows_are_finite(value: float) -> None:
    image = np.full((30, 30), value)
    bright = np.ones((30, 30))
    for reference in (None, image, bright, np.zeros((30, 30)), np.zeros((16, 16))):
        assert np.isfinite(soart3_map(image, reference)).all()
        assert np.isfinite(soart3_map(bright, reference)).all()


BAD = [
    (np.full((20, 20), np.nan), "without NaN"),
    (np.full((20, 20), -0.1), r"in \[0, 1\]"),
    (np.full((20, 20), 1.1), r"in \[0, 1\]"),
    (np.full((20, 20), np.inf), r"in \[0, 1\]"),
    (np.zeros((20, 20), np.uint8), "floats"),
    (np.zeros((20, 20, 3, 2)), r"shape \(H, W\)"),
    (np.zeros((0, 20)), r"shape \(H, W\)"),
]


@pytest.mark.parametrize(("picture", "message"), BAD)
def test_pictures_that_are_refused(picture: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match="image must .*" + message):
        soart3_map(picture, None)
    with pytest.raises(ValueError, match="reference must .*" + message):
        soart3_map(np.zeros((20, 20)), picture)


def test_sizes_that_are_refused() -> None:
    image = np.zeros((20, 20))
    with pytest.raises(ValueError, match="at least as large as a window, 21 x 21 px, got 20 x 20 px"):
        soart3_map(image, None, window=21)
    with pytest.raises(ValueError, match=r"got 20 x 19 px"):
        soart3_map(image, image[1:])
    for name, value in (("window", 0), ("window", 2.5), ("stride", 0), ("stride", -1), ("stride", True)):
        with pytest.raises(ValueError, match=f"{name} must be a whole number"):
            soart3_map(image, None, **{name: value})


def test_mean_window_is_the_mean_over_the_grid() -> None:
    image = np.random.default_rng(7).random((37, 41))
    windows = np.lib.stride_tricks.sliding_window_view(image, (6, 6))[::4, ::4]
    assert np.allclose(mean_window(image, 6, 4), windows.mean(axis=(0, 1)), atol=1e-14)


MEMORY = """
from pathlib import Path
import numpy as np
from generator.soart import soart3_map
def peak_kib():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
image = np.random.default_rng(7).random((400, 400))
soart3_map(image, None, window=8)
soart3_map(image, image, window=8)
before = peak_kib()
soart3_map(image, None, window=48)  # 124,609 windows of 2,304 pixels: 2.3 GB as float64
soart3_map(image, image, window=48)
print(peak_kib() - before)
"""


def test_no_memory_of_windows_times_pixels() -> None:
    # In a separate process: if an earlier test had used more memory, the peak would not change.
    assert int(run_python(MEMORY)) < 60_000


def run_python(code: str, cwd: Path = ROOT, **environment: str) -> str:
    return other_python("-c", code, cwd=cwd, **environment).stdout


def test_import_pulls_nothing_heavy() -> None:
    code = "import sys, generator.soart, generator.soart.nsoart; print(*sorted(sys.modules))"
    modules = set(run_python(code).split())
    assert not modules & {"datasets", "torch", "bpy", "pyarrow", "pandas", "scipy.optimize"}


def test_works_where_no_cache_can_be_written(tmp_path: Path) -> None:
    package = tmp_path / "generator" / "soart"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    for name in ("soart3_maps", "kernels", "gram"):
        shutil.copy(ROOT / "generator" / "soart" / f"{name}.py", package)
    (package / "__pycache__").write_text("a file where the cache folder would go")
    code = """
import numpy as np
from generator.soart import soart3_maps
print(type(soart3_maps.patch_maps._cache).__name__, soart3_maps.soart3_map(np.ones((9, 9)), None, 8).shape)
"""
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null/cache", "NUMBA_CACHE_DIR": ""}
    # Without optimisation, as the compilation, which is repeated without a cache, is then faster.
    said = run_python(code, tmp_path, **nowhere, PYTHONDONTWRITEBYTECODE="1", NUMBA_OPT="0")
    assert said.strip() == "NullCache (3, 2, 2)"


PARAMS = {"mean": [0.0, 1.0, -2.0], "sd": [1.0, 0.5, 2.0], "window": 4, "stride": 1}


def test_code_is_monotone_and_centred() -> None:
    z = np.linspace(-60, 60, 2001)
    maps = np.stack([m + s * z for m, s in zip(PARAMS["mean"], PARAMS["sd"], strict=True)])[:, None, :]
    coded = encode_nsoart(maps, PARAMS)[0]
    inside = coded[2:-1]  # column p shows window p - 2; the last one is repeated
    assert (np.diff(inside.astype(int), axis=0) >= 0).all()
    assert (inside[1000] == 128).all()
    assert (np.abs(coded.astype(int) - coded[:, :1]) <= 0).all()  # equal z, equal byte, whatever the channel
    # At the knee, z = 2, the code is half way from the middle to the end.
    assert inside[np.argmin(np.abs(z - 2))][0] == pytest.approx(127.5 * 1.5, abs=1)
    assert inside.min() <= 5
    assert inside.max() >= 250


def test_nsoart_has_the_pictures_size_and_sits_on_its_windows() -> None:
    # One bright pixel: log_yita is raised exactly where a window of 4 centred on a pixel contains it.
    image = np.full((21, 30), 0.5)
    image[10, 12] = 1.0
    maps = soart3_map(image, np.full((4, 4), 0.5), window=4)
    coded = encode_nsoart(maps, {**PARAMS, "mean": [0, 0, 0]})
    assert coded.shape == (21, 30, 3)
    assert coded.dtype == np.uint8
    raised = np.argwhere(coded[..., 1] > 128)
    assert raised.min(axis=0).tolist() == [9, 11]  # the window that starts at 7, 9 ends with pixel 10, 12
    assert raised.max(axis=0).tolist() == [12, 14]


def test_border_repeats_the_outermost_window_and_strides_fill_up() -> None:
    image = np.random.default_rng(7).random((33, 47))
    params = {**PARAMS, "window": 8, "stride": 3, "size": (33, 47)}
    maps = soart3_map(image, None, window=8, stride=3)
    coded = encode_nsoart(maps, params)
    assert coded.shape == (33, 47, 3)
    assert (coded[:5] == coded[:1]).all()
    assert (coded[:, -4:] == coded[:, -1:]).all()
    changes = np.flatnonzero(np.diff(coded[16, :, 0]))  # a window's value fills three pixels, the first one's six
    assert len(changes) > 6 and (changes % 3 == 2).all() and changes.min() >= 5
    with pytest.raises(ValueError, match="must have the grid of windows"):
        encode_nsoart(maps, {**params, "size": (40, 47)})
    with pytest.raises(ValueError, match=r"shape \(3, rows, columns\)"):
        encode_nsoart(maps[0], params)
    with pytest.raises(ValueError, match="sd >= 0"):
        encode_nsoart(maps, {**params, "sd": [1, 1, -1]})


def test_a_constant_unit_space_divides_by_nothing() -> None:
    maps = soart3_map(np.zeros((20, 20)), None)
    params = {"mean": maps.mean(axis=(1, 2)), "sd": [0, 0, 0], "window": 16, "stride": 1}
    assert (encode_nsoart(maps, params) == 128).all()


def test_statistics_in_one_pass_equal_those_of_all_values() -> None:
    rng = np.random.default_rng(7)
    pictures = [rng.random((3, 5, n)) for n in (4, 9, 2)]
    together = nsoart.MapStatistics()
    for maps in pictures:
        together.add(maps)
    values = np.concatenate([maps.reshape(3, -1) for maps in pictures], axis=1)
    assert np.allclose(together.mean, values.mean(axis=1))
    assert np.allclose(together.sd, values.std(axis=1))
    merged = nsoart.MapStatistics()
    merged.merge(together)
    merged.merge(nsoart.MapStatistics())
    assert np.allclose(merged.sd, together.sd)


def unit_row(run: str, split: str, housing: str) -> dict[str, str]:
    return {
        "run": run,
        "split": split,
        "scene": "s",
        "housing": housing,
        "terminal": "round",
        "camera": "center",
        "marking": "none",
    }


def spaces_of(rows: list[tuple[dict[str, str], bool]]) -> list[nsoart.UnitSpace]:
    spaces = nsoart.UnitSpaces()
    for row, is_ok in rows:
        spaces.add(row["run"], nsoart.group_of(row), is_ok, row["split"])
    return spaces.found()


def test_unit_space_is_training_ok_then_a_few_then_pooled() -> None:
    rows = [(unit_row(f"a{n}", "train", "plain"), n != 1) for n in range(4)]
    rows += [(unit_row(f"b{n}", "test_housing", "ribbed"), n > 0) for n in range(9)]
    rows += [(unit_row("c", "test", "keyed"), False), (unit_row("d", "validation", "plain"), True)]
    spaces = {space.group[1]: space for space in spaces_of(rows)}
    assert (spaces["plain"].source, spaces["plain"].rows) == ("train", ("a0", "a2", "a3"))
    assert (spaces["ribbed"].source, spaces["ribbed"].rows) == ("few", ("b1", "b2", "b3", "b4", "b5"))
    assert (spaces["keyed"].source, spaces["keyed"].rows) == ("pooled", ())
    [every] = spaces_of([(unit_row("c", "test", "keyed"), False)])
    assert (every.source, every.rows) == ("all", ("c",))


def test_statistics_survive_json() -> None:
    statistics = nsoart.MapStatistics()
    statistics.add(np.random.default_rng(7).random((3, 5, 7)))
    again = nsoart.MapStatistics.from_numbers(json.loads(json.dumps(statistics.as_numbers())))
    assert again.count == statistics.count
    assert (again.mean == statistics.mean).all() and (again.sd == statistics.sd).all()


def test_stored_parameters_apply_to_any_other_picture() -> None:
    rng = np.random.default_rng(7)
    pictures = {run: rng.random((40, 60)) for run in ("a", "b")}
    rows = [(unit_row("a", "train", "plain"), True), (unit_row("b", "train", "ribbed"), True)]
    spaces = spaces_of(rows)
    statistics = {}
    for space in spaces:
        statistics[space.group] = nsoart.MapStatistics()
        statistics[space.group].add(soart3_map(pictures[space.rows[0]], None))
    parameters = nsoart.make_parameters(spaces, statistics, 16, 1)
    photo = Image.fromarray((rng.random((50, 70, 3)) ** 2 * 255).astype(np.uint8))
    plain = np.asarray(nsoart.nsoart_picture(photo, parameters, rows[0][0]))
    ribbed = np.asarray(nsoart.nsoart_picture(photo, parameters, rows[1][0]))
    unknown = np.asarray(nsoart.nsoart_picture(photo, parameters, unit_row("x", "test", "keyed")))
    assert plain.shape == (50, 70, 3)
    assert (plain != ribbed).any()
    assert (unknown == np.asarray(nsoart.nsoart_picture(photo, parameters))).all()
    group = parameters["groups"][0]
    maps = soart3_map(np.asarray(photo.convert("L")) / 255, None)
    z = (maps[0] - group["mean"][0]) / group["sd"][0]
    assert plain[25, 30, 0] == pytest.approx(127.5 * (1 + z[17, 22] / (abs(z[17, 22]) + 2)), abs=0.51)
    with pytest.raises(ValueError, match="expected schema 1"):
        nsoart.nsoart_picture(photo, {**parameters, "schema": 2})
