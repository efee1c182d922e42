"""Run many calls of a function in one process per core; the results are returned in the order of the calls."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

# in_order(function, tuples of arguments) yields (first argument, result) of each call, in the order of the calls.
InOrder = Callable[..., Iterator[Any]]


@contextmanager
def processes(count: int | None, worth_it: bool = True) -> Iterator[InOrder]:
    """Context manager that starts processes and gives a function, `in_order(function, calls)`, that works in them.

    `in_order` calls `function` with each tuple of arguments in `calls`, and yields (first argument, result) of each
    call, in the order of the calls. `function` has to be one that pickle finds: at the top level of a module. An
    exception in a call is raised when its result is due.

    Args:
        count: number of processes; None: one per core.
        worth_it: whether there is work enough for several processes, whose start takes a second; False: calls run in
            this process.
    """
    count = count or len(os.sched_getaffinity(0))
    if count == 1 or not worth_it:
        with _one_thread():
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
    """Yield results in the order of the calls, with at most `ahead` calls waiting or running."""
    waiting: deque[tuple[Any, Future[Any]]] = deque()
    for call in calls:
        waiting.append((call[0], pool.submit(function, *call)))
        if len(waiting) > ahead:
            first, future = waiting.popleft()
            yield first, future.result()
    for first, future in waiting:
        yield first, future.result()


def _start_worker() -> None:
    """Prepare a process: ignore Ctrl-C, which the parent handles; use one thread, since there is a process per core."""
    import numba

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    numba.set_num_threads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Context manager in which Numba has one thread: with more, each call of a parallel kernel leaves 7 kB unfreed."""
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)
