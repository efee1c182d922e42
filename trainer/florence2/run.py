"""Settings and files of a Florence-2 run.

RUN/config.json           settings, classes, picture size, threshold, addresses of pins that were defective in training
RUN/model/                the trained model and its processor, as `from_pretrained` reads them; LoRA merged in
RUN/adapter/              with `--mode lora`: the adapter alone, as PEFT reads it
RUN/best.safetensors      trained parameters of the best epoch: their exponential moving average (EMA)
RUN/state.safetensors     state for `--resume`: trained parameters, their EMA, the optimizer's moments
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from trainer.core import run_folder
from trainer.core.errors import InputError
from trainer.core.held_out import ANY_SCENE
from trainer.core.run_folder import TOLERANCE
from trainer.core.settings import DATA_SHA256, FITTED_EPOCHS, MAX_ESCAPE, THREADS, Settings, fields_of, section, setting
from trainer.florence2.network import MODE_WORDS, Mode, load
from trainer.vit.network.model import OK_CLASS

FORMAT = "pinsight-florence2"
VERSION = 1
MODEL, ADAPTER = "model", "adapter"
# Kinds of texts that are drawn on pictures to test a run: see `drawn_texts.with_texts`.
DRAWN_TEXTS = ("overlaid", "edges", "varied")
UNFINISHED = "finish the training with `python -m trainer.florence2 --resume`"


class DetectionConfig(Settings):
    """Settings of a Florence-2 training that change its result; the defaults are those of `--model tiny`."""

    model: str = setting(
        "tiny",
        "tiny: a small Florence-2 with random weights; or a checkpoint to fine-tune: its folder or its id on the Hub",
        expected="tiny, a checkpoint's folder, or its id on the Hub",
        group="model",
        metavar="ID_OR_PATH",
    )
    mode: Mode = setting(
        "full",
        "parameters that train. " + "; ".join(f"{mode}: {words}" for mode, words in MODE_WORDS.items()),
        group="model",
    )
    train_share: float = setting(
        100.0,
        "train at most this percentage of all parameters, in whole blocks, from the output back to the input; the "
        "first block trains in any case",
        gt=0,
        le=100,
        group="model",
        metavar="P",
    )
    epochs: int = setting(40, "passes over the training split", ge=1, le=100_000, published=12)
    batch_size: int = setting(8, "pictures per batch and process", ge=1, le=4096)
    accumulate: int = setting(1, "batches per optimizer step", ge=1, le=4096)
    lr: float = setting(
        1e-3,
        "peak learning rate",
        gt=0,
        le=10,
        published={"full": 2e-5, "language": 2e-5, "decoder": 5e-5, "lora": 2e-4},
    )
    warmup: float = setting(
        0.05, "share of the steps, from the first on, during which the learning rate rises", ge=0, le=1
    )
    weight_decay: float = setting(0.05, "weight decay of AdamW, for matrices and kernels only", ge=0, le=10)
    clip: float = setting(1.0, "norm to which a larger gradient is scaled down", gt=0, le=1e6, no_option="fixed")
    ema: float = setting(
        0.998,
        "decay per step of the exponential moving average (EMA) of the weights, which the run saves; 0: the run saves "
        "the weights themselves",
        ge=0,
        le=0.99999,
        published=0.999,
    )
    location_smoothing: float = setting(
        3.0,
        "standard deviation of the Gaussian that is the target of a box edge, in bins (thousandths of the picture's "
        "side); 0: the target is one bin",
        ge=0,
        le=100,
        metavar="BINS",
        published=0.0,
    )
    scaffold: float = setting(
        1.0,
        "weight of the auxiliary losses, which teach the places of all pins; 0: only the loss of the answer",
        ge=0,
        le=1000,
        published=0.0,
    )
    close_ups: float = setting(
        0.4,
        "share of the epochs, from the first on, that train on cut-outs of pins in place of whole pictures",
        ge=0,
        le=1,
        metavar="SHARE",
        published=0.0,
    )
    rank: int = setting(16, "rank of LoRA's matrices", ge=1, le=1024, option="lora_rank", group="LoRA")
    alpha: int = setting(
        32, "the product of LoRA's matrices is scaled by ALPHA / RANK", ge=1, le=4096, option="lora_alpha", group="LoRA"
    )
    target: str = setting(
        "",
        "regular expression that matches the whole names of the linear layers to which LoRA's matrices are added",
        expected="a regular expression",
        shown="all, in every part of the model",
        option="lora_target",
        group="LoRA",
        metavar="REGEX",
    )
    gradient_checkpointing: bool = setting(
        False, "compute activations again in the backward pass: less memory, more time"
    )
    digits: Literal["as-is", "varied", "printed", "overlaid", "none"] = setting(
        "as-is",
        "pictures to train on. as-is: all; varied: all, with random numbers and other texts drawn beside the pins and "
        "anywhere else, never on them; printed: those with print on the housing; overlaid: all, with cavity "
        "numbers drawn above the pins; none: those without print",
        group="data",
    )
    digits_share: float = setting(
        0.25,
        "with --digits varied, printed or overlaid: share of the training pictures that have texts, print or numbers",
        ge=0,
        le=1,
        shown="0.25 with varied, otherwise 1",
        group="data",
        metavar="S",
    )
    remove_hyphens: bool = setting(False, "write classes in answers without hyphens: BENDNG for BEND-NG", group="data")
    limit: int = setting(0, "use up to N pictures, drawn by --seed; 0: all", ge=0, le=10**9, group="data", metavar="N")
    seed: int = setting(0, "seed of weights, order and augmentation", ge=0, le=2**31 - 1)
    threads: int = THREADS
    input: Literal["image", "nsoart"] = setting(
        "image",
        "the dataset's pictures to train on. image: RGB; nsoart: how much each small window differs from the picture's "
        "mean window or, after `generator build --nsoart golden`, from good parts",
        group="data",
    )
    augment: bool = setting(True, "train on pictures as they are: not moved, mirrored or relit", group="data")
    evaluate_every: int = setting(
        1,
        "measure validation every N epochs and after the last epoch; the best epoch is one of those measured",
        ge=1,
        le=100_000,
        metavar="N",
        earlier=1,
    )
    max_escape: float = MAX_ESCAPE
    fitted_epochs: int = FITTED_EPOCHS
    data_sha256: str = DATA_SHA256
    longest_side: int = setting(
        512,
        "with --model tiny: pictures with a longer side than this are scaled down to it, in px",
        ge=64,
        le=768,
        group="model",
        metavar="PX",
        earlier=512,
    )
    measure_weight: float = setting(
        0.0,
        "weight of the auxiliary loss from measures, which teaches displacement in mm and presence of each pin, "
        "if the dataset states them and --scaffold is not 0; 0: none",
        ge=0,
        le=1000,
        earlier=0.0,
    )
    region_weight: float = setting(
        0.5,
        "weight of the auxiliary loss from regions, which teaches to name the class of what a given box contains, if "
        "--scaffold is not 0; with it the model lists all pins, and boxes get their confidence from it; 0: none",
        ge=0,
        le=1000,
        published=0.0,
        earlier=0.0,
    )
    balanced_positions: bool = setting(
        False,
        "the auxiliary losses from regions and cells do not learn that pins are good where no training picture has a "
        "defect, and learn it less often where few have one, so that a place alone does not mean good",
        earlier=False,
    )

    @property
    def scheduled(self) -> int:
        """Number of epochs of the schedule: those of --epochs, or as many as fit into --time-limit."""
        return self.fitted_epochs or self.epochs

    @property
    def reads_regions(self) -> bool:
        """Whether the training teaches regions."""
        return self.scaffold > 0 and self.region_weight > 0

    @classmethod
    def published(cls, mode: str) -> dict[str, Any]:
        """Return the defaults for published checkpoints that differ from those of `--model tiny`, by name of setting.

        `mode` is the value of --mode, on which some of the defaults depend.
        """
        found = {name: one.asked["published"] for name, one in fields_of(cls).items() if "published" in one.asked}
        return {name: value[mode] if isinstance(value, dict) else value for name, value in found.items()}


# Options of LoRA, and the names of their settings.
LORA = {one.option: name for name, one in fields_of(DetectionConfig).items() if one.asked.get("group") == "LoRA"}
# Allowed side of the network's pictures in px.
Side = Annotated[int, Field(ge=1, le=65_536)]
# Most pins of a list: with the boxes of an answer, their steps fit into the positions of a published checkpoint.
MOST_PINS = 120


@dataclass(frozen=True)
class Detector:
    """Facts on a run for prediction and evaluation.

    Args:
        classes: All class names, OK among them.
        size: Size (W, H) of the network's pictures in px.
        threshold: Confidence from which a box counts, chosen on validation by `metrics.best_threshold`; 0.5 until the
            training ends.
        seen: Addresses of the pins that are defective in a training picture, by scene.
        remove_hyphens: Whether the model writes labels without hyphens.
        input: Column of the training pictures: `image` or `nsoart`.
        pins: Largest number of pins in a training picture, if the model learned to list pins and to name regions (see
            `trainer.florence2.regions`); 0: it did not.
    """

    classes: tuple[str, ...]
    size: tuple[Side, Side]
    threshold: Annotated[float, Field(ge=0, le=2)]
    seen: dict[str, list[str]]
    remove_hyphens: bool
    input: Literal["image", "nsoart"]
    pins: Annotated[int, Field(ge=0, le=MOST_PINS)]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that an answer may name: all but OK."""
        return tuple(name for name in self.classes if name != OK_CLASS)


