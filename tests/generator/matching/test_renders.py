"""Renders for a match: one that fails is one line, and exit code 1."""

import argparse
import sys
from pathlib import Path

import pytest

from generator import __main__ as program
from generator.matching import match
from generator.matching.renders import Shot, Wanted, render_all
from generator.rendering import render
from tests.conftest import SCENES


def test_a_render_that_fails_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = SCENES / "connector_3x9.toml"
    shot = Shot(path, path.read_text("utf-8"), "plain", "round", "center", "ring", "none", tmp_path, 1)

    def fail(options: argparse.Namespace) -> int:
        print("failed: first000: the renderer ended with signal SIGKILL: no luck", file=sys.stderr)
        return 1

    monkeypatch.setattr(render, "run", fail)
    monkeypatch.setattr(match, "run", lambda options: len(render_all(shot, [Wanted()], "first")))
    assert program.main(["match", "photos", "--scene", "connector_3x9", "-o", "matched.toml"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    said, _, log = line.removesuffix(")").partition(" (whole output: ")
    assert said == (
        "connector_3x9.toml: rendering for the match: expected every render to succeed, got: 1 of 1 failed (first: "
        "first000: the renderer ended with signal SIGKILL: no luck)"
    )
    assert "no luck" in Path(log).read_text()
    Path(log).unlink()
