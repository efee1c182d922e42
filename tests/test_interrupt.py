"""Ctrl-C while the modules of a command are imported ends every command of `python -m` with one line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from trainer.__main__ import COMMANDS

INTERRUPTED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"


def ended(folder: Path, library: str, module: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m module`, in which the import of `library` is interrupted."""
    (folder / f"{library}.py").write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    words = [sys.executable, "-m", module]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("module", "library"),
    [
        *((f"trainer.{name}", "argparse") for name in COMMANDS),
        ("trainer", "argparse"),
        ("trainer.vit", "torch"),
        ("generator", "argparse"),
        ("studies", "argparse"),
        ("studies.reality_gap", "argparse"),
    ],
)
def test_an_interrupt_during_the_imports_is_one_line(tmp_path: Path, module: str, library: str) -> None:
    done = ended(tmp_path, library, module)
    assert (done.stdout, done.stderr) == ("", "interrupted: repeat the command\n")
    assert done.returncode == -signal.SIGINT  # which a shell reports as 130


def test_an_interrupt_while_the_generator_imports_a_command_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    words = [sys.executable, "-m", "generator", "inspect", "a.png", "--golden", "b", "-o", "c"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted: repeat the command\n")


def test_other_errors_keep_their_traceback(tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise RuntimeError('broken')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    words = [sys.executable, "-m", "trainer.export"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "Traceback" in done.stderr and "RuntimeError: broken" in done.stderr
