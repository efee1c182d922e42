"""Pictures of a telecentric camera show the silhouettes that their truth states."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import SCENES, records, run_renderer, write_manifest

ADDRESS = "r2c9"


def test_the_silhouette_of_a_dark_pin_in_a_bright_housing_is_that_of_its_truth(tmp_path: Path) -> None:
    text = (SCENES / "connector_3x9.toml").read_text("utf-8")
    text = text.replace("[camera]\n", "[camera]\ntelecentric = true\nfield_mm = 50.0\n")
    text = text.replace("full_well_e = 12000.0", "full_well_e = 0.0").replace("[0.90, 0.89, 0.86]", "[0.0, 0.0, 0.0]")
    text = re.sub(r"color = \[0\.01\d, 0\.01\d, 0\.01\d\]", "color = [0.8, 0.8, 0.8]", text)
    (tmp_path / "connector_3x9.toml").write_text(text, "utf-8")
    columns = "run split part seed scene housing terminal defects camera lighting marking samples width height"
    looks = ("left", "dome", "none", 8, 256, 128)
    rows = [
        (run, "train", 1, 5, "plain", "round", f"{defect}@{ADDRESS}{values}", *looks)
        for run, defect, values in (("there", "bent", ":tilt_deg=8,azimuth_deg=90"), ("gone", "missing", ""))
    ]
    path = write_manifest(tmp_path / "rows.csv", rows, tuple(columns.split()))
    done = run_renderer(path, "--out", tmp_path / "out", "--scenes", tmp_path)
    assert done.returncode == 0, done.stderr
    there, gone = (
        np.asarray(Image.open(tmp_path / "out" / "images" / f"{run}.png").convert("L")).astype(float)
        for run in ("there", "gone")
    )
    record = records(tmp_path / "out")["there"]
    assert record["camera"]["model"] == "telecentric"
    pin = next(each for each in record["positions"] if each["address"] == ADDRESS)
    x1, y1, x2, y2 = pin["boxes"]["visible"]
    truth = np.asarray(Image.open(tmp_path / "out" / "masks" / "there.png")) == pin["index"]
    dark = gone - there > 0.5 * np.median(gone[truth])
    # The pin's half with the tip: its foot darkens the floor beside it.
    half = round(0.5 * (x1 + x2))
    dark, truth = dark[:, half:], truth[:, half:]
    assert truth.sum() > 40
    assert np.count_nonzero(dark & truth) > 0.9 * np.count_nonzero(dark | truth)
    down, across = np.nonzero(dark)
    found = [down.min(), half + across.max() + 1, down.max() + 1]
    rows_of_half = np.nonzero(truth)[0]
    assert np.abs(found - np.array([rows_of_half.min(), x2, rows_of_half.max() + 1])).max() <= 1.0
    assert y1 - 0.5 <= rows_of_half.min() and rows_of_half.max() + 1 <= y2 + 0.5
