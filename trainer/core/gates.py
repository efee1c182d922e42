"""The gates of a run: limits, learned from its training and validation pictures, beyond which a picture is INVALID.

    RUN/gates.npz           gates on the picture itself (`generator.verdict.gates`)
    RUN/gates.safetensors   gate on the features that the network computes with the best weights, see
                            `generator.verdict.feature_gate`

A training writes both files at its end; gates.safetensors states the SHA-256 of the weights and of gates.npz. For a run
that lacks one of them, or has one of another run, `trainer.evaluate` learns both if it is given the dataset of the
training, from the splits `train` and `validation`. Until then the run judges nothing, and `trainer.adapt` refuses it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from trainer.core.adaptation_seal import is_adapted
from trainer.core.console import speaks
from trainer.core.errors import InputError, as_input_error
from trainer.core.feature_watch import Watch
from trainer.core.split import Pictures

FEATURES = "gates.safetensors"
FILES = (picture_gates.FILE, FEATURES)
# Metadata of gates.safetensors: SHA-256 of the weights that it was learned with, and of the gates.npz beside it.
_WEIGHTS, _PICTURES = "weights_sha256", "gates_sha256"
# Pictures that the gates are learned from: more, drawn evenly from each split, would only take longer.
MOST = {"train": 700, "validation": 300}
BATCH = 16
REMEDY = "`python -m trainer.evaluate --model RUN --data DATASET` with the training's data writes what is missing"


@dataclass(frozen=True)
class Gates:
    """The gates of a run: limits on the picture itself and on the network's features; each None if the run lacks it.

    `foreign` names those of the files that are there but belong to other weights, or to another gates.safetensors.
    `is_adapted`: the run was adapted, so that its gates come from `trainer.adapt` and from no other command.
    """

    pictures: PictureGates | None
    features: FeatureGate | None
    foreign: tuple[str, ...] = ()
    is_adapted: bool = False

    @classmethod
    def load(cls, run: Path, weights: str = run_folder.BEST) -> "Gates":
        """Load a run's gates; a gate is None without a file, or if it was not learned with RUN/`weights`.

        Raises:
            InputError: A file is damaged or written by another program.
        """
        with as_input_error():
            pictures = PictureGates.load(run)
        has_them = (run / FEATURES).is_file() and (run / weights).is_file()
        own = run_folder.read_tensors(run / FEATURES) if has_them else None
        foreign = _foreign(run, weights, own[1]) if own else ()
        features = _gate(run / FEATURES, own[0]) if own and FEATURES not in foreign else None
        kept = None if picture_gates.FILE in foreign else pictures
        return cls(kept, features, foreign, is_adapted(run, run_folder.BEST))

    @property
    def lacking(self) -> str:
        """What the run has in place of gates of its own, such as "no gates.npz"; an empty text: it lacks none."""
        gates = {picture_gates.FILE: self.pictures, FEATURES: self.features}
        said = [f"{name} of {'other weights or ' if name == FEATURES else ''}another run" for name in self.foreign]
        said += [f"no {name}" for name, gate in gates.items() if gate is None and name not in self.foreign]
        return " and ".join(said)

    @property
    def remedy(self) -> str:
        """Which command makes the gates that the run lacks."""
        if self.is_adapted:
            return "adapt a run that has them with `python -m trainer.adapt`"
        return REMEDY

    @property
    def missing(self) -> list[str]:
        """If the run lacks a gate, a list of one text that says so and how to make it; otherwise an empty list."""
        if not self.lacking:
            return []
        return [f"gates: the run has {self.lacking}, and judges only with --allow-unfit: {self.remedy}"]

    def warned(self) -> list[str]:
        """Return the lines that an evaluation prints about gates that the run lacks: at most one."""
        return [f"WARNING: {text}." for text in self.missing]

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
        return replace(
            self, pictures=own and own.widened(pictures, most), features=more and more.widened(features, most)
        )

    def save(self, run: Path) -> None:
        """Write the gates into a run's folder, as those of its best weights."""
        if self.pictures is not None:
            self.pictures.save(run)
        if self.features is not None:
            stated = {_WEIGHTS: sha256_of(run / run_folder.BEST)}
            if self.pictures is not None:
                stated[_PICTURES] = sha256_of(run / picture_gates.FILE)
            tensors = {name: torch.from_numpy(each) for name, each in self.features.arrays().items()}
            run_folder.save_tensors(run / FEATURES, tensors, stated)

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
    """Return whether a run's folder has both gates.npz and gates.safetensors, learned with its best weights.

    Raises:
        InputError: A file is damaged or written by another program.
    """
    return not Gates.load(run).lacking


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


def _foreign(run: Path, weights: str, stated: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the files of gates that do not belong to RUN/`weights`, by the metadata of gates.safetensors.

    A file of an earlier version may state nothing.
    """
    best, pictures = run / run_folder.BEST, run / picture_gates.FILE
    digests = {path: sha256_of(path) for path in {run / weights, best} if path.is_file()}
    learned = stated.get(_WEIGHTS)
    found = [FEATURES] if learned not in (None, digests[run / weights]) else []
    # Whatever states other weights than the best is no witness of the other file.
    if _PICTURES in stated and pictures.is_file() and learned is not None and learned == digests.get(best):
        found += [picture_gates.FILE] if stated[_PICTURES] != sha256_of(pictures) else []
    return tuple(found)


def _gate(path: Path, tensors: Mapping[str, Tensor]) -> FeatureGate:
    """Make the gate on features from the content of `path`."""
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
