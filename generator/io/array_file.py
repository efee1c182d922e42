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
    """Return the content of a file with these arrays by name; `header` is written as JSON."""
    content = io.BytesIO()
    packed = {HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}
    np.savez_compressed(content, **packed)  # type: ignore[arg-type]
    return content.getvalue()


def unpack(content: Path | io.BytesIO, schema: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read header and arrays of what `pack` returned, from a file or from memory.

    Raises:
        ValueError: the header's key `schema` is not `schema`. A damaged content raises any of DAMAGED.
    """
    with np.load(content, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop(HEADER).tobytes())
    if header["schema"] != schema:
        raise ValueError(f"schema {header['schema']!r}")
    return header, arrays
