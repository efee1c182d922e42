"""The manifests of the inspection's station are what `benchmarks.soart_plan` writes."""

import hashlib
import sys

from benchmarks import soart_plan
from tests.conftest import ROOT

TUNING = "0471b782952f99ab4dca56047a7d53795d32edd0915328c20bb96a1168f84ecb"


def test_the_plan_writes_the_manifests_that_are_kept_and_the_one_that_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["soart_plan", "--to", str(tmp_path)])
    assert soart_plan.main() == 0
    for name in ("soart_ok.csv", "soart_defects.csv"):
        assert (tmp_path / name).read_bytes() == (ROOT / "manifests" / name).read_bytes()
    assert hashlib.sha256((tmp_path / "soart_tuning.csv").read_bytes()).hexdigest() == TUNING
