"""`python -m studies`: do the runs of the study, and write its page from their results.

    python -m studies --list                            finished and open runs, and how long they take
    python -m studies --only ladder --seeds 1 --time 60
    python -m studies --write                           add new results to the table; write the page and its figures

A finished run is never repeated. The work folder (--work) holds renders, datasets, trainings and new results. A command
may be killed at any time: repeated, it resumes. Several commands may use one work folder at the same time.
"""

from __future__ import annotations

import argparse
import csv
import io
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from studies.plan import SEEDS, SIZES, all_runs
from studies.results import TABLE, ResultError, Results
from studies.run import ROOT, TOPICS, Design, Run, source_text

if TYPE_CHECKING:
    from studies.execution import Execution

PAGE = ROOT / "docs" / "explanation" / "results.md"
RENDER_S = 0.4  # seconds to render one picture and make its dataset row, on two idle cores


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m studies",
        description=__doc__.split("\n\n")[0],
        epilog="topics: " + ", ".join(f"{number} {topic}" for number, topic in TOPICS.items()),
        allow_abbrev=False,
    )
    what = p.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="only list the runs, their states and estimated minutes")
    what.add_argument(
        "--write",
        action="store_true",
        help="start no runs: add new results to the table, and write docs/explanation/results.md from it",
    )
    p.add_argument(
        "--only",
        action="append",
        metavar="TOPIC",
        help="do only runs of this topic (its name, such as views, or its number) or with this text in their names; "
        "may be repeated",
    )
    p.add_argument(
        "--seeds", type=_whole, default=SEEDS, metavar="N", help=f"train with seeds 0 to N-1 (default: {SEEDS})"
    )
    p.add_argument("--time", type=_minutes, metavar="MIN", help="start no run after MIN minutes (default: no limit)")
    p.add_argument(
        "--size",
        choices=tuple(SIZES),
        default="reduced",
        help="size of the study; reduced: a run takes at most 15 minutes on two cores; full: for a graphics card "
        "(default: reduced)",
    )
    p.add_argument(
        "--work",
        type=Path,
        default=ROOT / "out" / "study",
        metavar="DIR",
        help="folder of renders, datasets, trainings and new results (default: out/study)",
    )
    table = "table of all results (default: studies/results.parquet)"
    p.add_argument("--results", type=Path, default=TABLE, metavar="FILE", help=table)
    workers = "number of processes that render pictures and build datasets (default: one per core)"
    p.add_argument("--workers", type=_whole, default=0, help=workers)
    p.add_argument("--threads", type=_whole, default=1, help="number of CPU threads of a training (default: 1)")
    device = "device of the trainings; auto: a GPU if there is one (default: auto)"
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help=device)
    return p


