"""The choice of OK pictures: copies, outliers, sizes, other parts and lights."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.soart import golden as choosing
from generator.soart.estimator import SoartC
from generator.soart.golden import Golden, choose, read_golden, warn_of_doubtful


def values(seed: int, noise: float = 2.5, pins: int = 5, light: float = 0.0) -> np.ndarray:
    """A drawn part, 8-bit grey, of slightly varying pin heights, with its own sensor noise."""
    draws = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:96].astype(float)
    picture = 70 + 40.0 * ((x > 8) & (x < 88) & (y > 8) & (y < 56)) + light * x
    for pin in range(pins):
        centre = 16 + 64 * pin / (pins - 1)
        picture += draws.normal(90, 3) * np.exp(-((x - centre) ** 2 + (y - 32) ** 2) / 12)
        picture += light * 40 * np.exp(-((x - centre - 5) ** 2 + (y - 36) ** 2) / 12)
    return np.clip(picture + draws.normal(0, noise, picture.shape), 0, 255).round().astype(np.uint8)


def chosen(folder: Path, pictures: dict[str, np.ndarray | bytes], keep_outliers: bool = False) -> Golden:
    for name, content in pictures.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            Image.fromarray(content).save(folder / name)
    model = SoartC(window=8)
    golden = choose([read_golden(folder / name, model) for name in sorted(pictures)], model, keep_outliers)
    assert len(model.scores_) == len(golden.kept)
    return golden


def golden_scores(golden: Golden) -> np.ndarray:
    return SoartC(window=8).fit(one.small for one in golden.kept).scores_


def kept(golden: Golden) -> set[str]:
    return {one.path.name for one in golden.kept}


def jpeg(picture: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.repeat(picture[..., None], 3, axis=2)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def good(count: int) -> dict[str, np.ndarray]:
    return {f"ok{n:02d}.png": values(n) for n in range(count)}


@pytest.mark.parametrize("way", ["same", "one level", "brighter by one", "JPEG 50", "JPEG 75", "JPEG 92"])
def test_a_copy_counts_once(tmp_path: Path, way: str) -> None:
    draws = np.random.default_rng(7)
    pictures: dict[str, np.ndarray | bytes] = dict(good(5))
    original = values(2)
    if way.startswith("JPEG"):
        pictures["x.jpg"] = jpeg(original, int(way.split()[1]))
    else:
        change = {"same": 0, "one level": draws.choice([-1, 1], original.shape), "brighter by one": 1}[way]
        pictures["x.png"] = np.clip(original.astype(int) + change, 0, 255).astype(np.uint8)
    golden = chosen(tmp_path, pictures)
    assert kept(golden) == set(good(5)) and list(golden.copies.values()) == ["ok02.png"]
    assert "count once: x." in golden.lines()[0]


@pytest.mark.parametrize("noise", [1.0, 2.5])
@pytest.mark.parametrize("quality", [None, 75, 95])
def test_captures_that_differ_by_sensor_noise_only_all_count(tmp_path: Path, noise: float, quality: int | None) -> None:
    still = values(1, noise=0).astype(float)
    draws = np.random.default_rng(0)
    captures = [(still + draws.normal(0, noise, still.shape)).clip(0, 255).round().astype(np.uint8) for _ in range(6)]
    if quality and noise < 2:
        pytest.skip("JPEG removes so little noise")
    pictures = {
        f"{n}.{'jpg' if quality else 'png'}": jpeg(c, quality) if quality else c for n, c in enumerate(captures)
    }
    golden = chosen(tmp_path, pictures)
    assert len(golden.kept) == 6 and not golden.lines()


def test_fewer_than_three_different_pictures_are_refused(tmp_path: Path) -> None:
    pictures = {f"{n}.png": values(n % 2) for n in range(8)}
    with pytest.raises(ValueError, match=r"at least 3 different OK pictures, got 2, not counting copies \(6\)"):
        chosen(tmp_path, pictures)


@pytest.mark.parametrize("name", ["a.png", "zz.png"])  # first and last of the folder
def test_a_bad_picture_is_set_aside_by_name_and_kept_on_request(tmp_path: Path, name: str) -> None:
    bad = values(50)
    bad[28:38, 44:54] = 250
    golden = chosen(tmp_path, {**good(16), name: bad})
    assert kept(golden) == set(good(16)) and "times the median" in golden.set_aside[name]
    golden = chosen(tmp_path, {**good(16), name: bad}, keep_outliers=True)
    assert name in kept(golden) and any(name in line and line.endswith("kept") for line in golden.lines())


def test_bad_pictures_with_the_same_fault_do_not_hide_each_other(tmp_path: Path) -> None:
    bad = {f"x{n}.png": values(50 + n) for n in range(3)}
    for picture in bad.values():
        picture[28:38, 44:54] = 250
    assert kept(chosen(tmp_path, {**good(20), **bad})) == set(good(20))


@pytest.mark.parametrize("brighter", [15, 40])
def test_bad_pictures_that_are_no_outliers_are_kept_and_named_by_a_warning(tmp_path: Path, brighter: int) -> None:
    bad = {f"x{n}.png": values(50 + n) for n in range(3)}
    for picture in bad.values():
        picture[28:38, 44:54] = np.clip(picture[28:38, 44:54].astype(int) + brighter, 0, 255)
    golden = chosen(tmp_path, {**good(20), **bad})
    warn_of_doubtful(golden, golden_scores(golden))
    if brighter > 15:
        assert set(golden.set_aside) == set(bad) and golden.warnings == []
    else:
        assert kept(golden) == {*good(20), *bad}
        (said,) = golden.warnings
        assert said.startswith(f"warning: 3 of 23 OK pictures have high scores ({', '.join(bad)}), up to ")
        warn_of_doubtful(golden, golden_scores(golden))
        assert golden.warnings == [said]  # what another warning named is not named again


def test_the_unit_space_has_no_picture_that_was_set_aside(tmp_path: Path, monkeypatch) -> None:
    """However many rounds find outliers: the model is fitted to the pictures that are left, the last ones are named."""
    monkeypatch.setattr(choosing, "_stand_out", lambda scores: np.arange(len(scores)) == len(scores) - 1)
    golden = chosen(tmp_path, good(16))
    assert len(golden.set_aside) == choosing.ROUNDS and len(golden.kept) == 16 - choosing.ROUNDS
    assert golden.kept[-1].path.name in golden.lines()[-1] and golden.lines()[-1].endswith("kept")


@pytest.mark.parametrize("keep", [False, True])
def test_more_than_a_quarter_of_outliers_are_kept_with_a_warning(tmp_path: Path, monkeypatch, keep: bool) -> None:
    monkeypatch.setattr(choosing, "_stand_out", lambda scores: np.arange(len(scores)) < 5)
    golden = chosen(tmp_path, good(16), keep)
    assert len(golden.kept) == 16
    assert [line.partition(" OK pictures")[0] for line in golden.lines()] == ["warning: 5 of 16"]


def test_good_pictures_are_not_set_aside(tmp_path: Path) -> None:
    golden = chosen(tmp_path, good(40))
    warn_of_doubtful(golden, golden_scores(golden))
    assert not golden.lines()


def test_a_picture_of_another_size_or_part_is_set_aside(tmp_path: Path) -> None:
    small, other = values(60)[:48, :80], values(61, pins=3)
    golden = chosen(tmp_path, {**good(12), "a_small.png": small, "b_other.png": np.rot90(other, 2)[::-1]})
    assert kept(golden) == set(good(12))
    assert golden.set_aside["a_small.png"] == "its size is 80 x 48 px, most OK pictures have 96 x 64 px"


def test_a_folder_of_two_parts_or_sizes_is_refused(tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:96]
    rings = [128 + 80 * np.sin(np.hypot(x - 40, y - 30) / 2.5) for _ in range(8)]
    others = {
        f"x{n}.png": (ring + np.random.default_rng(n).normal(0, 2.5, ring.shape)).clip(0, 255).astype(np.uint8)
        for n, ring in enumerate(rings)
    }
    with pytest.raises(ValueError, match=r"one type of part in the same light, got 8 of 1[68] that do not look like"):
        chosen(tmp_path, {**good(8), **others})
    golden = chosen(tmp_path, {**good(8), **others}, keep_outliers=True)
    assert any("8 of 16 OK pictures do not look like" in line for line in golden.lines())
    halves = {name: picture[:60] if n % 2 else picture for n, (name, picture) in enumerate(good(8).items())}
    with pytest.raises(ValueError, match="expected OK pictures of one size, got 96 x 64 px, 96 x 60 px"):
        chosen(tmp_path, halves)


def test_half_a_folder_in_another_light_is_kept_with_a_warning(tmp_path: Path) -> None:
    lit = {f"x{n}.png": values(70 + n, light=0.8) for n in range(8)}
    golden = chosen(tmp_path, {**good(8), **lit})
    assert len(golden.kept) == 16
    assert [line.partition(":")[0] for line in golden.lines()] == ["warning"]


def test_pictures_that_hardly_match_each_other_are_named(tmp_path: Path) -> None:
    noises = np.linspace(5, 60, 12)
    golden = chosen(tmp_path, {f"{n:02d}.png": values(n, noise) for n, noise in enumerate(noises)})
    assert len(golden.kept) == 12 and "differ much from each other" in golden.lines()[-1]
    alike = chosen(tmp_path, {f"{n:02d}.png": values(n) for n in range(8)})
    assert alike.lines() == []
