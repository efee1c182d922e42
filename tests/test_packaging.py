"""The pins and the declared dependencies agree."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.+!]*)")


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
