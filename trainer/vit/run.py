"""A ViT's run on disk: settings of training and network (RUN/config.json), and weights.

RUN/config.json also has the keys that transformers needs (`trainer.vit.hub_files`); other unknown keys are errors.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator
from torch import Tensor

from trainer.core.run_folder import BEST, CONFIG, LAST, TOLERANCE, load_weights, read_tensors, write_text
from trainer.core.run_folder import read_config as read_document
from trainer.core.settings import DATA_SHA256, FITTED_EPOCHS, MAX_ESCAPE, THREADS, Rows, Settings, section, setting
from trainer.vit import hub_files
from trainer.vit.network.model import ViT, ViTConfig

FORMAT = "pinsight-vit"
VERSION = 1
WEIGHTS = {"best": BEST, "last": LAST}


def _rising(epochs: tuple[int, ...]) -> tuple[int, ...]:
    if not all(epoch > 0 for epoch in epochs) or list(epochs) != sorted(set(epochs)):
        raise ValueError
    return epochs


class TrainingConfig(Settings):
    """Settings of a ViT's training that change its result."""

    epochs: int = setting(
        60,
        "passes over the training split",
        ge=1,
        le=100_000,
        shown="by the number of training pictures, 120 for 150, 12 for 4,500 or more",
    )
    batch_size: int = setting(
        8,
        "pictures per batch of all processes; with --views: parts, by default 8 divided by the number of views",
        ge=1,
        le=65_536,
    )
    lr: float = setting(1e-3, "highest learning rate", gt=0, le=10)
    warmup: float = setting(
        0.1, "share of the steps, from the first on, during which the learning rate rises", ge=0, le=1
    )
    weight_decay: float = setting(0.05, "weight decay of AdamW, for matrices and kernels only", ge=0, le=10)
    clip: float = setting(1.0, "norm to which a larger gradient is scaled down", gt=0, le=1e6, no_option="fixed")
    label_smoothing: float = setting(
        0.05, "label smoothing: share of the target probability that is spread over all classes", ge=0, le=0.9
    )
    patch_weight: float = setting(
        1.0,
        "weight of the losses from boxes, which teach each patch its class; 0: learn from picture labels only",
        ge=0,
        le=1000,
    )
    close_ups: float = setting(
        0.6,
        "share of the epochs, from the first on, that train on close-ups (cut-outs of single pins) only; needs boxes",
        ge=0,
        le=1,
        metavar="SHARE",
    )
    close_up_px: int = setting(
        64, "side in px of a close-up, which shows a pin and its neighbours", ge=32, le=4096, metavar="PX"
    )
    seed: int = setting(0, "seed of all random numbers: weights, order, augmentation", ge=0, le=2**31 - 1)
    threads: int = THREADS
    input: Literal["image", "nsoart", "image+nsoart"] = setting(
        "image",
        "the dataset's pictures to train on. image: RGB; nsoart: how much each small window differs from the picture's "
        "mean window or, after `generator build --nsoart golden`, from good parts; image+nsoart: both, six channels",
        group="pictures",
    )
    augment: bool = setting(
        True, "train without shifting, turning, mirroring and changing the light of pictures", group="pictures"
    )
    accumulate: int = setting(
        1,
        "batches per step, whose gradients are averaged (gradient accumulation)",
        ge=1,
        le=4096,
        metavar="N",
        earlier=1,
    )
    ema: float = setting(
        0.0,
        "measure and keep an exponential moving average (EMA) of the weights with this decay per step, such as 0.99; "
        "0: the weights themselves",
        ge=0,
        le=0.99999,
        metavar="DECAY",
        earlier=0.0,
    )
    patience: int = setting(
        0,
        "early stopping: stop when the last N epochs with whole pictures brought no new best epoch; 0: never",
        ge=0,
        le=100_000,
        metavar="N",
        earlier=0,
    )
    stages: Annotated[tuple[int, ...], AfterValidator(_rising)] = setting(
        (),
        "after these epochs keep a copy of the run and compute its attention maps",
        expected="rising epochs such as 300,400,500",
        metavar="E,E,…",
        earlier=(),
    )
    balanced: bool = setting(
        False,
        "draw all classes equally often, whatever their share of the pictures",
        group="pictures",
        either=True,
        shown="if one class has over four times the pictures of another, and each has at least 20",
        earlier=False,
    )
    rows: Rows = setting(
        "observable",
        "rows to use. all: all rows; observable: without pictures that show nothing, or none of their defects; clear: "
        "observable rows without those in which a measure of a pin is close to its tolerance limit",
        group="pictures",
        earlier="all",
    )
    init: str = setting(
        "",
        "start with the weights of this run (its classes may differ), or of a ViT in the format of transformers: "
        "a folder, or a name on the Hub such as google/vit-base-patch16-224; base: the run that `make base` trained",
        expected="a run, or a ViT saved by transformers",
        group="beginning",
        metavar="WEIGHTS",
        shown="random weights",
        earlier="",
    )
    amp: Literal["bf16", "off"] = setting(
        "off",
        "precision: bf16 computes in bfloat16 with weights in float32",
        choices=("auto", "bf16", "off"),
        shown="auto: bf16 on a GPU that supports it",
        earlier="off",
    )
    max_escape: float = MAX_ESCAPE
    fitted_epochs: int = FITTED_EPOCHS
    data_sha256: str = DATA_SHA256
    measure_weight: float = setting(
        0.0,
        "weight of the losses from measures, which teach patches the displacement in mm and the presence of each pin; "
        "0: none",
        ge=0,
        le=1000,
        shown="1 if the dataset states measures and --patch-weight is not 0, else 0",
        earlier=0.0,
    )

    @property
    def scheduled(self) -> int:
        """Number of epochs of the schedule: those of --epochs, or as many as fit into --time-limit."""
        return self.fitted_epochs or self.epochs


