"""Which code made a result: what a repeated command finds ready is taken only where the same code made it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The scene files that come with this project.
SCENES = ROOT / "scenes"
# Everything that generator/ can import of this project, itself included.
PACKAGES = ("generator", "blender_scripts")


@cache
def code_sha256(root: Path = ROOT) -> str:
    """SHA-256 of the name and the bytes of every module below PACKAGES, read once per process."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(root)} {len(content)}\n".encode() + content)
    return digest.hexdigest()
