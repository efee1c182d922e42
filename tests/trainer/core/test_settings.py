"""Settings are stated once: options, `--help`, checks of config.json, conflicts and tables come from their models."""

import argparse
import json
from dataclasses import asdict

import pytest

from trainer.core.errors import InputError
from trainer.core.options import number
from trainer.core.run_folder import format_of, read_config, read_tensors
from trainer.core.settings import fields_of, other_settings, section, settings_table
from trainer.florence2 import options as florence2_options
from trainer.florence2.run import DetectionConfig, Detector
from trainer.vit import options as vit_options
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig

PARSERS = {TrainingConfig: vit_options.parser, ViTConfig: vit_options.parser, DetectionConfig: florence2_options.parser}
EVERY = [
    pytest.param(model, one, id=f"{model.__name__}.{name}")
    for model in PARSERS
    for name, one in fields_of(model).items()
]
# What the first version of each section held, before any setting was added.
FIRST_MODEL = {
    "classes": ["NG", "OK"],
    "width": 64,
    "height": 32,
    "channels": 3,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "patch_size": 8,
    "dim": 64,
    "depth": 1,
    "heads": 2,
    "mlp_ratio": 3.0,
    "stem_width": 32,
    "stem_depth": 2,
    "dropout": 0.0,
}
FIRST_TRAINING = {
    "epochs": 3,
    "batch_size": 8,
    "lr": 0.001,
    "warmup": 0.1,
    "weight_decay": 0.05,
    "clip": 1.0,
    "label_smoothing": 0.05,
    "patch_weight": 1.0,
    "close_ups": 0.6,
    "close_up_px": 64,
    "seed": 0,
    "threads": 2,
    "input": "nsoart",
    "augment": True,
}
FIRST_DETECTION = {
    "model": "tiny",
    "mode": "lora",
    "train_share": 100.0,
    "epochs": 40,
    "batch_size": 8,
    "accumulate": 1,
    "lr": 0.001,
    "warmup": 0.05,
    "weight_decay": 0.05,
    "clip": 1.0,
    "ema": 0.998,
    "location_smoothing": 3.0,
    "scaffold": 1.0,
    "close_ups": 0.4,
    "rank": 4,
    "alpha": 32,
    "target": "",
    "gradient_checkpointing": False,
    "digits": "as-is",
    "digits_share": 1.0,
    "remove_hyphens": False,
    "limit": 0,
    "seed": 0,
    "threads": 1,
    "input": "image",
    "augment": True,
}
DETECTOR = {
    "classes": ["NG", "OK"],
    "size": [64, 32],
    "threshold": 0.5,
    "seen": {"s": ["r1c1"]},
    "remove_hyphens": False,
    "input": "image",
    "pins": 0,
}


@pytest.mark.parametrize(("model", "one"), EVERY)
def test_every_setting_says_what_it_is_and_what_it_may_be(model, one):
    assert one.field.description
    if one.kind in (int, float):
        assert " from " in one.expected or " above " in one.expected or one.choices, "a number needs a range"
    if one.kind is str:
        assert one.asked.get("expected"), "a text needs words for what it is"
    assert one.option or one.asked["no_option"], "an option, or why there is none"


@pytest.mark.parametrize(("model", "one"), EVERY)
def test_every_option_is_in_its_command_and_its_help_ends_in_the_default(model, one):
    action = PARSERS[model]()._option_string_actions.get(one.option)
    if not one.option:
        assert action is None
        return
    assert action.dest == one.name and action.default is None
    assert action.help.replace("%%", "%") == one.field.description + (
        f" (default: {one.default})" if one.default else ""
    )
    assert bool(one.default) is (one.kind is not bool or "either" in one.asked)


@pytest.mark.parametrize("model", [TrainingConfig, DetectionConfig])
def test_the_defaults_are_what_the_settings_take(model):
    assert model(**model().model_dump()) == model()


