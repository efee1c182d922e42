"""The hash of the code changes when any of its modules changes."""

import shutil
from pathlib import Path

from generator.io.source_code import PACKAGES, ROOT, code_sha256


def test_a_change_in_any_module_changes_the_hash(tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        for package in PACKAGES:
            only_code = shutil.ignore_patterns("*.pyc", "__pycache__")
            shutil.copytree(ROOT / package, tmp_path / name / package, ignore=only_code)
        return tmp_path / name

    here = code_sha256()
    assert code_sha256(copy("same")) == here
    root = copy("changed")
    modules = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
    assert len(modules) > 100
    seen = {here}
    for path in modules:
        content = path.read_bytes()
        path.write_bytes(content + b"\n")
        code_sha256.cache_clear()
        seen.add(code_sha256(root))
        path.write_bytes(content)
    assert len(seen) == len(modules) + 1
    modules[0].rename(modules[0].with_name("renamed.py"))
    code_sha256.cache_clear()
    assert code_sha256(root) not in seen
    code_sha256.cache_clear()
    assert code_sha256() == here
