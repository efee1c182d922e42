"""Open ONNX files with onnxruntime: those of gauges and of feature networks, and the one that a training just wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError


@dataclass(frozen=True)
class OnnxSession:
    """An ONNX file, ready to compute.

    Attributes:
        session: onnxruntime's session, on the CPU.
        stated: the file's metadata, texts by key.
        sha256: SHA-256 of the file, in hex.
    """

    session: Any
    stated: Mapping[str, str]
    sha256: str


def open_onnx(path: Path, extra: str, threads: int = 0) -> OnnxSession:
    """Read an ONNX file.

    Args:
        path: the file.
        extra: the extra of this package that installs onnxruntime, for the message.
        threads: number of threads of onnxruntime; 0: one per core.

    Raises:
        InputError: onnxruntime is not installed, or the file cannot be read or is no ONNX file.
    """
    try:
        import onnxruntime  # takes a second to import; --help does not need it
    except ImportError:
        raise InputError(
            f"{path}: expected the package onnxruntime to read it, got none: `pip install '.[{extra}]'` in a clone of "
            "the repository installs it"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait must not keep a core that another program could use.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        content = path.read_bytes()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        stated = dict(session.get_modelmeta().custom_metadata_map)
    except OSError as error:
        raise InputError(f"{path}: expected an ONNX file, got: {error.strerror or error}") from None
    except Exception as error:  # onnxruntime raises several types of its own on damaged files
        raise InputError(f"{path}: expected an ONNX file, got {error}") from None
    return OnnxSession(session, stated, hashlib.sha256(content).hexdigest())
