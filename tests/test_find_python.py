"""`.ci/find_python` accepts a candidate that runs and has the right version, whatever its name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WANTED = (ROOT / ".python-version").read_text().strip()
REFUSES = "#!/bin/sh\necho 'version not installed' >&2\nexit 127\n"
# A shell script that answers `-c CODE VERSION` like a Python of another version.
TOO_OLD = "#!/bin/sh\nexit 1\n"
BASE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
RUNS = f'#!/bin/sh\nexec "{BASE}" "$@"\n'

pytestmark = pytest.mark.skipif("{}.{}".format(*sys.version_info) != WANTED, reason=f"needs to run on Python {WANTED}")


@pytest.fixture
def machine(tmp_path):
    """A checkout with .ci, and a PATH with dirname, cat, id and the programs that a test adds."""
    (tmp_path / "checkout").mkdir()
    shutil.copytree(ROOT / ".ci", tmp_path / "checkout" / ".ci")
    shutil.copy(ROOT / ".python-version", tmp_path / "checkout")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("dirname", "cat", "id", "sh"):
        (programs / name).symlink_to(shutil.which(name))
    return tmp_path


def executable(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)


def find(machine: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [machine / "checkout" / ".ci" / "find_python"],
        env={"PATH": str(machine / "bin"), "HOME": str(machine / "home"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_took(result: subprocess.CompletedProcess[str], where: str) -> None:
    assert result.returncode == 0, result.stderr
    assert os.path.realpath(result.stdout.strip()) == BASE
    assert where in result.stderr


def test_a_shim_that_refuses_is_passed_over(machine):
    executable(machine / "bin" / f"python{WANTED}", REFUSES)
    executable(machine / "bin" / "python3", RUNS)
    assert_took(find(machine), "python3 on PATH")


def test_the_versioned_name_comes_first(machine):
    executable(machine / "bin" / f"python{WANTED}", RUNS)
    executable(machine / "bin" / "python3", RUNS)
    assert_took(find(machine), f"python{WANTED} on PATH")


def test_pyenv_versions_are_found_without_pyenv_on_path(machine):
    executable(machine / "bin" / "python3", TOO_OLD)
    executable(machine / "home" / ".pyenv" / "versions" / f"{WANTED}.0" / "bin" / f"python{WANTED}", REFUSES)
    executable(machine / "home" / ".pyenv" / "versions" / f"{WANTED}.9" / "bin" / f"python{WANTED}", RUNS)
    assert_took(find(machine), "pyenv's versions folder")


def test_uv_is_asked_where_its_python_lies(machine):
    executable(machine / "bin" / "uv", f'#!/bin/sh\n[ "$1 $2" = "python find" ] && echo "{BASE}"\n')
    assert_took(find(machine), "uv python find")


def test_a_python_inside_a_virtual_environment_gives_its_base(machine):
    subprocess.run([BASE, "-m", "venv", "--without-pip", machine / "active"], check=True)
    active = machine / "active" / "bin"
    assert_took(find(machine, PATH=f"{active}:{machine / 'bin'}"), "on PATH")


def test_the_users_own_choice_comes_before_all(machine):
    executable(machine / "mine", RUNS)
    executable(machine / "bin" / f"python{WANTED}", REFUSES)
    assert_took(find(machine, PYTHON=str(machine / "mine")), "PYTHON")


def test_a_wrong_choice_is_an_error_and_nothing_else_is_taken(machine):
    executable(machine / "mine", TOO_OLD)
    executable(machine / "bin" / f"python{WANTED}", RUNS)
    result = find(machine, PYTHON=str(machine / "mine"))
    assert (result.returncode, result.stdout) == (1, "")
    assert f"PYTHON={machine / 'mine'}: expected a Python {WANTED} that runs, got another" in result.stderr


def test_the_last_resort_is_uv_installing_one(machine):
    """Without any Python 3.13, uv (here already installed) installs it, and its path is then taken from uv."""
    executable(machine / "bin" / "python3", TOO_OLD)
    installed = machine / "installed"
    executable(
        machine / "checkout" / ".uv" / "bin" / "uv",
        f'#!/bin/sh\ncase "$2" in\n'
        f'find) [ -e "{installed}" ] && echo "{BASE}" ;;\n'
        f'install) : > "{installed}" ;;\n'
        "esac\n",
    )
    assert_took(find(machine), "uv python install")


def test_a_failing_download_says_what_to_do(machine):
    executable(machine / "bin" / "python3", TOO_OLD)
    executable(machine / "checkout" / ".uv" / "bin" / "uv", "#!/bin/sh\nexit 2\n")
    result = find(machine)
    assert (result.returncode, result.stdout) == (1, "")
    assert "make PYTHON=" in result.stderr and f"install Python {WANTED}" in result.stderr