def _whole(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 to 1024, got {text!r}")
    return int(text)


def _minutes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected minutes above 0, got {text!r}")
    return value


class InputError(Exception):
    """A user's mistake; the message is one line."""


def chosen(runs: Sequence[Run], only: Sequence[str] | None) -> list[Run]:
    """Select the runs that match at least one word of `only`; all runs if `only` is empty.

    Args:
        runs: All runs.
        only: Words, each a topic, a topic's number, or a part of a run's name.

    Returns:
        The matching runs, in the order of `runs`.

    Raises:
        InputError: A word matches no run.
    """
    if not only:
        return list(runs)
    found: list[Run] = []
    for word in only:
        topics = {str(n): n for n in TOPICS} | {topic: n for n, topic in TOPICS.items()}
        if word in topics:
            some = [run for run in runs if run.question == topics[word]]
        else:
            some = [run for run in runs if word.casefold() in run.name.casefold()]
        if not some:
            raise InputError(
                f"--only: expected a topic ({', '.join(TOPICS.values())}), a topic's number from 1 to 8, or "
                f"part of a run's name, got {word!r}"
            )
        found += some
    return [run for run in runs if run in found]


def render_seconds(runs: Sequence[Run], execution: Execution) -> dict[str, float]:
    """Estimate the rendering time of each design that is not built yet: seconds by the text "NAME: COUNT pictures"."""
    found = {}
    for design in dict.fromkeys(d for run in runs for r in (run, run.init) if r for d in r.data.designs):
        if not execution.workshop.is_built(design):
            count = pictures_of(design)
            found[f"{design.name}: {count} pictures"] = RENDER_S * count
    return found


def pictures_of(design: Design) -> int:
    """Count the pictures of a design. Manifests of SPECs (.toml) are made in memory; no file is written."""
    from generator.doe.design import design as manifest_of
    from generator.doe.spec_reader import read_spec

    limits, count = dict(design.rows), 0
    for source in design.sources:
        spec = source.endswith(".toml")
        text = manifest_of(read_spec(ROOT / source), ROOT / "scenes") if spec else source_text(source)
        for split, rows in Counter(row["split"] for row in csv.DictReader(io.StringIO(text))).items():
            count += min(rows, limits.get(split, rows))
    return count


def listing(runs: Sequence[Run], execution: Execution) -> list[str]:
    """Write lines: each run with key, minutes, name and state, then each design to render, then the totals."""
    from studies.execution import distinct

    lines: list[str] = []
    shown: dict[str, str] = {}
    for run in runs:
        state = "done" if execution.is_done(run) else "failed" if execution.error_of(run) else "to do"
        if run.key in shown:
            state += f" (the same run as {shown[run.key]})"
        shown.setdefault(run.key, run.name)
        lines.append(f"{run.key}  {run.seconds / 60:4.0f} min  {run.name}: {state}")
    once = distinct(runs)
    left = [run for run in once if not execution.is_done(run)]
    renders = render_seconds(left, execution)
    lines += [f"to render: {name}, {seconds / 60:.0f} min" for name, seconds in renders.items()]
    hours = (sum(run.seconds for run in left) + sum(renders.values())) / 3600
    lines.append(
        f"{len(once) - len(left)} of {len(once)} runs done; the other runs take about {hours:.1f} hours on "
        "one idle core (rendering: on two cores)"
    )
    return lines


def say(text: str) -> None:
    """Print a line of text above the progress bar."""
    tqdm.write(text, file=sys.stdout)


def run_all(runs: Sequence[Run], execution: Execution, minutes: float | None) -> int:
    """Do the runs not yet done, with a progress bar; returns 1 if one failed, otherwise 0.

    After `minutes` no further run is started, and the one under way is finished; None: no limit.
    """
    from studies.execution import distinct, execute

    left = [run for run in distinct(runs) if not execution.is_done(run)]
    total = sum(run.seconds for run in left)
    form = "{percentage:3.0f}% |{bar}| {elapsed} so far{postfix}"
    with tqdm(total=total, bar_format=form, disable=None) as bar:
        ended = len(distinct(runs)) - len(left)
        bar.set_postfix_str(f"{ended} of {len(distinct(runs))} runs done")

        def advance(seconds: float) -> None:
            nonlocal ended
            ended += 1
            spent = bar.format_dict["elapsed"]
            bar.update(seconds)
            rest = spent * (total - bar.n) / max(bar.n, 1)
            bar.set_postfix_str(f"{ended} of {len(distinct(runs))} runs ended, about {rest / 3600:.1f} h left")

        outcome = execute(execution, runs, minutes, advance)
    print(f"{len(outcome.done)} runs done now, {len(outcome.failed)} failed, {len(outcome.left)} left")
    for run, why in outcome.failed:
        print(f"failed: {run.name}: {why}", file=sys.stderr)
    if outcome.done:
        print("add the results to the table and rewrite docs/explanation/results.md with: python -m studies --write")
    return 1 if outcome.failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = parser().parse_args(argv)
    try:
        if args.write:
            from studies.page import write

            results = Results(args.results, args.work / "results")
            if new := results.fold():
                print(f"{len(new)} new results added to {args.results}")
            for line in write(results.documents(), PAGE, ROOT / "docs" / "images"):
                print(line)
            return 0
        from studies.execution import Execution

        runs = chosen(all_runs(args.size, args.seeds), args.only)
        execution = Execution(args.work, args.results, args.workers, args.threads, args.device, report=say)
        if args.list:
            print("\n".join(listing(runs, execution)))
            return 0
        return run_all(runs, execution, args.time)
    except (InputError, ResultError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: repeat the command to resume", file=sys.stderr)
        return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops a run as Ctrl-C does
    sys.exit(main())
