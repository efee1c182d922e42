"""Speed of `render --cluster ray` with two nodes of one CPU each, as a multiple of the speed with one; goal: 1.8.

    python -m benchmarks.bench_cluster [--rows 60] [--repeat 3] [--width 256 --height 128 --samples 16]

The nodes are Ray nodes of this machine, which needs two free cores; each has one worker process with one render
thread. A speed is that from the eighth picture to the last, so that the start of Ray and Blender does not count. Of the
`--repeat` renders of each kind, in turn, the fastest counts: other programs disturbed it least. The ratio of the
medians stands beside it. The last line is JSON.
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


def speed(nodes: int, manifest: Path, out: Path) -> float:
    """Render a manifest on a new cluster; returns pictures per second."""
    words = [sys.executable, "-m", "generator", "render", str(manifest), "--out", str(out), "--engine", "local"]
    with cluster_of(nodes) as address:
        environment = {**os.environ, "RAY_ADDRESS": address}
        subprocess.run([*words, "--cluster", "ray"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL, env=environment)
    written = sorted(path.stat().st_mtime for path in (out / "records").glob("*.json"))
    return (len(written) - FIRST) / (written[-1] - written[FIRST - 1])


def main() -> None:
    """Print the speed with one node and with two, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=60, metavar="N", help="pictures of a render (default: %(default)s)")
    parser.add_argument(
        "--repeat", type=int, default=3, metavar="N", help="renders of each kind (default: %(default)s)"
    )
    for name, default in (("width", 256), ("height", 128), ("samples", 16)):
        parser.add_argument(f"--{name}", type=int, default=default, help="of each picture (default: %(default)s)")
    options = parser.parse_args()
    if options.rows <= FIRST:
        parser.error(f"--rows: expected at least {FIRST + 1}, got {options.rows}")
    speeds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_manifest(Path(folder), options.rows, options.width, options.height, options.samples)
        for turn in range(options.repeat):
            for nodes, found in speeds.items():
                found.append(speed(nodes, manifest, Path(folder) / f"{turn}_{nodes}"))
                print(f"nodes: {nodes}, pictures per second: {found[-1]:.2f}", flush=True)
    ratio = max(speeds[2]) / max(speeds[1])
    medians = statistics.median(speeds[2]) / statistics.median(speeds[1])
    print(f"two nodes to one: {ratio:.2f} (goal: {GOAL}); ratio of the medians: {medians:.2f}")
    print(json.dumps({"ratio": ratio, "ratio_of_medians": medians}))


if __name__ == "__main__":
    main()
