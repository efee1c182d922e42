"""What the light paths per pixel of training pictures are worth: a small ViT taught by 300 pictures of 1 to 8 paths.

    python -m benchmarks.training_value --out out/training_value [--samples 1 2 4 8] [--seeds 0 1] [--write]

The same parts and placings are rendered once for each number of `samples`: 300 training and 60 validation pictures of
manifests/demo.toml's design. All networks are measured on the same 240 test pictures of 16 samples, the nearest to a
camera's. An interval is that of `trainer.evaluate`, over parts. What is finished in `--out` is kept, so the command may
be repeated. `--write` puts the table between the markers of docs/explanation/quality.md.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.picture_quality import PAGE, ROOT, write_between

SPEC = ROOT / "manifests" / "demo.toml"
ROWS = {"train": 300, "validation": 60, "test": 240}
TEST_SAMPLES = 16
EPOCHS = 40
BEGIN, END = "<!-- training_value: begin -->", "<!-- training_value: end -->"


def run(folder: Path, *words: object) -> None:
    """Run `python -m WORDS`, whose output is appended to log.txt in `folder`."""
    with (folder / "log.txt").open("a") as log:
        subprocess.run([sys.executable, "-m", *map(str, words)], check=True, cwd=ROOT, stdout=log, stderr=log)


def design(folder: Path) -> pd.DataFrame:
    """Return the manifest of all splits; its SPEC is that of the demo with `ROWS` pictures."""
    lines, split = [], ""
    for line in SPEC.read_text("utf-8").splitlines():
        split = line.strip("[]").removeprefix("splits.") if line.startswith("[") else split
        lines.append(f"rows = {ROWS[split]}" if line.startswith("rows = ") else line)
    spec = folder / "spec.toml"
    spec.write_text("\n".join(lines) + "\n", "utf-8")
    if not (folder / "all.csv").is_file():
        run(folder, "generator", "design", spec, "-o", folder / "all.csv")
    return pd.read_csv(folder / "all.csv", dtype=str, keep_default_na=False)


def make_dataset(folder: Path, rows: pd.DataFrame, splits: Sequence[str], samples: int) -> Path:
    """Render the manifest `rows` of `splits` with `samples` light paths per pixel; returns their dataset's folder."""
    name = f"{splits[0]}_{samples}"
    manifest, renders, dataset = (folder / f"{name}{end}" for end in (".csv", "_renders", "_dataset"))
    if not dataset.is_dir():
        rows[rows["split"].isin(splits)].assign(samples=samples).to_csv(manifest, index=False)
        run(folder, "generator", "render", manifest, "--out", renders)
        run(folder, "generator", "build", renders, "--to", dataset)
    return dataset


def train(folder: Path, samples: int, seed: int, test: Path) -> None:
    """Train a ViT on the dataset of `samples` light paths per pixel in `folder`; measure it on the dataset `test`."""
    here = folder / f"vit_{samples}_{seed}"
    here.mkdir(exist_ok=True)
    if not (here / "evaluation" / "evaluation.json").is_file():
        paths = ("--data", folder / f"train_{samples}_dataset", "--out", here / "run")
        settings = ("--epochs", EPOCHS, "--measure-weight", 0, "--seed", seed, "--threads", 1, "--no-check")
        run(here, "trainer.vit", *paths, *settings, "--overwrite")
        measured = ("--model", here / "run", "--data", test, "--out", here / "evaluation")
        run(here, "trainer.evaluate", *measured, "--split", "test", "--threads", 1)


def table(folder: Path, samples: Sequence[int], seeds: Sequence[int]) -> Iterator[str]:
    """Yield the lines of the Markdown table from the evaluations in `folder`: means over seeds, and each seed."""
    yield "| samples of the training pictures | balanced accuracy, mean (seeds) | AUROC of NG, mean (seeds) |"
    yield "|---|---|---|"
    for count in samples:
        cells = []
        for key in ("balanced_accuracy", "auroc"):
            found = []
            for seed in seeds:
                text = (folder / f"vit_{count}_{seed}" / "evaluation" / "evaluation.json").read_text("utf-8")
                value = json.loads(text)["splits"]["test"][key]
                found.append(float(value["share"] if isinstance(value, dict) else value))
            cells.append(f"{np.mean(found):.3f} ({', '.join(f'{value:.3f}' for value in found)})")
        yield f"| {count} | {' | '.join(cells)} |"


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures, datasets and runs")
    parser.add_argument(
        "--samples", type=int, nargs="+", default=[1, 2, 4, 8], help="light paths per pixel (default: 1 2 4 8)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="seeds of the trainings (default: 0 1)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    rows = design(folder)
    test = make_dataset(folder, rows, ("test",), TEST_SAMPLES)
    for samples in options.samples:
        print(f"pictures of {samples} samples", file=sys.stderr, flush=True)
        make_dataset(folder, rows, ("train", "validation"), samples)
    print(f"trainings of {EPOCHS} epochs, two at a time", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(2) as pool:
        jobs = [(samples, seed) for seed in options.seeds for samples in options.samples]
        list(pool.map(lambda job: train(folder, job[0], job[1], test), jobs))
    text = "\n".join(table(folder, options.samples, options.seeds))
    print(text)
    if options.write:
        write_between(BEGIN, END, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
