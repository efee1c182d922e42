"""Speed of `render --cluster ray` with two nodes of one CPU each, as a multiple of the speed with one; goal: 1.8.

    python -m benchmarks.bench_cluster [--rows 60] [--repeat 3] [--width 256 --height 128 --samples 16]

The nodes are Ray nodes of this machine, which needs two free cores; each has one worker process with one render
thread. Beside them stands the limit that this machine sets: two renderer processes that know nothing of each other, and
one. A speed is that from the eighth picture to the last, so that the start of Ray and Blender does not count. Of
`--repeat` renders of each kind, in turn, the median counts. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.bench_render import ROOT, write_manifest

GOAL = 1.8
# Pictures during which a renderer may still be starting.
FIRST = 8
# Ray reads these when it is imported. With the first one all nodes listen on 127.0.0.1 only.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# Ray gives its workers a niceness of 15 otherwise.
os.environ |= {"RAY_worker_niceness": "0"}
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def cluster_of(nodes: int) -> Iterator[str]:
    """Start a Ray cluster of nodes with one CPU each; yields its address."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1)
        yield str(cluster.address)
    finally:
        cluster.shutdown()


def run(*commands: list[str], **environment: str) -> None:
    """Run commands at the same time. Raises RuntimeError if one fails."""
    running = [
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, **environment})
        for words in commands
    ]
    if sum(abs(process.wait()) for process in running):
        raise RuntimeError("expected exit code 0 of every renderer, got another")


def speed(kind: str, count: int, manifest: Path, rows: int, folder: Path) -> float:
    """Render a manifest with `count` nodes of a cluster, or `count` separate processes; returns pictures per second."""
    if kind == "cluster":
        words = [sys.executable, "-m", "generator", "render", str(manifest), "--out", str(folder), "--engine", "local"]
        with cluster_of(count) as address:
            run([*words, "--cluster", "ray"], RAY_ADDRESS=address)
    else:
        words = [sys.executable, "blender_scripts/render.py", "--", str(manifest), "--threads", "1"]
        parts = [f"{rows * part // count}:{rows * (part + 1) // count}" for part in range(count)]
        run(*([*words, "--out", str(folder / part.replace(":", "_")), "--rows", part] for part in parts))
    written = sorted(path.stat().st_mtime for path in folder.glob("**/records/*.json"))
    return (len(written) - FIRST) / (written[-1] - written[FIRST - 1])


def main() -> None:
    """Print the speed with one node and with two, their ratio, and the ratio of separate processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=60, metavar="N", help="pictures of a render (default: %(default)s)")
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="renders of each kind (default: %(default)s)"
    )
    for name, default in (("width", 256), ("height", 128), ("samples", 16)):
        parser.add_argument(f"--{name}", type=int, default=default, help="of each picture (default: %(default)s)")
    options = parser.parse_args()
    speeds: dict[tuple[str, int], list[float]] = {(kind, n): [] for kind in ("cluster", "separate") for n in (1, 2)}
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_manifest(Path(folder), options.rows, options.width, options.height, options.samples)
        for turn in range(options.repeat):
            for (kind, count), found in speeds.items():
                out = Path(folder) / f"{turn}_{kind}_{count}"
                found.append(speed(kind, count, manifest, options.rows, out))
                print(f"{kind:8} {count}: {found[-1]:6.2f} pictures/s", flush=True)
    middle = {key: statistics.median(found) for key, found in speeds.items()}
    ratios = {kind: middle[kind, 2] / middle[kind, 1] for kind in ("cluster", "separate")}
    print(f"two nodes to one: {ratios['cluster']:.2f} (goal: {GOAL}); separate processes: {ratios['separate']:.2f}")
    print(json.dumps(ratios))


if __name__ == "__main__":
    main()
