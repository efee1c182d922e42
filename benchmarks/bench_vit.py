"""The ViT's trainer against its bare network and transformers' Trainer, in one run: `python -m benchmarks.bench_vit`.

- *bare*: forward, loss and backward of the same network on batches that lie in memory as float pictures, made before
  the clock starts; nothing is drawn, augmented, counted, clipped or logged. `bare + step` adds clipping and the
  optimizer's step.
- *trainer*: an epoch as `python -m trainer.vit` trains it, from uint8 pictures: order, close-ups and augmentation
  drawn in the loader's thread, learning rate, clipping, step, counts, progress bar. Once more without that thread.
- *transformers*: its `Trainer` with the same network, from float pictures in memory. It knows picture labels only, so
  there the trainer learns from labels only too. Decoding, augmenting, reporting and saving it does not do.

A machine's speed wanders by a fifth within minutes. So after each step of the trainer, and of transformers, the bare
network takes the same step, and each ratio is taken within such a pair; medians over the steps with the 95 % interval
of the median. The loader draws the next batch while the trainer's step goes on, as in any epoch, not in the bare one's
time. Where other work keeps the cores busy, the clock says little of a thread beside another one: so the CPU time of
the thread that trains is told too. The last line is the result as JSON.
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
    """The pairs of each contender's epochs, which take turns; every other time in reverse."""
    pairs: dict[str, list[Pair]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            pairs[name] += contenders[name]()
    return pairs


def median(values: list[float]) -> dict[str, float | list[float] | None]:
    """The median and its 95 % interval by order statistics; None where there are too few values for one."""
    interval = stats.quantile_test(values, q=statistics.median(values), p=0.5).confidence_interval(0.95)
    ends = [float(interval.low), float(interval.high)]
    return {
        "median": round(statistics.median(values), 4),
        "interval": [round(end, 4) for end in ends] if np.isfinite(ends).all() else None,
    }


def shown(value: dict[str, Any]) -> str:
    """A median with its interval."""
    ends = value["interval"]
    return f"{value['median']:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def milliseconds(spent: list[Spent]) -> dict[str, float]:
    """Medians by kind of time."""
    return {
        f"{field}_ms": round(1e3 * statistics.median(getattr(one, field) for one in spent), 2)
        for field in ("wall", "thread", "process")
    }


def speeds(pairs: list[Pair], against: str = "bare") -> dict[str, list[float]]:
    """Of each step: the bare network's time over the contender's, by the clock and by the training thread's CPU."""
    return {
        field: [getattr(getattr(pair, against), field) / getattr(pair.own, field) for pair in pairs]
        for field in ("wall", "thread")
    }


def compare(title: str, pairs: dict[str, list[Pair]], ratios: dict[str, dict[str, list[float]]]) -> dict[str, object]:
    """Print and return times per step, and medians of ratios.

    Args:
        title: What the steps were.
        pairs: By contender.
        ratios: By name, a contender's speed over another's at each step, as `speeds` says it.
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
            f"  {name:<34} {spent['wall_ms']:8.1f} ms a step; CPU: training thread {spent['thread_ms']:8.1f}, "
            f"all {spent['process_ms']:8.1f}"
        )
        result[name] = spent
    for name, by_field in ratios.items():
        found = {field: median(values) for field, values in by_field.items()}
        print(f"  speed of {name:<36} {shown(found['wall'])}; by CPU time {shown(found['thread'])}")
        result[f"speed: {name}"] = found
    return result


def over(first: dict[str, list[float]], second: dict[str, list[float]]) -> dict[str, list[float]]:
    """Ratios of two contenders' speeds, each against the bare network beside it, step by step."""
    return {field: [a / b for a, b in zip(first[field], second[field], strict=True)] for field in first}


def measured(threads: int, steps: int, repeats: int, batch_size: int, folder: Path) -> dict[str, object]:
    """All comparisons with one number of threads."""
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
        print(f"  an epoch's end writes for {1e3 * end:.0f} ms; losses differ by {difference:.1e}")
        results[title] = {
            **found,
            "epoch_end_ms": round(1e3 * end, 1),
            "loss_difference": difference,
        }
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="steps of an epoch with pictures (12)")
    parser.add_argument("--repeats", type=int, default=2, help="epochs of each; six steps give an interval (2)")
    parser.add_argument("--batch-size", type=int, default=16, help="pictures per step (16)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="numbers of CPU threads (1)")
    options = parser.parse_args(argv)
    if min(options.steps, options.repeats, options.batch_size, *options.threads) < 1:
        parser.error("expected numbers from 1")
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