def save_config(
    run: Path, model: ViTConfig, training: TrainingConfig, tolerance: Mapping[str, Any] | None = None
) -> None:
    """Write RUN/config.json and the files for transformers.

    `tolerance`: limits in mm of the training, by scene; None or empty: config.json has none.
    """
    document = {"format": FORMAT, "version": VERSION, "model": asdict(model), "training": training.model_dump()}
    document |= {TOLERANCE: dict(tolerance)} if tolerance else {}
    for name, text in hub_files.files_of(model).items():
        write_text(run / name, text)
    write_text(run / CONFIG, json.dumps({**document, **hub_files.keys_of(model)}, indent=2) + "\n")


def load_config(run: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read RUN/config.json; returns the network's configuration and the training's settings, see `read_config`."""
    return read_config(run / CONFIG)


def read_config(path: Path) -> tuple[ViTConfig, TrainingConfig]:
    """Read a run's config.json; returns the configuration of the network and the settings of the training.

    Raises:
        InputError: The file is missing, not JSON, of another format or version, or has unknown keys or values out of
            range.
    """
    document = read_document(path, FORMAT, VERSION, {"model", "training", TOLERANCE, *hub_files.KEYS})
    model = section(ViTConfig, document.get("model"), f"{path} model")
    return model, section(TrainingConfig, document.get("training"), f"{path} training")


def load_model(run: Path, which: str = "best") -> ViT:
    """Load the trained network of a run, in evaluation mode.

    Args:
        which: Weights to load: `best` or `last`.

    Raises:
        InputError: The run is missing or its files do not fit together.
    """
    config, _ = load_config(run)
    model = ViT(config)
    path = run / WEIGHTS[which]
    tensors, _ = read_tensors(path)
    load_weights(model, tensors, str(path))
    return model.eval()


def load_classes(model: ViT, run: Path) -> list[str]:
    """Load the best weights of another run into a network; the classes of the two may differ.

    Weights of a class are matched by the class's name; classes that the other run lacks keep their random weights.

    Args:
        model: A new network, equal to the run's except for its classes.
        run: The other run's folder.

    Returns:
        Names of the classes that the other run lacks.

    Raises:
        InputError: The run is missing, or its network has another shape.
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
        return other  # load_weights raises the error
    out = own.clone()
    for to, source in kept:
        out[to] = other[source]
    return out
