"""SHA-256 of the parts of a scene file that pictures depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from blender_scripts.contract.housings import Housing
from blender_scripts.contract.photographs import Backdrop

# Keys of a scene file that no pixel depends on: an edit of them renders nothing again.
_NOT_IN_PICTURES = ("description", "tolerance", "datum")


def picture_values(data: Mapping[str, Any]) -> bytes:
    """The values of a scene file that pictures depend on, in the file's order, as the bytes of JSON text."""
    values = {key: value for key, value in data.items() if key not in _NOT_IN_PICTURES}
    return json.dumps(values, default=str).encode()


def scene_sha256(content: bytes, housings: Mapping[str, Housing], backdrop: Backdrop | None) -> str:
    """SHA-256 (hex) of a scene file and of the CAD files and photographs that it names.

    Args:
        content: the file's bytes; or its `picture_values`, for a hash of only what pictures depend on.
        housings: the scene's housings, by name.
        backdrop: the scene's photographs; None: it has none.
    """
    digest = hashlib.sha256(content)
    for housing in housings.values():
        if housing.cad is not None:
            digest.update(housing.cad.file.sha256.encode())
    for photograph in backdrop.photographs if backdrop else ():
        digest.update(f"{photograph.name} {photograph.sha256}".encode())
    return digest.hexdigest()
