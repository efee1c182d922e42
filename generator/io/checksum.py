"""The SHA-256 of a file."""

import hashlib
from pathlib import Path


def sha256_of(file: Path) -> str:
    """Compute the SHA-256 of a file, in hex, without reading all of it at once.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
