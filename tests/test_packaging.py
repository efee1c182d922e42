"""The pinned versions match the declared dependencies, and the files of an installed wheel can render."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.+!]*)")


def test_nobody_is_told_to_install_the_package_from_an_index_which_does_not_have_it():
    folders = ("blender_scripts", "generator", "trainer", "studies", "benchmarks", "docs")
    kinds = (".md", ".py", ".yaml", ".sbatch", ".j2")
    files = [path for name in folders for path in (ROOT / name).rglob("*.*") if path.suffix in kinds]
    files += [*ROOT.glob("*.md"), ROOT / "Makefile"]
    told = re.compile(r"pip install +['\"]?pinsight\b")
    assert not [str(path) for path in files if told.search(path.read_text("utf-8"))]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    matches = [PIN.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(matches), "constraints.txt holds exact versions and nothing else"
    return {canonicalize_name(match[1]): match[2] for match in matches}


def test_every_declared_dependency_is_pinned_at_a_version_that_its_declaration_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [Requirement(line) for group in (project["dependencies"], *extras.values()) for line in group]
    pinned = pins()
    outside = [
        str(requirement)
        for requirement in declared
        if requirement.name != project["name"]
        and not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]
    assert not outside


def test_the_installer_itself_is_not_pinned():
    assert not {"pip", "setuptools", "wheel", "pinsight"} & set(pins())


def test_all_installs_every_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")
    assert Requirement(everything).extras == set(extras)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the project's wheel installs, and no other files of the project."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "pinsight"
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site-packages")
    return folder / "site-packages"


def run_installed(installed: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, env=environment, check=False)


def test_an_installed_wheel_renders_by_the_script_that_it_prints(installed: Path, tmp_path: Path) -> None:
    generator = [sys.executable, "-P", "-m", "generator", "render"]
    told = run_installed(installed, tmp_path, *generator, "--print-script")
    script = installed / "blender_scripts" / "render.py"
    assert told.returncode == 0 and told.stdout == f"{script}\n", told.stderr
    columns = "run,split,seed,scene,housing,terminal,defects,camera,lighting,marking,width,height,samples"
    row = "one,train,1,header_2x8,plain,square,,center,ring,none,32,32,1"
    (tmp_path / "m.csv").write_text(f"{columns}\n{row}\n", "utf-8")
    blender = os.environ.get("PINSIGHT_BLENDER", "blender")
    done = run_installed(installed, tmp_path, blender, "-b", "-P", str(script), "--", "m.csv")
    assert done.returncode == 0 and "1 rendered" in done.stdout, done.stderr
    assert (tmp_path / "renders" / "m" / "images" / "one.png").is_file()
    again = run_installed(installed, tmp_path, *generator, "m.csv", "--engine", "blender")
    assert again.returncode == 0 and "0 rendered, 1 already there" in again.stdout, again.stderr


def test_an_installed_wheel_has_the_pages_templates(installed: Path, tmp_path: Path) -> None:
    templates = {
        path.relative_to(ROOT) for path in (*ROOT.glob("generator/*/templates/*"), *ROOT.glob("trainer/*/templates/*"))
    }
    assert len(templates) > 8
    assert not [str(path) for path in templates if not (installed / path).is_file()]
    code = (
        "from generator.reporting.pages import _environment as e; print(e('trainer.vit').get_template('run.html.j2'))"
    )
    done = run_installed(installed, tmp_path, sys.executable, "-P", "-c", code)
    assert done.returncode == 0 and "run.html.j2" in done.stdout, done.stderr


def run_without(libraries: list[str], module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module as a command in a Python that lacks these libraries."""
    code = (
        f"import runpy, sys; sys.modules |= dict.fromkeys({libraries!r}); sys.argv[1:] = {list(arguments)!r}; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["design", "build", "augment", "import", "export", "push", "report"])
def test_a_command_without_its_extra_names_it_in_one_line(command):
    lacking = ["yaml", "pyarrow", "pandas", "scipy", "datasets", "jinja2"]
    done = run_without(lacking, "generator", command, "--help")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("expected the extra 'data' (pip install '.[data]' in a clone of the repository), got ")


def test_the_trainer_without_its_extra_names_it():
    done = run_without(["torch"], "trainer.predict", "--help")
    assert done.returncode == 1
    assert "that `pip install '.[train]'` installs in a clone of the repository, got no torch" in done.stderr
