"""The stand-in rows of the benchmark of many rows are valid renders."""

from pathlib import Path

from benchmarks.bench_rows import measured, shared_renders
from generator.__main__ import main
from tests.conftest import SCENES


def test_stand_in_rows_can_be_checked_built_and_published(tmp_path: Path, capsys) -> None:
    shared_renders(tmp_path / "renders", 7)
    scenes = ("--scenes", str(SCENES))
    assert main(["check", str(tmp_path / "renders" / "manifests" / "design.csv"), *scenes]) == 0
    assert main(["build", str(tmp_path / "renders"), "--to", str(tmp_path / "set"), *scenes, "--workers", "1"]) == 0
    assert main(["push", str(tmp_path / "set"), "owner/name", "--dry-run"]) == 0
    assert "rows: train 6, validation 1" in capsys.readouterr().out


def test_a_command_is_measured() -> None:
    used = measured("-c", "data = bytearray(200_000_000); data[::4096] = bytes(len(data[::4096]))")
    assert 200 < used.megabytes < 300 and used.seconds >= 0.0 < used.processor
