"""Network namespaces of Linux, each with a network of its own, as the machines of a test."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator


def ip(*words: str) -> bool:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    return done.returncode == 0


@contextlib.contextmanager
def namespaces(count: int, network: str) -> Iterator[list[str]]:
    """Yield the names of namespaces, at `network`.1, .2 and so on; none if they are not permitted here.

    Each has a network device `cable`. All processes in them are killed at the end.
    """
    names = [f"pinsight{os.getpid()}n{number}" for number in range(1, count + 1)]
    try:
        permitted = shutil.which("ip") is not None and all(ip("netns", "add", name) for name in names)
        yield names if permitted and connect(names, network) else []
    finally:
        for name in names if shutil.which("ip") else ():
            kill_all(name)
            ip("netns", "del", name)


def connect(names: list[str], network: str) -> bool:
    """Connect namespaces by a bridge, which is in the first one; false if that is not permitted."""
    first = names[0]
    made = ip("-n", first, "link", "add", "cable", "type", "bridge")
    for number, name in enumerate(names, 1):
        if name != first:
            port = f"port{number}"
            made = made and ip("-n", first, "link", "add", port, "type", "veth", "peer", "cable", "netns", name)
            made = made and ip("-n", first, "link", "set", port, "master", "cable", "up")
        made = made and ip("-n", name, "addr", "add", f"{network}.{number}/24", "dev", "cable")
        made = made and ip("-n", name, "link", "set", "cable", "up") and ip("-n", name, "link", "set", "lo", "up")
    return made


def kill_all(name: str) -> None:
    """Kill all processes in a namespace."""
    pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
    for pid in map(int, pids.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
