"""Work in as many processes as there are cores, with results in the order of the work and little of it waiting."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

# Calls a function for each tuple of arguments; yields (first argument, result) in order.
InOrder = Callable[..., Iterator[Any]]


@contextmanager
def processes(count: int | None, worth_it: bool = True) -> Iterator[InOrder]:
    """A function that calls another one for each tuple of arguments, and yields (first argument, result) in order.

    Args:
        count: processes; None: one per core.
        worth_it: whether there is enough to do for a process to start, which takes a second.
    """
    count = count or len(os.sched_getaffinity(0))
    if count == 1 or not worth_it:
        yield lambda function, calls: ((call[0], function(*call)) for call in calls)
        return
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start_worker)
    try:
        yield lambda function, calls: _bounded(pool, function, calls, 3 * count)
    finally:
        pool.shutdown(cancel_futures=True)


def _bounded(
    pool: ProcessPoolExecutor, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], ahead: int
) -> Iterator[Any]:
    """Results in the order of the calls, of which no more than so many are under way."""
    waiting: deque[tuple[Any, Future[Any]]] = deque()
    for call in calls:
        waiting.append((call[0], pool.submit(function, *call)))
        if len(waiting) > ahead:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


def _start_worker() -> None:
    """Ctrl-C is the parent's business; one thread per process, since there is a process per core."""
    import numba

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    numba.set_num_threads(1)