def test_a_table_of_settings():
    rows = {row.name: row for row in settings_table(TrainingConfig)}
    assert list(rows) == list(TrainingConfig.model_fields)
    assert rows["lr"] == ("lr", "--lr", "0.001", "a number above 0 to 10", "highest learning rate")
    assert rows["stages"][1:4] == ("--stages", "none", "rising epochs such as 300,400,500")
    assert rows["augment"][1:4] == ("--no-augment", "off", "given or not")
    assert rows["amp"][1:4] == ("--amp", "auto: bf16 on a GPU that supports it", "one of auto, bf16, off")
    assert rows["clip"][1:4] == ("", "1", "a number above 0 to 1e+06")
    network = {row.name: row for row in settings_table(ViTConfig)}
    assert network["dim"][1:4] == ("--dim", "128", "a whole number from 8 to 4096")
    assert network["mean"][1:4] == ("", "(0.5, 0.5, 0.5)", "a list, each a number")
    rate = {row.name: row for row in settings_table(DetectionConfig)}["lr"]
    assert rate.default == "tiny 0.001; published full 2e-05, language 2e-05, decoder 5e-05, lora 0.0002"


def test_the_published_defaults_go_by_mode():
    found = DetectionConfig.published("decoder")
    assert found == {
        "epochs": 12,
        "location_smoothing": 0,
        "scaffold": 0,
        "close_ups": 0,
        "region_weight": 0,
        "ema": 0.999,
        "lr": 5e-5,
    }


def test_sections_of_the_first_version_are_read_with_the_values_of_then():
    first = ViTConfig(("NG", "OK"), 64, 32, dim=64, depth=1, heads=2, shifts=1)
    assert section(ViTConfig, FIRST_MODEL, "model") == first
    training = section(TrainingConfig, FIRST_TRAINING, "training")
    assert training == TrainingConfig(epochs=3, threads=2, input="nsoart", rows="all")
    assert section(DetectionConfig, FIRST_DETECTION, "training") == DetectionConfig(
        mode="lora", rank=4, digits="as-is", digits_share=1.0, region_weight=0.0
    )
    detector = section(Detector, DETECTOR, "detector")
    assert detector == Detector(("NG", "OK"), (64, 32), 0.5, {"s": ["r1c1"]}, False, "image", 0)


def test_sections_are_written_as_ever():
    written = json.loads(json.dumps(TrainingConfig(stages=(3, 5)).model_dump()))
    later = ("accumulate", "ema", "patience", "stages", "balanced", "rows", "init", "amp")
    later += ("max_escape", "fitted_epochs", "data_sha256", "measure_weight")
    assert list(written) == [*FIRST_TRAINING, *later]
    assert {key: written[key] for key in later} == {
        "accumulate": 1,
        "ema": 0.0,
        "patience": 0,
        "stages": [3, 5],
        "balanced": False,
        "rows": "observable",
        "init": "",
        "amp": "off",
        "max_escape": 0.0,
        "fitted_epochs": 0,
        "data_sha256": "",
        "measure_weight": 0.0,
    }
    assert list(DetectionConfig().model_dump()) == [
        *FIRST_DETECTION,
        "evaluate_every",
        "max_escape",
        "fitted_epochs",
        "data_sha256",
        "longest_side",
        "measure_weight",
        "region_weight",
        "balanced_positions",
    ]
    later_model = ("registers", "stem", "positions", "views", "shifts")
    assert list(asdict(ViTConfig(("NG", "OK"), 64, 32))) == [*FIRST_MODEL, *later_model]


