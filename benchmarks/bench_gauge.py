"""Measure how long a gauge's ONNX file takes for a part: `python -m benchmarks.bench_gauge [FILE.onnx]`.

Without a file, networks with random weights are exported, with crops of 48 and 80 px: the time depends on sizes only.
CPU time is the sum over all threads. The wall time holds on a machine that does nothing else.
"""

import dataclasses
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from generator.locating.fit import FitLimits
from generator.locating.gauge import inspect_part
from generator.locating.gauge_file import GaugeFile, read_gauge_file

SIZE, VIEWS, THREADS = (512, 256), ("center", "top", "left"), 2
GOAL_MS = 200
REPEATS = 5


def exported(folder: Path, side: int, pitch_px: float) -> Path:
    """Export a network with random weights, for crops of `side` px with pins `pitch_px` px apart; returns the file."""
    from blender_scripts.contract.connector import read_connector
    from generator.dataset.connectors import connectors_json, nominal_connector
    from generator.locating.likeness import Likeness
    from generator.verdict.gates import PictureGates
    from trainer.core.run_folder import BEST, save_tensors
    from trainer.gauge.network import GaugeNetwork
    from trainer.gauge.onnx_export import export_run
    from trainer.gauge.run import GaugeConfig, TrainingConfig, Uncertainty, save_config, save_uncertainty

    run = folder / f"run_{side}"
    (run / "gates" / "center").mkdir(parents=True)
    limits = {"true_position_mm": 0.8, "retraction_mm": 0.6}
    save_config(run, GaugeConfig(side=side), TrainingConfig(threads=1), pitch_px, {"connector_3x9": limits})
    save_tensors(run / BEST, GaugeNetwork(side).state_dict(), {})
    save_uncertainty(run, Uncertainty(), None)
    Likeness(frozenset({("connector_3x9", "plain", "round")}), {}).save(run)
    connector = read_connector(Path(__file__).resolve().parents[1] / "scenes" / "connector_3x9.toml")
    (run / "connectors.json").write_text(connectors_json([nominal_connector(connector, "plain", "round")]))
    PictureGates.of([noise(seed) for seed in range(4)]).save(run / "gates" / "center")
    export_run(run, folder / f"{side}.onnx")
    return folder / f"{side}.onnx"


def noise(seed: int) -> Image.Image:
    """Make an RGB picture of noise of the size `SIZE`."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8))


def times(held: GaugeFile) -> tuple[float, float]:
    """Return the least wall and CPU time, ms, of measuring and judging a part, without gates that refuse pictures."""
    key, drawing = next(iter(held.drawings.items()))
    drawing = dataclasses.replace(drawing, placing=None)
    gauge = dataclasses.replace(held.gauge, gates={}, limits=FitLimits(), likeness=None)
    pictures = {view: noise(number) for number, view in enumerate(VIEWS)}
    found = []
    for _ in range(REPEATS + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        inspect_part(gauge, drawing, pictures, held.tolerances[key[0]])
        found.append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)))
    walls, cpus = zip(*found[1:], strict=True)
    return min(walls), min(cpus)


def main() -> None:
    """Print the times of the file, or of the networks with random weights."""
    with tempfile.TemporaryDirectory() as folder:
        given = [Path(name) for name in sys.argv[1:]]
        for path in given or [exported(Path(folder), side, pitch) for side, pitch in ((48, 20.7), (80, 38.0))]:
            held = read_gauge_file(path, THREADS)
            wall, cpu = times(held)
            print(
                f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, crops of {held.gauge.finder.side} px; {len(VIEWS)} "
                f"views of {SIZE[0]} x {SIZE[1]} px on {THREADS} threads: wall time {wall:.0f} ms (goal {GOAL_MS} ms), "
                f"CPU time {cpu:.0f} ms"
            )


if __name__ == "__main__":
    main()
