"""`.ci/side_by_side.py` runs commands at the same time, and names their lines; if one fails, the others go on."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

SIDE_BY_SIDE = Path(__file__).resolve().parents[1] / ".ci" / "side_by_side.py"


def started(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, SIDE_BY_SIDE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def side_by_side(*words: str) -> tuple[int, list[str], str]:
    process = started(*words)
    out, err = process.communicate(timeout=60)
    return process.returncode, out.splitlines(), err


def test_commands_run_at_the_same_time_and_their_lines_are_named(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    wait = "touch {}; until test -e {}; do sleep 0.05; done; echo met; echo twice >&2"
    first, second = wait.format(there, here), wait.format(here, there)
    code, lines, _ = side_by_side("vit", "sh", "-c", first, "--", "gauge", "sh", "-c", second)
    assert code == 0
    assert sorted(line for line in lines if "$" not in line) == [
        "gauge: met",
        "gauge: twice",
        "vit: met",
        "vit: twice",
    ]
    assert [line[: line.index("$")] for line in lines if "$" in line] == ["vit: ", "gauge: "]


def test_one_command_alone_is_run_and_named():
    assert side_by_side("gauge", "echo", "one") == (0, ["gauge: $ echo one", "gauge: one"], "")


def test_if_one_fails_the_other_ends_and_the_code_says_so(tmp_path):
    kept = tmp_path / "kept"
    code, _, _ = side_by_side("vit", "sh", "-c", "exit 3", "--", "gauge", "sh", "-c", f"sleep 0.3; touch {kept}")
    assert code == 3 and kept.exists()
    assert side_by_side("vit", "true", "--", "gauge", "sh", "-c", "kill -9 $$")[0] == 137


def test_a_missing_program_is_named_before_anything_starts(tmp_path):
    code, lines, err = side_by_side("vit", "touch", str(tmp_path / "made"), "--", "gauge", "no-such-program")
    assert (code, lines) == (127, [])
    assert err == "no-such-program: expected a program, got no such file\n"
    assert not (tmp_path / "made").exists()


def test_a_signal_ends_all_commands():
    process = started("vit", "sh", "-c", "echo $$; exec sleep 60", "--", "gauge", "sh", "-c", "echo $$; exec sleep 60")
    assert process.stdout is not None
    numbers = set[str]()
    while len(numbers) < 2:
        if found := re.fullmatch(r"\w+: (\d+)\n", process.stdout.readline()):
            numbers.add(found.group(1))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    time.sleep(0.1)
    for number in numbers:
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            continue
        raise AssertionError(f"process {number} still runs")


def test_a_signal_that_comes_while_the_commands_start_ends_them_too(tmp_path):
    kept = tmp_path / "kept"
    process = started("vit", "sh", "-c", f"sleep 1; touch {kept}", "--", "gauge", "sh", "-c", f"sleep 1; touch {kept}")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("vit: $")  # said before the first command starts
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    time.sleep(1.2)
    assert not kept.exists()
