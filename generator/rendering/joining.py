"""Join a Ray cluster for `python -m generator render --cluster`, or start one on this machine alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.scratch import Scratch

_ALONE = "local"
_CLIENT = "ray://"
_PATIENCE_S = 10.0
# Ray's client server ends at its start now and then (ray-project/ray, issue 63202): so many times it is tried.
_TRIES = 3
# Bytes: a path of a socket in it has up to 107 (AF_UNIX), Ray adds up to 62. Ray's own folder is /tmp/ray.
_LONGEST_FOLDER = 45


def address_of(cluster: str) -> str:
    """Return the address that --cluster means, as Ray writes it; `local`: start a cluster on this machine.

    Args:
        cluster: `ray://ADDRESS`, or `ray`: the address in the environment variable RAY_ADDRESS, if there is one.

    Raises:
        InputError: it has another form.
    """
    if cluster == "ray":
        return os.environ.get("RAY_ADDRESS") or _ALONE
    if not cluster.startswith(_CLIENT):
        raise InputError(f"--cluster: expected ray or {_CLIENT}ADDRESS, got {shown(cluster)}")
    return cluster


@contextlib.contextmanager
def joined(cluster: str) -> Iterator[None]:
    """Join a Ray cluster, or start one on this machine; leave or end it afterwards.

    A cluster of this machine alone listens on 127.0.0.1 only, requires a token that only this process and its children
    know, has no dashboard, and keeps its files in a temporary folder.

    Args:
        cluster: as for `address_of`.

    Raises:
        InputError: there is no such cluster.
        ModuleNotFoundError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address_of(cluster)
    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {}
        if address == _ALONE:
            settings = {"include_dashboard": False, "_temp_dir": str(stack.enter_context(_folder()))}
            stack.enter_context(_only_this_machine())
        import ray

        _connect(address, settings)
        try:
            yield
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder with a path short enough for the sockets of Ray."""
    scratch = Scratch()
    if len(os.fsencode(scratch.folder)) > _LONGEST_FOLDER:
        scratch.close()
        scratch = Scratch(Path("/tmp"))
    try:
        yield scratch.folder
    finally:
        for _ in range(_TRIES):
            scratch.close()
            if not scratch.folder.exists():
                break
            time.sleep(1.0)  # ending processes of Ray still write logs


@contextlib.contextmanager
def _only_this_machine() -> Iterator[None]:
    """Let Ray listen on 127.0.0.1 and require a new token, whatever the user's environment says of other clusters."""
    # Ray reads the first one when it is imported; with 0 the machine is called 127.0.0.1.
    wanted = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}
    wanted["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    before = {name: os.environ.pop(name, None) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _connect(address: str, settings: dict[str, Any]) -> None:
    import ray

    host, colon, port = address.removeprefix(_CLIENT).rpartition(":")
    for left in reversed(range(_TRIES)):
        try:
            if colon and port.isdecimal():  # Ray itself would try for minutes
                socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
            ray.init(address, log_to_driver=False, logging_level="ERROR", **settings)
            return
        except Exception as error:  # Ray raises Exception itself, for example where a node starts too slowly
            ray.shutdown()
            if left and address.startswith(_CLIENT) and isinstance(error, ConnectionAbortedError):
                continue
            raise InputError(
                f"--cluster: expected a Ray cluster at {address}, got: {error}: check that it runs, and that "
                "RAY_AUTH_MODE and the token are those of its nodes"
            ) from None
