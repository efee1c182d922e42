"""What `python -m generator` says after Ctrl-C, and of empty arguments."""

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from blender_scripts.contract.errors import check_none_is_empty
from generator.__main__ import COMMANDS, main
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("words", "then"),
    [
        (["render", "a.csv"], "resume"),
        (["merge", "a", "--to", "b"], "resume"),
        (["build"], "resume"),
        (["augment", "apply", "a.csv", "--to", "b"], "resume"),
        (["import", "a", "--format", "coco", "--to", "b"], "resume"),
        (["augment", "plan", "a", "-o", "a.csv"], "start anew"),
        (["export", "a", "--format", "coco", "--to", "b"], "start anew"),
        (["push", "a", "me/a", "--dry-run"], "start anew"),
        (["report", "a", "-o", "a.html"], "start anew"),
    ],
)
def test_after_an_interrupt_it_says_whether_the_command_resumes(words, then, monkeypatch, capsys) -> None:
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module(COMMANDS[words[0]][0]), "run", interrupted)
    assert main(words) == 1
    assert capsys.readouterr().err == f"interrupted: repeat the command to {then}\n"


def test_an_interrupt_while_modules_are_imported_is_one_line(monkeypatch, capsys) -> None:
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("generator.__main__.importlib.import_module", interrupted)
    assert main(["design", "a.toml", "-o", "a.csv"]) == 130
    assert capsys.readouterr().err == "interrupted: repeat the command\n"


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["connectors", "--count", "1", "--out", "out"], "out/random_001.toml"),
        (["augment", "plan", "in", "-o", "plan.csv"], "plan.csv"),
    ],
)
def test_a_full_disk_is_an_error_that_names_the_file(words, file, tmp_path, monkeypatch, capsys) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # of an open file, Python states no name

    (tmp_path / "in").mkdir()
    Image.new("L", (64, 32)).save(tmp_path / "in" / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(words) == 2
    said = f"{file}: expected a file or folder that can be read and written, got: No space left on device\n"
    assert capsys.readouterr().err.endswith(said)
    assert not list(tmp_path.rglob("*.part")) and not (tmp_path / file).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", ""], "the command's arguments: expected a value, got an empty text"),
        (["render", "a.csv", "--out", ""], "--out: expected a value, got an empty text"),
        (["build", "a", "--to="], "--to: expected a value, got an empty text"),
    ],
)
def test_an_empty_argument_is_refused(words, said, capsys) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"{said} (a shell variable that is not set?)\n"


def test_a_value_may_end_with_an_equals_sign() -> None:
    check_none_is_empty(["--token=abc=", "--out", "runs/gain=", "-", "--", "a"])


def test_the_script_in_blender_refuses_empty_arguments_too() -> None:
    script = ROOT / "blender_scripts" / "render.py"
    done = subprocess.run([sys.executable, script, "m.csv", "--out", ""], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--out: expected a value, got an empty text" in done.stderr
