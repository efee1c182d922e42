"""The manifests of the inspection's station never change: docs/explanation/soart_detection.md was made with them."""

import hashlib
import sys

from benchmarks import soart_plan

KEPT = {
    "soart_tuning.csv": "0471b782952f99ab4dca56047a7d53795d32edd0915328c20bb96a1168f84ecb",
    "soart_ok.csv": "b82341d9053ae4a498cbcf8b5d609bb993df096eb6a2028304cc3557720ef1cc",
    "soart_defects.csv": "5e36b686424d13827314964ac8f727d8cfdf7cd3737b1cb69a5c4a3eb4e5632b",
}


def test_the_plan_writes_the_manifests_that_were_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["soart_plan", "--to", str(tmp_path / "new")])
    assert soart_plan.main() == 0
    written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "new").iterdir()}
    assert written == KEPT