@pytest.mark.parametrize(
    ("kind", "values", "change", "said"),
    [
        (TrainingConfig, FIRST_TRAINING, {"epochs": 3.0}, "a whole number from 1 to 100000, got 3.0"),
        (TrainingConfig, FIRST_TRAINING, {"epochs": True}, "a whole number from 1 to 100000, got True"),
        (TrainingConfig, FIRST_TRAINING, {"lr": 0}, "a number above 0 to 10, got 0"),
        (TrainingConfig, FIRST_TRAINING, {"lr": float("inf")}, "a number above 0 to 10, got inf"),
        (TrainingConfig, FIRST_TRAINING, {"warmup": 3}, "a number from 0 to 1, got 3"),
        (TrainingConfig, FIRST_TRAINING, {"warmup": "0.1"}, "a number from 0 to 1, got '0.1'"),
        (TrainingConfig, FIRST_TRAINING, {"augment": 1}, "true or false, got 1"),
        (TrainingConfig, FIRST_TRAINING, {"amp": "auto"}, "one of bf16, off, got 'auto'"),
        (TrainingConfig, FIRST_TRAINING, {"init": None}, "a run, or a ViT saved by transformers, got None"),
        (TrainingConfig, FIRST_TRAINING, {"stages": [1, "2"]}, "rising epochs such as 300,400,500, got [1, '2']"),
        (TrainingConfig, FIRST_TRAINING, {"stages": [0, 1]}, "rising epochs such as 300,400,500, got [0, 1]"),
        (ViTConfig, FIRST_MODEL, {"std": [0.1, None]}, "a list, each a number, got [0.1, None]"),
        (ViTConfig, FIRST_MODEL, {"views": "ab"}, "a list, each text, got 'ab'"),
        (ViTConfig, FIRST_MODEL, {"stem": "dense"}, "one of conv, linear, got 'dense'"),
        (ViTConfig, FIRST_MODEL, {"dropout": float("nan")}, "a number from 0 to 0.9, got nan"),
        (DetectionConfig, FIRST_DETECTION, {"train_share": 101}, "a number above 0 to 100, got 101"),
        (DetectionConfig, FIRST_DETECTION, {"mode": "half"}, "one of full, language, decoder, lora, got 'half'"),
        (Detector, DETECTOR, {"size": [1, 2, 3]}, "a list, both a whole number, got [1, 2, 3]"),
        (Detector, DETECTOR, {"seen": {"s": "a"}}, "an object, each value a list, each text, got {'s': 'a'}"),
    ],
)
def test_a_value_that_is_not_what_its_setting_expects(kind, values, change, said):
    with pytest.raises(InputError) as refused:
        section(kind, {**values, **change}, "config.json part")
    assert refused.value.problems == [f"config.json part: key {next(iter(change))!r}: expected {said}"]


def test_all_problems_are_told_at_once():
    values = {**FIRST_TRAINING, "momentum": 0.9, "lr": -1, "stages": [2, 1]}
    del values["seed"]
    with pytest.raises(InputError) as refused:
        section(TrainingConfig, values, "c")
    known = sorted(TrainingConfig.model_fields)
    assert refused.value.problems == [
        f"c: unknown key 'momentum'; known are {known}",
        "c: key 'seed' is missing",
        "c: key 'lr': expected a number above 0 to 10, got -1",
        "c: key 'stages': expected rising epochs such as 300,400,500, got [2, 1]",
    ]


def test_values_that_contradict_each_other_and_no_object():
    with pytest.raises(InputError, match=r"^c: dim: expected a multiple of 4 \* heads = 8, got 36$"):
        section(ViTConfig, {**FIRST_MODEL, "dim": 36}, "c")
    with pytest.raises(InputError, match=r"^c: expected a JSON object, got list$"):
        section(ViTConfig, [], "c")
    with pytest.raises(InputError, match=r"^c: expected text in Unicode, got Invalid JSON: [^\n]+$"):
        section(TrainingConfig, {**FIRST_TRAINING, "init": "\ud800"}, "c")


def test_a_shape_keeps_its_ranges_wherever_it_comes_from():
    with pytest.raises(InputError, match="depth: expected a number from 0 to 48, got 60"):
        ViTConfig(("NG", "OK"), 64, 32, depth=60)
    with pytest.raises(InputError, match=r"dropout: expected a number from 0 to 0\.9, got nan"):
        ViTConfig(("NG", "OK"), 64, 32, dropout=float("nan"))


