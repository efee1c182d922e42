"""What a run keeps on disk, and how it is read back: safetensors and JSON, nothing that can run code.

    RUN/config.json           the network's shape and the training's settings, and beside them what transformers asks
                              for (`trainer.vit.hub_files`); unknown keys are errors
    RUN/best.safetensors      weights of the best epoch
    RUN/last.safetensors      weights of the last epoch
    RUN/state.safetensors     last weights, the optimizer's moments and the counters: what --resume reads, in one file,
                              so that a killed run is never half of one epoch and half of another

Every file is written to a temporary name and renamed.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from trainer.core.data import INPUTS
from trainer.core.errors import InputError
from trainer.core.row_facts import ROWS
from trainer.vit import hub_files
from trainer.vit.network.model import ViT, ViTConfig

FORMAT = "pinsight-vit"
VERSION = 1
CONFIG, BEST, LAST, STATE = "config.json", "best.safetensors", "last.safetensors", "state.safetensors"


class Range(NamedTuple):
    """Numbers from `low`, or above it, to `high`."""

    low: float
    high: float
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` is one of them."""
        return self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        return f"{'above' if self.above else 'from'} {self.low:g} to {self.high:g}"


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


def out_of_range(settings: Any, ranges: Mapping[str, Range]) -> list[str]:
    """What is wrong with the numbers of a dataclass, by its fields' ranges."""
    return [
        f"{name}: expected a number {limits}, got {getattr(settings, name)!r}"
        for name, limits in ranges.items()
        if not limits.holds(getattr(settings, name))
    ]


def rising(epochs: Sequence[Any]) -> bool:
    """Whether these are whole numbers from 1 on, each above the one before."""
    return all(type(epoch) is int and epoch > 0 for epoch in epochs) and list(epochs) == sorted(set(epochs))


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


@dataclass(frozen=True)
class RunState:
    """Where a training stands after an epoch: `best_score` orders epochs, higher is better; 0 = no best epoch yet."""

    epoch: int
    best_epoch: int
    best_score: tuple[float, float]


def replace_file(path: Path, write: Any) -> None:
    """Call `write(temporary path)` and rename the result to `path`; nothing is left behind on failure."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def save_config(run: Path, model: ViTConfig, training: TrainingConfig) -> None:
    """Write RUN/config.json, and the files that transformers reads beside it."""
    document = {"format": FORMAT, "version": VERSION, "model": asdict(model), "training": asdict(training)}
    for name, text in hub_files.files_of(model).items():
        write_text(run / name, text)
    write_text(run / CONFIG, json.dumps({**document, **hub_files.keys_of(model)}, indent=2) + "\n")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV whole and atomically: floats with six digits, nothing for None and for what a row lacks."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(
        {key: f"{cell:.6g}" if isinstance(cell, float) else cell for key, cell in row.items()} for row in rows
    )
    write_text(path, text.getvalue())


def save_temperature(run: Path, temperature: float) -> None:
    """Write the best weights' temperature into RUN/config.json: transformers then says the same probabilities."""
    read_config(run / CONFIG)
    document = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    write_text(run / CONFIG, json.dumps({**document, "logit_temperature": temperature}, indent=2) + "\n")


def _is(value: Any, kind: Any) -> bool:
    """Whether a JSON value is of a field's type; a tuple is a list there, and a whole number a float too."""
    outer, inner = get_origin(kind), get_args(kind)
    if outer is dict:
        return isinstance(value, dict) and all(_is(one, inner[1]) for one in value.values())
    if outer in (list, tuple):
        if not isinstance(value, (list, tuple)):
            return False
        kinds = inner if outer is tuple and inner[-1] is not Ellipsis else inner[:1] * len(value)
        return len(kinds) == len(value) and all(map(_is, value, kinds))
    return type(value) in ((int, float) if kind is float else (kind,))


