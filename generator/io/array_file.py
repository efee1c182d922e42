"""Files of named arrays with a header in JSON (`.npz`), read without unpickling."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

HEADER = "header"
# What reading a damaged file, or one of another program, may raise.
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile)


def pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return the bytes of a file with the arrays, by name, and a header of JSON values with the key `schema`."""
    content = io.BytesIO()
    packed = {HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}
    np.savez_compressed(content, **packed)  # type: ignore[arg-type]
    return content.getvalue()


def unpack(content: Path | io.BytesIO, *schemas: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `pack` returned, from a file or from memory; returns the header, and the arrays by name.

    Raises:
        ValueError: the header's key `schema` is none of `schemas`.
        One of DAMAGED: the content is damaged.
    """
    with np.load(content, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop(HEADER).tobytes())
    if header["schema"] not in schemas:
        raise ValueError(f"schema {header['schema']!r}")
    return header, arrays
