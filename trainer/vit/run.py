"""What a ViT's run keeps on disk beside what every run does: its network's shape, its settings, its weights.

RUN/config.json also has what transformers asks for (`trainer.vit.hub_files`); unknown keys are errors.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import Tensor

from trainer.core.errors import InputError
from trainer.core.run_folder import BEST, CONFIG, LAST, read_tensors, write_text
from trainer.core.run_folder import read_config as read_document
from trainer.core.settings import INPUTS, ROWS, Range, out_of_range, rising, section
from trainer.vit import hub_files
from trainer.vit.network.model import ViT, ViTConfig

FORMAT = "pinsight-vit"
VERSION = 1

# Of a training's settings, by field of `TrainingConfig`.
RANGES = {
    "epochs": Range(1, 100_000),
    "batch_size": Range(1, 65_536),
    "lr": Range(0, 10, above=True),
    "warmup": Range(0, 1),
    "weight_decay": Range(0, 10),
    "clip": Range(0, 1e6, above=True),
    "label_smoothing": Range(0, 0.9),
    "patch_weight": Range(0, 1000),
    "close_ups": Range(0, 1),
    "close_up_px": Range(32, 4096),
    "seed": Range(0, 2**31 - 1),
    "threads": Range(1, 1024),
    "accumulate": Range(1, 4096),
    "ema": Range(0, 0.99999),
    "patience": Range(0, 100_000),
}
# Of a network's shape, by field of `ViTConfig`.
SHAPE_RANGES = {
    "dim": Range(8, 4096),
    "depth": Range(0, 48),
    "heads": Range(1, 64),
    "mlp_ratio": Range(0.5, 16),
    "stem_width": Range(1, 1024),
    "registers": Range(0, 64),
    "dropout": Range(0, 0.9),
}
CHOICES = {"input": INPUTS, "rows": ROWS, "amp": ("bf16", "off")}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training that change its result.

    Args:
        epochs: Passes over the training pictures; the learning rate reaches its end with the last.
        batch_size: Pictures per step; parts where several views of one are judged together.
        lr: Highest learning rate.
        warmup: Share of the steps during which the learning rate rises.
        weight_decay: AdamW's, on matrices and kernels only.
        clip: Largest norm of the gradient.
        label_smoothing: Share of the class target spread over all classes.
        patch_weight: Weight of the boxes' losses beside the class loss; 0 = picture labels only.
        close_ups: Share of the epochs that train on close-ups of single objects only; 0 without boxes.
        close_up_px: Side of a close-up in px.
        seed: Seeds weights, order and augmentation.
        threads: CPU threads; results repeat to the bit for equal numbers.
        input: Column of the pictures: `image` or `nsoart`.
        augment: Whether training pictures are shifted, mirrored, brightened and made noisy.
        accumulate: Batches per step: their gradients are averaged.
        ema: Decay per step of the average of the weights that is kept and measured; 0 = the weights themselves.
        patience: Stop after so many epochs with whole pictures without a better one; 0 = never.
        stages: Epochs after which a copy of the run is kept.
        balanced: Whether each class is drawn alike, whatever its share of the pictures.
        rows: Which rows train and are measured: `all`, `observable` or `clear`.
        init: Run whose weights training begins with; empty = random ones.
        amp: `bf16`: the network computes in bfloat16, weights and optimizer stay float32; `off`: all in float32.
        data_sha256: Digest of the dataset's content; empty where its card has none.
    """

    epochs: int = 60
    batch_size: int = 8
    lr: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.05
    clip: float = 1.0
    label_smoothing: float = 0.05
    patch_weight: float = 1.0
    close_ups: float = 0.6
    close_up_px: int = 64
    seed: int = 0
    threads: int = 1
    input: str = "image"
    augment: bool = True
    accumulate: int = 1
    ema: float = 0.0
    patience: int = 0
    stages: tuple[int, ...] = ()
    balanced: bool = False
    rows: str = "observable"
    init: str = ""
    amp: str = "off"
    data_sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))

    def problems(self) -> list[str]:
        """What the command's options would not take: a number outside of `RANGES`, a word not among `CHOICES`."""
        found = out_of_range(self, RANGES)
        found += [
            f"{name}: expected one of {', '.join(words)}, got {getattr(self, name)!r}"
            for name, words in CHOICES.items()
            if getattr(self, name) not in words
        ]
        if not rising(self.stages):
            found.append(f"stages: expected rising epochs, got {list(self.stages)}")
        return found


