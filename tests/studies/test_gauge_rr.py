"""The study of a gauge's capability: its manifest, and figures of made measures."""

import numpy as np
import pandas as pd
import pytest
import torch

from blender_scripts.contract.connector import read_connector
from blender_scripts.manifest.reader import read_manifest
from studies.gauge_capability import Capability, Design, _figures, capability, features, production_scatter, tables
from studies.gauge_rr import PAGE, ROOT, STUDY, TYPE_1, Look, manifest
from studies.page import marked
from tests.trainer.gauge.gauge_tables import table
from trainer.core import adaptation
from trainer.core.errors import InputError
from trainer.core.run_folder import save_tensors

CONNECTOR = read_connector(ROOT / "scenes" / "connector_3x9.toml")
LOOK = Look("connector_3x9", "plain", "round", "ring", 512, 8)
NOISE, PLACING, KEPT = 0.01, 0.02, 0.04


def test_the_manifest_is_balanced_and_can_be_rendered(tmp_path):
    path = tmp_path / "rr.csv"
    path.write_text(manifest(CONNECTOR, LOOK, Design(3, 2, 2, 4)), "utf-8")
    runs = read_manifest(path, ROOT / "scenes").runs
    study = pd.DataFrame([run.row() for run in runs if run.split == STUDY])
    assert len(study) == 3 * 2 * 2 * 3 and set(study.groupby(["part", "fixture"]).size()) == {6}
    assert study.groupby("fixture").part.nunique().eq(1).all() and study.seed.nunique() == 12
    assert study.groupby("part").defects.nunique().eq(1).all() and study.defects.nunique() == 3
    repeated = [run for run in runs if run.split == TYPE_1]
    assert len(repeated) == 4 * 3 and len({run.fixture for run in repeated}) == 1
    assert {(run.width, run.height, run.samples) for run in runs} == {(512, 256, 8)}


def measured(placing: float = PLACING, captures: int = 3) -> pd.DataFrame:
    """12 parts of 20 pins in 3 placings and some captures, with known deviations."""
    source = np.random.default_rng(3)
    base = table(sigma=0.0)
    kept = source.normal(0, KEPT, len(base))
    shown = []
    for fixture in range(3):
        moved = source.normal(0, placing, len(base))
        for _ in range(captures):
            found = base.true_dx + kept + moved + source.normal(0, NOISE, len(base))
            shown.append(base.assign(fixture=100 * base.part + fixture, found_dx=found))
    return pd.concat(shown, ignore_index=True)


def test_figures_are_those_of_the_made_measures():
    pins = measured()
    one = pins[(pins.part == 0) & (pins.fixture == 0)]
    found = _figures("dx", pins, measured(placing=0.0), one, CONNECTOR, "round")
    assert found["noise"] == pytest.approx(NOISE, rel=0.1)
    assert found["placing"] == pytest.approx(PLACING, rel=0.15) and found["pose"] == pytest.approx(PLACING, rel=0.2)
    assert found["network"] == pytest.approx(KEPT, rel=0.15)
    assert found["percent"] == pytest.approx(100 * 6 * found["grr"] / 0.8)
    assert found["capable_30"] == pytest.approx(0.8 * found["percent"] / 30)
    assert found["slope"] == pytest.approx(1.0, abs=0.02) and found["cg"] > 0
    written = tables([Capability("g", "center", "dx", 256, 5.2, **found)])
    assert f"| center | dx | {found['slope']:.3f} |" in written and len(written.split("\n\n")) == 2
    assert written.split("\n\n")[1] in marked(PAGE.read_text("utf-8"), "gauge R&R", written)


def test_a_pin_that_one_capture_lacks_is_left_out():
    pins = measured(captures=2)
    assert features(pins, "dx").feature.nunique() == 240
    pins.loc[0, "present"] = 0.1
    assert features(pins, "dx").feature.nunique() == 239
    assert features(pins.assign(determined_retraction=False), "retraction") is None


def test_scatter_of_production():
    assert production_scatter(CONNECTOR, "round", "dx") == pytest.approx(np.hypot(0.03, 6.3 * np.tan(np.radians(0.4))))
    assert production_scatter(CONNECTOR, "round", "true_position") is None


def test_an_adapted_gauge_is_refused(tmp_path, adapted_run):
    with pytest.raises(InputError, match="expected a run that was not adapted"):
        capability(adapted_run, tmp_path, CONNECTOR, LOOK.terminal, 512, Design(3, 2, 2, 4))


@pytest.fixture
def adapted_run(tmp_path):
    """Folder with the weights and the seal of an adapted run."""
    source, out = tmp_path / "run", tmp_path / "adapted"
    for folder in (source, out):
        folder.mkdir()
    save_tensors(source / "best.safetensors", {"weight": torch.zeros(2)}, {})
    adaptation.copy(source, out, [])
    adaptation.seal(source, out, {"views": {}})
    return out
