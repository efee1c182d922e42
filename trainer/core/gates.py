"""The gates of a run: limits, learned from its training and validation pictures, beyond which a picture is INVALID.

    RUN/gates.npz           gates on the picture itself (`generator.verdict.gates`)
    RUN/gates.safetensors   gate on the features that the network computes with the best weights, see
                            `generator.verdict.feature_gate`

A training writes both files at its end. For a run without them, `trainer.evaluate` learns them if it is given the
dataset of the training, from the splits `train` and `validation`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from generator.io.checksum import sha256_of
from generator.verdict import gates as picture_gates
from generator.verdict.feature_gate import FeatureGate
from generator.verdict.gates import PictureGates
from trainer.core import run_folder
from trainer.core.console import speaks
from trainer.core.errors import InputError, as_input_error
from trainer.core.feature_watch import Watch
from trainer.core.split import Pictures

FEATURES = "gates.safetensors"
FILES = (picture_gates.FILE, FEATURES)
# Pictures that the gates are learned from: more, drawn evenly from each split, would only take longer.
MOST = {"train": 700, "validation": 300}
BATCH = 16


@dataclass(frozen=True)
class Gates:
    """The gates of a run: limits on the picture itself and on the network's features; each None if the run lacks it."""

    pictures: PictureGates | None
    features: FeatureGate | None

    @classmethod
    def load(cls, run: Path, weights: str = run_folder.BEST) -> "Gates":
        """Load a run's gates; a gate without a file is None, `features` also if learned with others than RUN/`weights`.

        Raises:
            InputError: A file is damaged or written by another program.
        """
        with as_input_error():
            pictures = PictureGates.load(run)
        has_features = (run / FEATURES).is_file() and (run / weights).is_file()
        return cls(pictures, _read(run / FEATURES, sha256_of(run / weights)) if has_features else None)

    @property
    def missing(self) -> list[str]:
        """If the run has no gates, a list of one text that says so and how to make them; otherwise an empty list."""
        if self.pictures is not None:
            return []
        return [
            f"gates: the run has no {picture_gates.FILE} (limits beyond which a picture cannot be judged); "
            "`python -m trainer.evaluate --model RUN --data DATASET` with the training's dataset writes it"
        ]

    def reasons(self, pictures: Sequence[Image.Image], features: np.ndarray | None) -> list[list[str]]:
        """Return for each picture the reasons why it cannot be judged; an empty list if it can be judged.

        Args:
            pictures: B pictures as opened, of their own size.
            features: (B, C, rows, columns) from `Watch`; None: the gate on features is not applied.
        """
        found: list[list[str]] = [self.pictures.reasons(one) if self.pictures else [] for one in pictures]
        if self.features is None or features is None:
            return found
        return [own + more for own, more in zip(found, self.features.reasons(features), strict=True)]

    def widened(self, pictures: Sequence[Image.Image], features: np.ndarray, most: float) -> "Gates":
        """Return gates with limits up to `most` times as wide, which allow further pictures that can be judged.

        `pictures` are at least 3 pictures of their own size, `features` (B, C, rows, columns) those of the network.
        """
        own, more = self.pictures, self.features
        return Gates(own and own.widened(pictures, most), more and more.widened(features, most))

    def save(self, run: Path) -> None:
        """Write the gates into a run's folder, `features` as those of its best weights."""
        if self.features is not None:
            _write(run / FEATURES, self.features, sha256_of(run / run_folder.BEST))
        if self.pictures is not None:
            self.pictures.save(run)

    def of_split(self, pictures: Pictures, features: np.ndarray | None, views: int = 1) -> list[list[str]]:
        """Return for each example of a split the reasons why it cannot be judged; an empty list if it can be judged.

        Args:
            pictures: N pictures; the `views` pictures of an example follow each other.
            features: (N, C, rows, columns) from `Watch`; None: the gate on features is not applied.
            views: Number of pictures of an example.
        """
        count = len(pictures)
        if features is not None and len(features) != count:
            raise ValueError(f"expected the features of {count} pictures, got those of {len(features)}")
        found = [
            self.reasons([pictures.original(i)], None if features is None else features[i : i + 1])[0]
            for i in tqdm(range(count), desc="gates", unit="picture", leave=False, disable=None if speaks() else True)
        ]
        return [[text for one in found[i : i + views] for text in one] for i in range(0, count, views)]


def counted(unsuitable: Sequence[Sequence[str]]) -> str:
    """Say how many examples each gate refuses, as "size (22), exposure (3)"; `unsuitable`: of `Gates.of_split`."""
    kinds = Counter(kind for one in unsuitable for kind in {text.partition(":")[0] for text in one})
    return ", ".join(f"{kind} ({count})" for kind, count in sorted(kinds.items(), key=lambda each: (-each[1], each[0])))


def have(run: Path) -> bool:
    """Return whether a run's folder has both gates.npz and gates.safetensors."""
    return all((run / name).is_file() for name in FILES)


def learn(run: Path, splits: Mapping[str, Pictures], watch: Watch, show: Callable[[Tensor], object]) -> None:
    """Learn a run's gates from at most 700 training and 300 validation pictures; writes gates.npz, gates.safetensors.

    Args:
        run: The run's folder, with its best weights.
        splits: The pictures of `train` and `validation`.
        watch: Collects the features that the network computes.
        show: Runs the network with its best weights on pixels (B, C, H, W) uint8.
    """
    chosen = {name: _some(len(splits[name]), most) for name, most in MOST.items()}
    groups = [parts[index] for name, some in chosen.items() for parts in [splits[name].parts()] for index in some]
    pictures = PictureGates.of(_originals(splits, chosen), groups)
    features = {}
    for name, some in chosen.items():
        with torch.inference_mode(), watch:
            for start in range(0, len(some), BATCH):
                show(splits[name].batch(some[start : start + BATCH]))
        features[name] = watch.features
    Gates(pictures, FeatureGate.of(features["train"], features["validation"])).save(run)


def _write(path: Path, gate: FeatureGate, weights_sha256: str) -> None:
    tensors = {name: torch.from_numpy(each) for name, each in gate.arrays().items()}
    run_folder.save_tensors(path, tensors, {"weights_sha256": weights_sha256})


def _read(path: Path, weights_sha256: str) -> FeatureGate | None:
    """Read a gate on features; None if it was learned with other weights."""
    tensors, metadata = run_folder.read_tensors(path)
    if metadata.get("weights_sha256", weights_sha256) != weights_sha256:
        return None
    try:
        return FeatureGate.of_arrays({name: each.numpy() for name, each in tensors.items()})
    except ValueError as e:
        raise InputError(
            f"{path}: expected the limits of the network's features, as a training writes them, got {e}; delete the "
            "file, and write it again with `python -m trainer.evaluate` and the training's dataset"
        ) from e


def _some(count: int, most: int) -> list[int]:
    """Return at most `most` of `count` indices, evenly from first to last."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(count, most)).round()})


def _originals(splits: Mapping[str, Pictures], chosen: Mapping[str, Sequence[int]]) -> Iterator[Image.Image]:
    total = sum(len(some) for some in chosen.values())
    with tqdm(total=total, desc="gates", unit="picture", leave=False, disable=None if speaks() else True) as bar:
        for name, some in chosen.items():
            for index in some:
                yield splits[name].original(index)
                bar.update()