def test_settings_change_only_to_what_their_ranges_hold():
    assert TrainingConfig(lr=1e-4).changed({"epochs": 2}) == TrainingConfig(lr=1e-4, epochs=2)
    for wrong in ({"epochs": 0}, {"stages": (2, 2)}, {"momentum": 1}):
        with pytest.raises(ValueError, match="validation error"):
            TrainingConfig().changed(wrong)
    with pytest.raises(ValueError, match="frozen"):
        TrainingConfig().epochs = 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "0"], "argument --epochs: expected a whole number from 1 to 100000, got '0'"),
        (["--epochs", "1.5"], "argument --epochs: expected a whole number from 1 to 100000, got '1.5'"),
        (["--lr", "0,1"], "argument --lr: expected a number above 0 to 10, got '0,1' (the decimal sign is a point)"),
        (["--shifts", "two"], "argument --shifts: expected a whole number, got 'two'"),
        (["--lr", "nan"], "argument --lr: expected a number above 0 to 10, got 'nan'"),
        (["--stages", "3,2"], "argument --stages: expected rising epochs such as 300,400,500, got '3,2'"),
        (["--stages", ""], "argument --stages: expected rising epochs such as 300,400,500, got ''"),
        (["--patch-size", "5"], "argument --patch-size: invalid choice: 5 (choose from 4, 8, 16)"),
        (["--rows", "some"], "argument --rows: invalid choice: 'some' (choose from"),
        (["--init", "a", "--config", "b"], "argument --config: not allowed with argument --init"),
    ],
)
def test_options_are_checked_as_config_json_is(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        vit_options.parser().parse_args(words)
    assert stop.value.code == 2 and said in capsys.readouterr().err


def test_what_the_options_say():
    args = vit_options.parser().parse_args(
        ["--stages", "1,3", "--no-augment", "--balanced", "--patch-size", "4", "--lr", "1e-2", "--amp", "auto"]
    )
    assert (args.stages, args.augment, args.balanced, args.patch_size, args.lr) == ((1, 3), False, True, 4, 0.01)
    held = TrainingConfig(stages=(1, 3), augment=True, balanced=True, lr=0.02)
    assert other_settings("RUN", held, args) == [
        "--lr: RUN was trained with 0.02, got 0.01; --resume keeps the run's settings",
        "--no-augment: RUN was trained with True, got False; --resume keeps the run's settings",
    ]
    args = florence2_options.parser().parse_args(["--lora-rank", "8", "--epochs", "40"])
    assert other_settings("RUN", DetectionConfig(), args) == [
        "--lora-rank: RUN was trained with 16, got 8; --resume keeps the run's settings"
    ]


def test_numbers_of_other_commands():
    assert number(int, 1, 10**9)("7") == 7 and number(float, 0, 1)("1") == 1.0
    for kind, text in ((int, "1.0"), (int, "0"), (int, "many"), (int, "11")):
        with pytest.raises(argparse.ArgumentTypeError, match=f"expected a whole number from 1 to 10, got '{text}'"):
            number(kind, 1, 10)(text)
    with pytest.raises(argparse.ArgumentTypeError, match="expected a number above 0 to 1, got '0'"):
        number(float, 0, 1, True)("0")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("threshold", float("nan"), "a number from 0 to 2"),
        ("threshold", float("inf"), "a number from 0 to 2"),
        ("threshold", -1, "a number from 0 to 2"),
        ("size", [10**30, 1], "a list, both a whole number"),
        ("size", [0, 1], "a list, both a whole number"),
        ("input", "x", "one of image, nsoart"),
    ],
)
def test_a_detector_has_values_that_can_be_used(key, value, expected):
    with pytest.raises(InputError) as caught:
        section(Detector, {**DETECTOR, key: value}, "detector")
    assert caught.value.problems == [f"detector: key {key!r}: expected {expected}, got {value!r}"]


@pytest.mark.parametrize("kind", ["vit", "florence2"])
def test_a_run_without_a_model_yet_says_how_to_get_one(tmp_path, kind):
    (tmp_path / "config.json").write_text(json.dumps({"format": f"pinsight-{kind}"}))
    resume = rf"saved none yet: resume it with `python -m trainer.{kind} --resume --out {tmp_path}`$"
    with pytest.raises(InputError, match=rf"^{tmp_path}: expected a trained model, got .* {resume}"):
        read_tensors(tmp_path / "best.safetensors")
    with pytest.raises(InputError, match="expected a safetensors file, got no such file"):
        read_tensors(tmp_path / "last.safetensors")


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("[" * 100_000, "values nested too deeply"),
        ('{"format": "pinsight-vit", "version": 1, "model": {"dim": 8, "dim": 16}}', "the key 'dim' twice"),
    ],
)
def test_a_config_that_is_ambiguous_or_nested_is_refused(tmp_path, text, got):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=f"expected JSON, got {got}"):
        read_config(tmp_path / "config.json", "pinsight-vit", 1, ["model"])
    assert format_of(tmp_path) is None
