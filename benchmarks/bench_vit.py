"""Speed of the ViT's trainer, its bare network and transformers' Trainer: `python -m benchmarks.bench_vit`.

- *bare*: forward, loss and backward of the same network on batches of float pictures, made in memory before the clock
  starts; no sampling, augmentation, counting, clipping or logging. `bare + step` adds clipping and the optimizer's
  step.
- *trainer*: an epoch of `python -m trainer.vit` from uint8 pictures: order, close-ups and augmentation drawn in the
  loader's thread, learning rate, clipping, step, counts, progress bar. A second measurement is without that thread.
- *transformers*: its `Trainer` with the same network, from float pictures in memory, without decoding, augmenting,
  reporting or saving. It supports picture labels only, so the trainer compared with it learns from picture labels only.

A machine's speed varies by a fifth within minutes. Therefore the bare network does the same step right after each step
of the trainer or of transformers, and each ratio is between the two times of such a pair. Medians over the steps are
printed, each with its 95 % interval. The loader draws the next batch during the trainer's step, as in any epoch, not
during the bare step. On a busy machine wall time says little about two threads, so the CPU time of the training thread
is printed too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.steps_in_turn import Pair, Setting, Spent, epoch_end_seconds


def rounds(contenders: dict[str, Callable[[], list[Pair]]], repeats: int) -> dict[str, list[Pair]]:
    """Run each contender's epoch `repeats` times, in turn; returns all pairs of step times by the contender's name."""
    pairs: dict[str, list[Pair]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            pairs[name] += contenders[name]()
    return pairs


def median(values: list[float]) -> dict[str, float | list[float] | None]:
    """Return the `median` and its 95 % `interval` by order statistics; None as interval for too few values."""
    interval = stats.quantile_test(values, q=statistics.median(values), p=0.5).confidence_interval(0.95)
    ends = [float(interval.low), float(interval.high)]
    return {
        "median": round(statistics.median(values), 4),
        "interval": [round(end, 4) for end in ends] if np.isfinite(ends).all() else None,
    }


def shown(value: dict[str, Any]) -> str:
    """Return as text what `median` returned: the median, and its interval, if known, in brackets."""
    ends = value["interval"]
    return f"{value['median']:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def milliseconds(spent: list[Spent]) -> dict[str, float]:
    """Return medians in ms: `wall_ms`, `thread_ms` (CPU time of the training thread), `process_ms` (of the process)."""
    return {
        f"{field}_ms": round(1e3 * statistics.median(getattr(one, field) for one in spent), 2)
        for field in ("wall", "thread", "process")
    }


def speeds(pairs: list[Pair], against: str = "bare") -> dict[str, list[float]]:
    """Return, by the clocks `wall` and `thread`, each pair's time of the field `against` divided by that of `own`."""
    return {
        field: [getattr(getattr(pair, against), field) / getattr(pair.own, field) for pair in pairs]
        for field in ("wall", "thread")
    }


def compare(title: str, pairs: dict[str, list[Pair]], ratios: dict[str, dict[str, list[float]]]) -> dict[str, object]:
    """Print and return median times per step, and medians of speed ratios.

    Args:
        title: Printed above the table.
        pairs: Pairs of step times (`Pair`) of each contender.
        ratios: By name, one contender's speed over another's at each step, as `speeds` returns it.
    """
    count = len(next(iter(pairs.values())))
    print(f"{title}, {count} steps each")
    result: dict[str, object] = {"steps": count}
    every = [pair for some in pairs.values() for pair in some]
    times = {name: milliseconds([pair.own for pair in some]) for name, some in pairs.items()}
    times |= {
        "bare": milliseconds([pair.bare for pair in every]),
        "bare + step": milliseconds([pair.bare_step for pair in every]),
    }
    for name, spent in times.items():
        print(
            f"  {name:<34} {spent['wall_ms']:8.1f} ms a step; CPU ms: training thread {spent['thread_ms']:8.1f}, "
            f"all threads {spent['process_ms']:8.1f}"
        )
        result[name] = spent
    for name, by_field in ratios.items():
        found = {field: median(values) for field, values in by_field.items()}
        print(f"  speed ratio {name:<33} {shown(found['wall'])} by wall time, {shown(found['thread'])} by CPU time")
        result[f"speed: {name}"] = found
    return result


def over(first: dict[str, list[float]], second: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return, by clock (`wall`, `thread`), the ratios first / second, step by step, of two results of `speeds`."""
    return {field: [a / b for a, b in zip(first[field], second[field], strict=True)] for field in first}


def measured(threads: int, steps: int, repeats: int, batch_size: int, folder: Path) -> dict[str, object]:
    """Run all comparisons with `threads` threads, `repeats` epochs of `steps` steps; returns the results by title."""
    results: dict[str, object] = {}
    for title, close_ups in (("pictures with close-ups", False), ("close-ups only", True)):
        setting = Setting(steps, threads, close_ups=close_ups, boxes=True, batch_size=batch_size)
        difference = Setting(1, threads, close_ups=close_ups, boxes=True, batch_size=batch_size).loss_difference()
        inline_loader = partial(setting.own, thread=False)
        pairs = rounds({"trainer": setting.own, "trainer, no thread": inline_loader}, repeats)
        threaded, inline = (speeds(some) for some in pairs.values())
        found = compare(
            f"{threads} threads, {title}",
            pairs,
            {
                "trainer / bare": threaded,
                "trainer / bare + step": speeds(pairs["trainer"], "bare_step"),
                "loader's thread / none": over(threaded, inline),
            },
        )
        end = epoch_end_seconds(setting)
        print(f"  an epoch's files take {1e3 * end:.0f} ms; loss of trainer / bare network - 1: {difference:.1e}")
        results[title] = {**found, "epoch_end_ms": round(1e3 * end, 1), "loss_difference": difference}
    setting = Setting(steps, threads, close_ups=False, boxes=False, batch_size=batch_size)
    title = "labels only"
    pairs = rounds(
        {
            "trainer": setting.own,
            "transformers": lambda: setting.transformers(folder),
            "trainer, no augmentation": lambda: setting.own(augment=False),
        },
        repeats,
    )
    own, other, plain = (speeds(some) for some in pairs.values())
    results[title] = compare(
        f"{threads} threads, {title}",
        pairs,
        {
            "trainer, no augmentation / transformers": over(plain, other),
            "trainer / transformers": over(own, other),
            "trainer / bare": own,
            "transformers / bare": other,
        },
    )
    return results


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="steps of an epoch of whole pictures (default: 12)")
    repeats = "number of epochs of each trainer; a 95 % interval needs at least six steps in all (default: 2)"
    parser.add_argument("--repeats", type=int, default=2, help=repeats)
    parser.add_argument("--batch-size", type=int, default=16, help="pictures per step (default: 16)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="numbers of CPU threads (default: 1)")
    options = parser.parse_args(argv)
    if min(options.steps, options.repeats, options.batch_size, *options.threads) < 1:
        got = f"{options.steps}, {options.repeats}, {options.batch_size} and {options.threads}"
        parser.error(f"expected 1 or more for --steps, --repeats, --batch-size and --threads, got {got}")
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for threads in options.threads:
            results[f"{threads} threads"] = measured(
                threads, options.steps, options.repeats, options.batch_size, Path(name)
            )
    print(json.dumps({"benchmark": "trainer.vit", "batch_size": options.batch_size, **results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
