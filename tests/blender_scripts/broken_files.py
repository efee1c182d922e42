"""Damage files at random (bytes, lines, cells), check the messages, and limit the processor time of a refusal."""

import contextlib
import random
import re
import signal
from collections.abc import Iterator

from tests.mutations import BYTES, lines_changed

_JUNK = (
    *("", " ", '"', '""', ",", ";", "=", "@", ":", "-1", "0", "1e999", "nan", "９", "9" * 5000, "[" * 400),
    *("{}", "true"),
    *("r2c5", "bent@r2c5", "missing@r1c1;missing@r1c1", "../x", "a/b", "\t", "\x07", "\x1b[31m", "\u2028", "日本", "é"),
    *("0x" + "f" * 5000, "1979-05-27", "inf", "''", "\\", "#", "]", "[[a]]", "\ufeff", "\r", "text=Q", "connector_3x9"),
)


@contextlib.contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Fail if the block takes more processor time; load by other processes does not count."""

    def too_long(*_: object) -> None:
        raise AssertionError(f"took more than {seconds} s of processor time")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def assert_problems(problems: list[str], name: str) -> None:
    """Assert that each problem is one printable line with file, line number, `expected` and `got`."""
    assert problems
    for problem in problems:
        assert re.fullmatch(rf"{re.escape(name)}:[1-9]\d* [^:]+: expected .+, got.+", problem), problem
        assert problem.isprintable() and len(problem) < 700


def mutations(content: bytes, seed: int, count: int, separator: str) -> Iterator[bytes]:
    """`count` damaged versions of a file, with one to four changes each; the same for the same seed."""
    for number in range(count):
        source = random.Random(f"{seed} {number}")
        broken = content
        for _ in range(source.choice((1, 1, 1, 2, 4))):
            change = source.choice((*BYTES, _with_junk, *[lines_changed] * 3, *[None] * 6))
            broken = _in_cells(broken, source, separator) if change is None else change(source, broken)
        yield broken


def _with_junk(source: random.Random, content: bytes) -> bytes:
    at = source.randrange(len(content) + 1)
    return content[:at] + source.choice(_JUNK).encode() + content[at:]


def _in_cells(content: bytes, source: random.Random, separator: str) -> bytes:
    lines = content.decode("utf-8", "replace").split("\n")
    place, other = source.randrange(len(lines)), source.randrange(len(lines))
    mine, its = lines[place].split(separator), lines[other].split(separator)
    i, j = source.randrange(len(mine)), source.randrange(len(its))
    if source.random() < 0.5:
        mine[i] = source.choice(_JUNK)
    elif place != other:
        mine[i], its[j] = its[j], mine[i]
        lines[other] = separator.join(its)
    lines[place] = separator.join(mine)
    return "\n".join(lines).encode()
