"""`python -m generator render`: render a manifest in a pool of renderer processes, or on a cluster.

Each process runs `blender -b -P blender_scripts/render.py`, so the pictures are the same as from that command.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.scratch import Scratch
from blender_scripts.manifest.claim import Claim, claim
from blender_scripts.manifest.reader import read_manifest
from generator.doe.check import add_scenes_argument, check_photographs
from generator.io.shard import Shard, shard_of
from generator.rendering.engines import SCRIPT, renderer_command
from generator.rendering.failures import ending, failure, no_plan, not_started, refusal
from generator.rendering.joining import address_of, joined
from generator.rendering.pool import Pool
from generator.rendering.shards import finished

if TYPE_CHECKING:
    from generator.rendering.cluster import Scheduler

# While one process keeps the card busy, the other builds its scene and takes the truth.
_GPU_WORKERS = 2


def _count(low: int, high: int | None = None) -> Callable[[str], int]:
    limits = f"of at least {low}" if high is None else f"from {low} to {high}"

    def read(text: str) -> int:
        # int() refuses thousands of digits; no count has twenty.
        if not (text.isdecimal() and len(text) < 20 and low <= int(text) <= (high or int(text))):
            raise argparse.ArgumentTypeError(f"expected an integer {limits}, got {shown(text)}")
        return int(text)

    return read


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator render` to its parser."""
    add = parser.add_argument
    add("manifest", type=Path, nargs="?", help="the CSV manifest")
    out = "folder for images, masks and records (default: renders/NAME for a manifest NAME.csv)"
    add("--out", type=Path, metavar="DIR", help=out)
    add_scenes_argument(parser)
    workers = "number of renderer processes; with --cluster the largest number of tasks at a time "
    workers += f"(default: one per core; {_GPU_WORKERS} with --device gpu)"
    add("--workers", type=_count(1), metavar="N", help=workers)
    engine = "local: the package bpy of this Python; blender: a Blender executable (default: local if bpy is installed)"
    add("--engine", choices=("local", "blender"), help=engine)
    blender = "the Blender executable (default: environment variable PINSIGHT_BLENDER, else blender on the PATH)"
    add("--blender", metavar="PATH", help=blender)
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--rows", metavar="A:B", help="render only the rows A to B - 1, counted from 0")
    shard = (
        "render only part I (0 to N - 1) of N parts of the rows; `auto` or `auto/N` takes I from a SLURM job array, "
    )
    shard += "an indexed Kubernetes job or an AWS Batch array job; `generator merge` joins the folders"
    some.add_argument("--shard", metavar="I/N", help=shard)
    force = "render finished rows again (default: keep them), and replace files that the renderer did not write"
    add("--force", action="store_true", help=force)
    scale = "compute each pixel of the mask as the most frequent value of K x K samples, K from 1 to 8 (default: 1)"
    add("--mask-scale", type=_count(1, 8), default=1, metavar="K", help=scale)
    gpu = "render on the CPU or a graphics card; pixel values differ slightly between the two (default: cpu)"
    add("--device", choices=("cpu", "gpu"), default="cpu", help=gpu)
    dry = "check everything, print the graphics cards, the device used and the rows left to render; render nothing"
    add("--dry-run", action="store_true", help=dry)
    add("--no-denoise", action="store_true", help="do not denoise; render eight times the samples of the manifest")
    add(
        "--depth",
        action="store_true",
        help="also write depth/<run>.npy: for each pixel, distance of its surface along the camera's optical axis, mm",
    )
    add(
        "--normal", action="store_true", help="also write normal/<run>.npy: surface normals as unit vectors, world axes"
    )
    recycle = "number of rows after which a renderer process is replaced by a new one, as its memory grows with each "
    recycle += "picture; fewer need less memory, but more time for starts (default: 500)"
    add("--recycle", type=_count(1), default=500, metavar="N", help=recycle)
    cluster = "render on a Ray cluster: `ray` joins the one at the environment variable RAY_ADDRESS, or starts one on "
    cluster += "this machine; `ray://ADDRESS` joins a cluster by the address of its Ray Client server"
    add("--cluster", metavar="ray[://ADDRESS]", help=cluster)
    threads = "with --cluster: number of render threads of a task, and of the CPUs that it reserves (default: 1)"
    add("--threads", type=_count(1), metavar="N", help=threads)
    mixed = "with --cluster: accept nodes with another version of Blender or kind of processor than the first node, "
    add("--mixed", action="store_true", help=f"{mixed}although their pictures may differ in the last bits")
    script = "print the path of the script render.py, for use with `blender -b -P`, and render nothing"
    add("--print-script", action="store_true", help=script)


def run(options: argparse.Namespace) -> int:
    """Check all inputs, then render in renderer processes; returns 1 if a row failed, else 0."""
    if options.print_script:
        print(SCRIPT)
        return 0
    if options.manifest is None:
        raise InputError("manifest: expected the CSV manifest to render, got nothing")
    _check_cluster(options)
    manifest = read_manifest(options.manifest, options.scenes)
    check_photographs(manifest)
    shard = shard_of(options.shard) if options.shard else None
    if shard is not None:
        options.rows = _rows_of(shard, len(manifest.runs))
    rows = _chosen(options.rows, len(manifest.runs))
    claimed = claim(manifest, options.scenes, options.out, options.force)
    output = claimed.output
    done = _on_cluster(options, claimed, rows) if options.cluster else _here(options, claimed, rows)
    if done is None:
        return 0
    for problem in done.problems:
        print(f"failed: {problem}", file=sys.stderr)
    if shard is not None and not done.problems:
        runs = [manifest.runs[row].run for row in rows]
        whole = finished(output, shard, manifest.path, manifest.content, runs)
        print(f"shard {shard} is finished: {whole.write(output)}")
    print(f"{done.rendered} rendered, {done.kept} already there, {len(done.problems)} failed, in {output.root}")
    return 1 if done.problems else 0