# Runs from before these existed lack them: there they had their defaults, and every row was taken.
LATER_MODEL = ("registers", "stem", "positions", "views")
LATER = ("accumulate", "ema", "patience", "stages", "balanced", "rows", "init", "amp", "data_sha256")


def save_config(run: Path, model: ViTConfig, training: TrainingConfig) -> None:
    """Write RUN/config.json, and the files that transformers reads beside it."""
    document = {"format": FORMAT, "version": VERSION, "model": asdict(model), "training": asdict(training)}
    for name, text in hub_files.files_of(model).items():
        write_text(run / name, text)
    write_text(run / CONFIG, json.dumps({**document, **hub_files.keys_of(model)}, indent=2) + "\n")


def load_config(run: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read RUN/config.json strictly: see `read_config`."""
    return read_config(run / CONFIG)


def read_config(path: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read a run's configuration strictly.

    Raises:
        InputError: The folder or file is missing, no JSON, of another format or version, has unknown keys or values
            outside of their ranges.
    """
    document = read_document(path, FORMAT, VERSION, {"model", "training", *hub_files.KEYS})
    shape = {f.name: f.default for f in fields(ViTConfig) if f.name in LATER_MODEL}
    defaults = {**asdict(TrainingConfig()), "rows": "all"}
    settings = {key: defaults[key] for key in LATER}
    model = section(ViTConfig, document.get("model"), f"{path} model", shape)
    training = section(TrainingConfig, document.get("training"), f"{path} training", settings)
    problems = [f"{path} model: {problem}" for problem in out_of_range(model, SHAPE_RANGES)]
    problems += [f"{path} training: {problem}" for problem in training.problems()]
    if problems:
        raise InputError(problems)
    return model, training


def load_weights(model: ViT, tensors: Mapping[str, Tensor], place: str) -> None:
    """Put weights into a network; names and shapes must be the same.

    Raises:
        InputError: Unknown or missing names, or another shape.
    """
    own = model.state_dict()
    problems = [f"{place}: unknown tensor {name!r}" for name in sorted(set(tensors) - set(own))]
    problems += [f"{place}: tensor {name!r} is missing" for name in sorted(set(own) - set(tensors))]
    problems += [
        f"{place}: tensor {name!r}: expected shape {tuple(own[name].shape)}, got {tuple(tensors[name].shape)}"
        for name in sorted(set(own) & set(tensors))
        if own[name].shape != tensors[name].shape
    ]
    if problems:
        raise InputError(problems)
    model.load_state_dict(dict(tensors))


def load_model(run: Path, which: str = "best") -> ViT:
    """The trained network of a run, in evaluation mode.

    Args:
        run: The run's folder.
        which: `best` or `last`.

    Raises:
        InputError: The run is missing or its files do not fit together.
    """
    config, _ = load_config(run)
    model = ViT(config)
    path = run / {"best": BEST, "last": LAST}[which]
    tensors, _ = read_tensors(path)
    load_weights(model, tensors, str(path))
    return model.eval()


def load_classes(model: ViT, run: Path) -> list[str]:
    """Put the best weights of another run into a network; its classes may be others, in any order.

    What belongs to a class that both know goes along with its name; a new class keeps its random weights.

    Args:
        model: A new network of the same shape but for its classes.
        run: The other run.

    Returns:
        Names of the classes that are new.

    Raises:
        InputError: The run is missing, or of another shape.
    """
    config, _ = load_config(run)
    tensors, _ = read_tensors(run / BEST)
    old, new = config.classes, model.config.classes
    kept = [(new.index(name), old.index(name)) for name in old if name in new]
    state = model.state_dict()
    by_class = ("patch_head.weight", "patch_head.bias", "class_head.weight", "class_head.bias")
    for name in (*by_class, "pooling.log_scale", "pooling.offset"):
        tensors[name] = _by_class(state[name], tensors[name], kept)
    load_weights(model, tensors, f"--init {run}")
    return [name for name in new if name not in old]


def _by_class(own: Tensor, other: Tensor, kept: list[tuple[int, int]]) -> Tensor:
    if own.shape[1:] != other.shape[1:]:
        return other  # load_weights says what does not fit
    out = own.clone()
    for to, source in kept:
        out[to] = other[source]
    return out