def section(kind: type, values: Any, place: str, later: Mapping[str, Any] | None = None) -> Any:
    """A dataclass from a JSON object whose keys and types are exactly its own.

    Args:
        kind: The dataclass.
        values: The object.
        place: What a message calls it.
        later: What earlier versions did not write, and what it was then.

    Raises:
        InputError: An unknown or missing key, a value of another type, or one that the dataclass refuses.
    """
    if not isinstance(values, dict):
        raise InputError(f"{place}: expected an object, got {type(values).__name__}")
    values = {**(later or {}), **values}
    known = {field.name: field.type for field in fields(kind)}
    problems = [
        f"{place}: unknown key {key!r}; known are {sorted(known)}" for key in values if key not in known
    ]
    problems += [f"{place}: key {key!r} is missing" for key in known if key not in values]
    problems += [
        f"{place}: key {key!r}: expected {known[key]}, got {value!r}"
        for key, value in values.items()
        if key in known and not _is(value, known[key])
    ]
    if problems:
        raise InputError(problems)
    try:
        return kind(**values)
    except InputError as e:
        raise InputError([f"{place}: {problem}" for problem in e.problems]) from e


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: It is missing or none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: expected {expected}, got {e}") from e
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected {expected}, got {type(found).__name__}")
    return found


def load_config(run: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read RUN/config.json strictly: see `read_config`."""
    return read_config(run / CONFIG)


def read_config(path: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read a run's configuration strictly.

    Raises:
        InputError: The folder or file is missing, no JSON, of another format or version, has unknown keys or values
            outside of their ranges.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: expected a trained run's config.json, got no such file") from None
    except (OSError, ValueError) as e:
        raise InputError(f"{path}: expected JSON, got {e}") from e
    if (
        not isinstance(document, dict)
        or document.get("format") != FORMAT
        or document.get("version") != VERSION
    ):
        raise InputError(f"{path}: expected format {FORMAT!r} version {VERSION}")
    unknown = set(document) - {"format", "version", "model", "training"} - hub_files.KEYS
    if unknown:
        raise InputError(f"{path}: unknown keys {sorted(unknown)}")
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


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda temporary: save_file(held, temporary, metadata=dict(metadata)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file and its metadata.

    Raises:
        InputError: The file is missing or anything but safetensors (a pickle, say).
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        return load_file(path), metadata
    except FileNotFoundError:
        raise InputError(f"{path}: expected a safetensors file, got no such file") from None
    except (SafetensorError, OSError, ValueError) as e:
        raise InputError(f"{path}: expected a safetensors file, got {e}") from e


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


def save_state(
    run: Path,
    model: ViT,
    optimizer: torch.optim.Optimizer,
    state: RunState,
    average: Mapping[str, Tensor] | None = None,
) -> None:
    """Write RUN/state.safetensors: weights, moments, averaged weights and counters of one moment."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in (average or {}).items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    save_tensors(run / STATE, tensors, {"state": json.dumps(asdict(state))})


def load_state(
    run: Path,
    model: ViT,
    optimizer: torch.optim.Optimizer,
    average: Mapping[str, Tensor] | None = None,
) -> RunState:
    """Read RUN/state.safetensors back into a network, its optimizer and its averaged weights.

    Raises:
        InputError: The file is missing, or of another network.
    """
    path = run / STATE
    tensors, metadata = read_tensors(path)
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    load_weights(model, weights, str(path))
    for name, parameter in model.named_parameters():
        # A parameter that no step has used yet has no moments.
        moments = {key: tensors.get(f"optimizer.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")}
        if all(moment is not None for moment in moments.values()):
            optimizer.state[parameter] = {
                key: moment if key == "step" else moment.to(parameter) for key, moment in moments.items()
            }
    for name, held in (average or {}).items():
        if f"average.{name}" not in tensors:
            raise InputError(f"{path}: tensor 'average.{name}' is missing")
        held.copy_(tensors[f"average.{name}"])
    values = json.loads(metadata["state"])
    return RunState(values["epoch"], values["best_epoch"], tuple(values["best_score"]))