def _check_cluster(options: argparse.Namespace) -> None:
    for name in ("mixed", "threads") if options.cluster is None else ("shard", "dry_run"):
        if getattr(options, name):
            wanted, got = ("--cluster", "none") if options.cluster is None else ("no --cluster", "both")
            raise InputError(f"--{name.replace('_', '-')}: expected {wanted} with it, got {got}")
    if options.cluster is not None:
        address_of(options.cluster)


def _here(options: argparse.Namespace, claimed: Claim, rows: list[int]) -> Pool | None:
    """Render in processes of this machine; None after a dry run."""
    command = renderer_command(options.engine, options.blender)
    manifest, output, cores = claimed.manifest, claimed.output, os.cpu_count() or 1
    workers = min(options.workers or (_GPU_WORKERS if options.device == "gpu" else cores), len(rows))
    threads = max(1, cores // workers)
    with contextlib.closing(Scratch()) as scratch:
        # A copy, since renderers start at any time and the user may edit the file meanwhile.
        snapshot = scratch.folder / manifest.path.name
        snapshot.write_bytes(manifest.content)
        command += [str(snapshot), "--scenes", str(options.scenes), "--out", str(output.root)]
        command += ["--validated", manifest.checked_sha256, *_passed_on(options, threads)]
        plan = _checked(options, claimed, command, scratch.folder)
        if options.dry_run:
            print(f"{plan}\nrenderer processes: {workers}, threads of each: {threads}")
            return None
        _begin(claimed, rows)
        names = [run.run for run in manifest.runs]
        pool = Pool([*command, "--feed"], rows, names, options.recycle, scratch.folder)
        try:
            pool.work(workers)
        except BaseException:
            output.sweep()
            raise
    return pool


def _on_cluster(options: argparse.Namespace, claimed: Claim, rows: list[int]) -> Scheduler:
    """Render on the nodes of a cluster."""
    names = [run.run for run in claimed.manifest.runs]
    with joined(options.cluster):
        from generator.rendering import cluster

        job = cluster.job_of(options, claimed, _passed_on(options, options.threads or 1))
        scheduler = cluster.Scheduler(job, claimed.output, rows, names, options)
        scheduler.work(lambda: _begin(claimed, rows))
    return scheduler


def _begin(claimed: Claim, rows: Sequence[int]) -> None:
    """Print the render folder, and write copies of the manifest and its scenes into it."""
    output, runs = claimed.output, claimed.manifest.runs
    if claimed.is_default:
        print(f"rendering into the folder {output.root} (--out DIR chooses another one)", flush=True)
    notes = [output.note_other_renderers(runs[row] for row in rows)]
    notes += [claimed.note_edited({runs[row].run for row in rows})]
    sys.stderr.writelines(f"{note}\n" for note in notes if note)
    claimed.save_inputs()
    output.sweep()


def _passed_on(options: argparse.Namespace, threads: int) -> list[str]:
    """Return the options for the renderer processes: all that affect the pictures, threads, and --force."""
    passed = ["--mask-scale", str(options.mask_scale), "--threads", str(threads), "--device", options.device]
    flags = ("force", "no_denoise", "depth", "normal")
    return passed + [f"--{flag.replace('_', '-')}" for flag in flags if getattr(options, flag)]


def _checked(options: argparse.Namespace, claimed: Claim, command: Sequence[str], scratch: Path) -> str:
    """Let a renderer check what only it knows, before anything is written: its graphics cards, versions and settings.

    Returns:
        What it would do, for --dry-run.

    Raises:
        InputError: finished rows were made with another version or other settings, there is no graphics card, or the
            program is no Blender.
        RenderError: the renderer failed.
    """
    checks = ["--compare"] if claimed.is_default and not options.force and claimed.output.has_records() else []
    checks += ["--dry-run"] if options.dry_run or options.device == "gpu" else []
    if not checks:
        return ""
    asked = [*command, "--rows", options.rows or ":", *checks]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    try:
        done = subprocess.run(asked, capture_output=True, text=True, errors="replace", env=environment, check=False)
    except OSError as error:
        raise not_started(command, error) from None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 2:
        raise refusal(command, lines)
    if done.returncode:
        expected = "a renderer that checks finished rows and graphics cards"
        raise failure(command[0], expected, ending(done.returncode, lines), done.stdout + done.stderr)
    plans = [json.loads(line)["plan"] for line in done.stdout.splitlines() if line.startswith('{"plan"')]
    if options.dry_run and not plans:
        raise no_plan(command, lines)
    return "\n".join(plans)


def _rows_of(shard: Shard, count: int) -> str:
    """A shard's rows, of `count`, as --rows takes them."""
    if shard.count > count:
        raise InputError(
            f"--shard {shard}: expected at most as many shards as the manifest has rows, {count}, got {shard.count}"
        )
    rows = shard.rows(count)
    return f"{rows[0]}:{rows[-1] + 1}"


def _chosen(text: str | None, count: int) -> list[int]:
    if text is None:
        return list(range(count))
    first, colon, last = text.partition(":")
    if not colon or not all(piece == "" or piece.isdecimal() for piece in (first, last)):
        raise InputError(f"--rows: expected A:B such as 0:100 (rows 0 to 99), got {text!r}")
    rows = list(range(count))[int(first) if first else None : int(last) if last else None]
    if not rows:
        raise InputError(f"--rows: expected rows from 0 to {count - 1}, got none in {text}")
    return rows
