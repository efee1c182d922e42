"""SHA-256 of this project's code: a repeated command reuses a stored result only if the same code made it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The scene files that come with this project.
SCENES = ROOT / "scenes"
# The packages of this project whose code can affect results of `generator`.
PACKAGES = ("generator", "blender_scripts")


@cache
def code_sha256(root: Path = ROOT) -> str:
    """Return the SHA-256 (hex) of the names and bytes of all modules in PACKAGES; it is computed once per process."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
