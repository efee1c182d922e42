"""What a Florence-2 run keeps on disk, and how it is read back.

RUN/config.json           settings, classes, picture size, threshold, pins that were defective in training
RUN/model/                the trained model and its processor, as `from_pretrained` reads them; LoRA merged in
RUN/adapter/              with `--mode lora`: the adapter alone, as PEFT reads it
RUN/best.safetensors      what trained, of the best epoch (averaged weights)
RUN/state.safetensors     what `--resume` goes on from: what trained, its average, the optimizer's moments
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trainer.core import run_folder
from trainer.core.errors import InputError
from trainer.core.held_out import ANY_SCENE
from trainer.core.settings import section
from trainer.florence2.network import load
from trainer.vit.network.model import OK_CLASS

FORMAT = "pinsight-florence2"
VERSION = 1
MODEL, ADAPTER = "model", "adapter"


@dataclass(frozen=True)
class DetectionConfig:
    """Settings of a training that change its result.

    Args:
        model: `tiny`, a folder or an id.
        mode: `full`, `language`, `decoder` or `lora`.
        train_share: Per cent of the model's parameters that train at most.
        epochs: Passes over the training pictures; the learning rate reaches its end with the last.
        batch_size: Pictures per step and process, before accumulation.
        accumulate: Batches per step.
        lr: Highest learning rate.
        warmup: Share of the steps during which it rises.
        weight_decay: AdamW's, on matrices and kernels only.
        clip: Largest norm of the gradient.
        ema: Decay of the average of the weights per step; 0 = none.
        location_smoothing: Standard deviation in bins by which a location's target is spread; 0 = one bin.
        scaffold: Weight of what the boxes teach beside the answer; 0 = the answer alone.
        close_ups: Share of the epochs, the first ones, that show close-ups instead of whole pictures.
        rank: Of LoRA's matrices.
        alpha: LoRA's scale times rank.
        target: Pattern of LoRA's modules; empty = all linear layers of all parts.
        gradient_checkpointing: Compute activations again in the backward pass, to save memory.
        digits: `as-is`, `printed`, `overlaid` or `none`.
        digits_share: Share of the training pictures to which `digits` applies.
        remove_hyphens: Whether answers write labels without hyphens, as the source does.
        limit: Train on so many pictures; 0 = all.
        seed: Seeds weights, order and augmentation.
        threads: CPU threads; results repeat to the bit for equal numbers.
        input: Column of the pictures: `image` or `nsoart`.
        augment: Whether training pictures are moved and their light changed.
        evaluate_every: Measure validation after every so many epochs, and after the last: the best is one of these.
        data_sha256: Digest of the dataset's content; empty where its card has none.
    """

    model: str = "tiny"
    mode: str = "full"
    train_share: float = 100.0
    epochs: int = 40
    batch_size: int = 8
    accumulate: int = 1
    lr: float = 1e-3
    warmup: float = 0.05
    weight_decay: float = 0.05
    clip: float = 1.0
    ema: float = 0.998
    location_smoothing: float = 3.0
    scaffold: float = 1.0
    close_ups: float = 0.4
    rank: int = 16
    alpha: int = 32
    target: str = ""
    gradient_checkpointing: bool = False
    digits: str = "as-is"
    digits_share: float = 1.0
    remove_hyphens: bool = False
    limit: int = 0
    seed: int = 0
    threads: int = 1
    input: str = "image"
    augment: bool = True
    evaluate_every: int = 1
    data_sha256: str = ""


# Settings that earlier versions did not write: their runs are taken to have measured each epoch, on any dataset.
LATER = {"evaluate_every": 1, "data_sha256": ""}


@dataclass(frozen=True)
class Detector:
    """What prediction needs to know of a run.

    Args:
        classes: All class names, OK among them.
        size: (W, H) px of the network's pictures.
        threshold: Confidence from which a box counts as said; chosen on validation.
        seen: Pins that carry a defect somewhere in training, by scene.
        remove_hyphens: Whether the model writes labels without hyphens.
        input: Column of the pictures it was trained on.
    """

    classes: tuple[str, ...]
    size: tuple[int, int]
    threshold: float
    seen: dict[str, list[str]]
    remove_hyphens: bool
    input: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes an answer may name."""
        return tuple(name for name in self.classes if name != OK_CLASS)


def save_config(run: Path, training: DetectionConfig, detector: Detector) -> None:
    """Write RUN/config.json."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "training": asdict(training),
        "detector": asdict(detector),
    }
    run_folder.write_json(run / run_folder.CONFIG, document)


def load_config(run: Path) -> tuple[DetectionConfig, Detector]:
    """Read RUN/config.json strictly.

    Raises:
        InputError: The folder or file is missing, of another format or version, or has unknown keys.
    """
    path = run / run_folder.CONFIG
    document = run_folder.read_config(path, FORMAT, VERSION, ("training", "detector"))
    training = section(DetectionConfig, document.get("training"), f"{path} training", LATER)
    known = document.get("detector")
    if isinstance(known, dict) and isinstance(known.get("seen"), list):
        known = {**known, "seen": {ANY_SCENE: known["seen"]}}  # earlier versions kept no scene
    detector = section(Detector, known, f"{path} detector")
    return training, replace(detector, classes=tuple(detector.classes), size=(detector.size[0], detector.size[1]))


def save_model(folder: Path, model: Any, processor: Any) -> None:
    """Write a model and its processor as `from_pretrained` reads them."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def load_detector(run: Path) -> tuple[Any, Any, Detector]:
    """The trained model of a run in evaluation mode, its processor, and what prediction needs to know.

    Raises:
        InputError: The run is missing or was not finished.
    """
    training, detector = load_config(run)
    if not (run / MODEL / "config.json").is_file():
        raise InputError(
            f"{run / MODEL}: expected the trained model, got nothing there; was the training finished? "
            "Go on with `python -m trainer.florence2 --resume`"
        )
    model, processor = load(str(run / MODEL), (), detector.size, training.seed)
    return model.eval(), processor, detector