def save_config(
    run: Path, training: DetectionConfig, detector: Detector, tolerance: Mapping[str, Any] | None = None
) -> None:
    """Write RUN/config.json: settings, facts for prediction, and `tolerance` (limits in mm of the data, by scene)."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "training": training.model_dump(),
        "detector": asdict(detector),
        **({TOLERANCE: dict(tolerance)} if tolerance else {}),
    }
    run_folder.write_json(run / run_folder.CONFIG, document)


def load_config(run: Path) -> tuple[DetectionConfig, Detector]:
    """Read RUN/config.json; returns the settings of the training and the facts for prediction.

    Raises:
        InputError: The folder or file is missing, of another format or version, or has unknown keys.
    """
    path = run / run_folder.CONFIG
    document = run_folder.read_config(path, FORMAT, VERSION, ("training", "detector", TOLERANCE))
    training = section(DetectionConfig, document.get("training"), f"{path} training")
    known = document.get("detector")
    if isinstance(known, dict):
        known = {"pins": 0, **known}  # runs of earlier versions did not learn regions
    if isinstance(known, dict) and isinstance(known.get("seen"), list):
        known = {**known, "seen": {ANY_SCENE: known["seen"]}}  # earlier versions stored addresses without their scene
    return training, section(Detector, known, f"{path} detector")


def save_model(folder: Path, model: Any, processor: Any) -> None:
    """Write a model and its processor into a folder, so that `from_pretrained` reads both."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def load_detector(run: Path) -> tuple[Any, Any, Detector]:
    """Load the trained model of a run in evaluation mode, its processor, and its `Detector`.

    Raises:
        InputError: The run is missing or was not finished.
    """
    training, detector = load_config(run)
    if not (run / MODEL / "config.json").is_file():
        raise InputError(f"{run / MODEL}: expected the trained model's config.json, got no such file; {UNFINISHED}")
    model, processor = load(str(run / MODEL), (), detector.size, training.seed)
    return model.eval(), processor, detector
