"""`render --cluster ray` on two machines, of which one is killed half-way, and a third that joins late.

The machines are network namespaces with a /tmp/ray of their own where these are permitted, else processes.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, assert_same_files
from tests.generator.rendering.test_cluster import COUNT, blender, content, rendered_alone
from tests.generator.rendering.test_render import command, wait_for
from tests.namespaces import namespaces

NETWORK = "10.78.0"
# The head notices a lost node within two seconds, not within twenty.
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "2",
}


class Machines:
    """Starts and kills nodes; each has a name in its environment variable NODE, and one CPU.

    Args:
        names: namespaces of the machines; without any, all nodes are processes of this machine.
    """

    def __init__(self, names: list[str]) -> None:
        self._names, self._count = names, 0
        self._port = 6379 if names else 20_000 + os.getpid() % 10_000
        self.head = f"{self._address(0)}:{self._port}"

    def _address(self, number: int) -> str:
        return f"{NETWORK}.{number + 1}" if self._names else "127.0.0.1"

    def run(self, words: list[str], number: int = 0, **environment: str) -> subprocess.Popen[str]:
        """Start a program on a machine."""
        if self._names:
            words = ["ip", "netns", "exec", self._names[number], *words]
        known = {name: text for name, text in os.environ.items() if not name.startswith("RAY_")}
        return subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=known | SETTINGS | environment,
        )

    def start(self, name: str) -> None:
        """Start a node on the next machine; the first is the head."""
        number, self._count = self._count, self._count + 1
        words = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus", "1"]
        words += ["--node-ip-address", self._address(number), "--object-store-memory", "80000000"]
        words += ["--address", self.head] if number else ["--head", "--port", str(self._port)]
        if number and self._names:
            words = ["sh", "-c", 'mount -t tmpfs ray /tmp/ray && exec "$@"', "sh", *words]
        self.run(words, number, NODE=name)

    @staticmethod
    def kill(name: str = "") -> None:
        """Kill all processes of a node; without a name, of all nodes."""
        mark = f"RAY_AUTH_TOKEN={SETTINGS['RAY_AUTH_TOKEN']}\0".encode(), f"NODE={name}".encode() if name else b""
        for path in Path("/proc").glob("[0-9]*/environ"):
            if int(path.parent.name) != os.getpid() and all(each in content(path) for each in mark):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(path.parent.name), signal.SIGKILL)


@pytest.fixture
def machines() -> Iterator[Machines]:
    Path("/tmp/ray").mkdir(exist_ok=True)
    with namespaces(3, NETWORK) as names:
        found = Machines(names)
        try:
            yield found
        finally:
            found.kill()


@pytest.mark.soak
def test_rows_in_flight_on_a_killed_machine_are_rendered_by_others_and_no_others_again(
    machines: Machines, tmp_path: Path
) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    log.touch()
    # The killed machine waits in the middle of its third row, and the first one, before the last rows, for the late.
    code = (
        f"begun = lambda node: open({str(log)!r}).read().count(node)\n"
        f"        open({str(log)!r}, 'a').write(f'{{row}} ' + os.environ['NODE'] + '\\n')\n"
        "        while os.environ['NODE'] == 'lost' and begun('lost') == 3: time.sleep(0.01)\n"
        f"        while os.environ['NODE'] == 'first' and row > {COUNT - 8} and not begun('late'): time.sleep(0.05)"
    )
    machines.start("first")
    whole = rendered_alone(tmp_path)
    machines.start("lost")
    words = command(tmp_path / "rows.csv", out, "--cluster", "ray", "--blender", blender(tmp_path, code))
    driver = machines.run(words, RAY_ADDRESS=machines.head)
    wait_for(lambda: log.read_text().count("lost") == 3 or driver.poll() is not None, seconds=300)
    assert driver.poll() is None, driver.communicate()
    machines.kill("lost")
    finished = {path.stem for path in (out / "records").glob("*.json")}
    machines.start("late")
    told, words = driver.communicate(timeout=300)
    assert driver.returncode == 0, words
    assert f"{COUNT} rendered, 0 already there, 0 failed" in told
    assert_same_files(out, whole)
    begun = [line.split() for line in log.read_text().splitlines()]
    twice = {row for row, count in Counter(row for row, _ in begun).items() if count > 1}
    lost = [row for row, node in begun if node == "lost"]
    # Only what was in flight: of the task's rows the killed machine may have finished some, but it returned none.
    assert lost[-1] in twice <= set(lost) and len(begun) == COUNT + len(twice)
    assert not {f"r{row}" for row in twice} & finished
    assert {node for _, node in begun} == {"first", "lost", "late"}
