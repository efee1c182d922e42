"""Initial weights from a published checkpoint: a ViT or DeiT saved by transformers, in a folder or on the Hub.

Such a network has a linear stem, learned positions and a class token, and `ViTConfig` is set accordingly. Its blocks,
last norm, patch embedding and positions (interpolated to the new grid) are loaded; its class token becomes the first
register. The heads for the new classes get random weights. The stem's kernels for channels that the checkpoint lacks
(local contrast, NSOART) are zero, so that before the first step all tokens equal the checkpoint's own.

Only config.json, preprocessor_config.json and model.safetensors are read: none of these files can run code.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.core.errors import InputError
from trainer.core.run_folder import load_weights, read_json, read_tensors
from trainer.vit.network.blocks import resized_positions
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import FORMAT

# OWNER/NAME or OWNER/NAME@REVISION
HUB_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")
CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
TOKENS = {"vit": ("cls_token",), "deit": ("cls_token", "distillation_token")}
# Names of a block's layers: ours; theirs in files; theirs in the memory of transformers 5.
BLOCK = {
    "norm1": ("layernorm_before",),
    "q": ("attention.attention.query", "attention.q_proj"),
    "k": ("attention.attention.key", "attention.k_proj"),
    "v": ("attention.attention.value", "attention.v_proj"),
    "attention.proj": ("attention.output.dense", "attention.o_proj"),
    "norm2": ("layernorm_after",),
    "mlp.0": ("intermediate.dense", "mlp.fc1"),
    "mlp.2": ("output.dense", "mlp.fc2"),
}
LAYER = ("encoder.layer", "layers")


@dataclass(frozen=True)
class Pretrained:
    """A published checkpoint, read and checked to be complete.

    Args:
        name: Name as given to --init.
        shape: Fields of `ViTConfig` that the weights require.
        mean, std: Mean and standard deviation per channel, of pixels in [0, 1], used in the checkpoint's training.
        tensors: Tensors by their names in `ViT`; `stem.projection.weight` is (dim, 3, patch, patch).
        positions: Position embeddings (h, w, dim).
        tokens: Class token and, of DeiT, distillation token (T, dim), with their positions added.
    """

    name: str
    shape: dict[str, Any]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    tensors: dict[str, Tensor]
    positions: Tensor
    tokens: Tensor

    def network(
        self,
        classes: tuple[str, ...],
        size: tuple[int, int],
        statistics: tuple[tuple[float, ...], tuple[float, ...]],
        given: Mapping[str, Any],
    ) -> ViTConfig:
        """Make the configuration of the network for these weights.

        Args:
            classes, size: Class names of the data, and picture size (W, H) in px.
            statistics: Mean and standard deviation of the data's channels; used from the fourth channel on.
            given: Fields of `ViTConfig` given as options; they may ask for fewer blocks and more registers.

        Raises:
            InputError: An option contradicts the checkpoint.
        """
        fixed = {key: self.shape[key] for key in ("patch_size", "dim", "heads", "mlp_ratio")}
        problems = [
            f"--{key.replace('_', '-')}: expected {value}, as --init {self.name} has, got {given[key]}"
            for key, value in fixed.items()
            if key in given and given[key] != value
        ]
        if given.get("depth", 1) > self.shape["depth"] or given.get("depth", 1) < 1:
            problems.append(
                f"--depth: expected 1 to {self.shape['depth']}, the number of blocks of --init {self.name}, got "
                f"{given['depth']}"
            )
        if given.get("registers", len(self.tokens)) < len(self.tokens):
            problems.append(
                f"--registers: expected at least {len(self.tokens)}, one for each class token of --init {self.name}, "
                f"got {given['registers']}"
            )
        if "stem_width" in given:
            problems.append(
                f"--stem-width: expected no such option, as --init {self.name} has no convolutional stem, got "
                f"{given['stem_width']}"
            )
        if problems:
            raise InputError(problems)
        mean, std = statistics
        own = {"mean": (*self.mean, *mean[3:]), "std": (*self.std, *std[3:]), "channels": len(mean)}
        picture = {"classes": classes, "width": size[0], "height": size[1]}
        try:
            return ViTConfig(**{**self.shape, "registers": len(self.tokens), **given, **picture, **own})
        except InputError as e:
            raise InputError([f"--init {self.name}: {problem}" for problem in e.problems]) from e


def is_checkpoint(source: str) -> bool:
    """Return whether `--init` names a checkpoint of transformers and not a run.

    A folder is known by its config.json, a name on the Hub by the form OWNER/NAME if there is no such folder.
    """
    path = Path(source)
    if not path.exists():
        return HUB_NAME.fullmatch(source) is not None
    try:
        document = json.loads((path / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("format") != FORMAT and "model_type" in document


def _from_hub(source: str) -> Path:
    """Return the checkpoint's folder in the Hub's local cache; files that are missing there are downloaded."""
    found = HUB_NAME.fullmatch(source)
    assert found is not None
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(found["name"], revision=found["revision"], allow_patterns=[CONFIG, PROCESSOR, WEIGHTS])
        )
    except Exception as e:  # the Hub's client and its transport raise many types
        said = str(e).strip().splitlines() or [type(e).__name__]
        raise InputError(
            f"--init {source}: expected a run, a folder in transformers' format or a name on the Hub, "
            f"got no such folder, and the Hub said: {said[0]}"
        ) from e


def _pair(value: Any) -> tuple[int, int]:
    down, across = value if isinstance(value, list | tuple) else (value, value)
    return int(down), int(across)


def _shape(path: Path) -> tuple[dict[str, Any], tuple[int, int], str]:
    """Read a checkpoint's config.json: fields of `ViTConfig`, grid (h, w) of its positions, its model_type."""
    document = read_json(path, "a JSON object")
    kind = document.get("model_type")
    if kind not in TOKENS:
        raise InputError(f"{path}: expected model_type {' or '.join(map(repr, TOKENS))}, got {kind!r}")
    # transformers' defaults: its files may leave these keys out.
    values = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "patch_size": 16,
        "image_size": 224,
        "num_channels": 3,
        "hidden_act": "gelu",
        **document,
    }
    problems = [
        f"{path}: {key}: expected {wanted!r}, got {values[key]!r}"
        for key, wanted in (("hidden_act", "gelu"), ("num_channels", 3))
        if values[key] != wanted
    ]
    try:
        patch, image = _pair(values["patch_size"]), _pair(values["image_size"])
        dim, hidden = int(values["hidden_size"]), int(values["intermediate_size"])
        depth, heads = int(values["num_hidden_layers"]), int(values["num_attention_heads"])
        ratio = hidden / dim
    except (TypeError, ValueError, ZeroDivisionError) as e:
        raise InputError(f"{path}: expected numbers for hidden_size and the ViT's other dimensions: {e}") from e
    if patch[0] != patch[1] or min(patch) < 1:
        problems.append(f"{path}: patch_size: expected a square, got {list(patch)}")
    if problems:
        raise InputError(problems)
    shape = {"patch_size": patch[0], "dim": dim, "depth": depth, "heads": heads, "mlp_ratio": ratio}
    return ({**shape, "stem": "linear", "positions": "learned"}, (image[0] // patch[0], image[1] // patch[0]), kind)


def _spread(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read mean and standard deviation per channel of the checkpoint's training pixels; 0.5 where missing."""
    document = read_json(folder / PROCESSOR, "a JSON object") if (folder / PROCESSOR).is_file() else {}
    found = []
    for key in ("image_mean", "image_std"):
        values = document.get(key) or [0.5] * 3
        values = [values] * 3 if isinstance(values, int | float) else values
        if len(values) != 3 or not all(isinstance(v, int | float) for v in values):
            raise InputError(f"{folder / PROCESSOR}: {key}: expected three numbers, got {values!r}")
        found.append(tuple(float(v) for v in values))
    return found[0], found[1]


class _Reader:
    """Takes tensors from a file by their possible names, and collects problems with missing or wrong ones."""

    def __init__(self, path: Path, kind: str) -> None:
        tensors, _ = read_tensors(path)
        self.path, self.problems = path, list[str]()
        self.tensors = {name.removeprefix(f"{kind}."): tensor for name, tensor in tensors.items()}

    def take(self, names: list[str], shape: tuple[int, ...], may_lack: bool = False) -> Tensor:
        """Return the tensor with one of `names`, in float32.

        Without such a tensor of this shape, zeros are returned, and a message is added to `problems`. With `may_lack`,
        a missing tensor is no problem.
        """
        for name in names:
            if name in self.tensors:
                tensor = self.tensors[name].float()
                if tuple(tensor.shape) == shape:
                    return tensor
                self.problems.append(f"{self.path}: tensor {name!r}: expected shape {shape}, got {tuple(tensor.shape)}")
                break
        else:
            if not may_lack:
                self.problems.append(f"{self.path}: expected a tensor {' or '.join(map(repr, names))}, got none")
        return torch.zeros(shape)

    def linear(self, names: list[str], out: int, into: int | None) -> tuple[Tensor, Tensor]:
        """Return a layer's weight (out, into) and bias (out,); for a norm `into` is None and the weight is (out,).

        `names` are the layer's possible names. The bias of queries, keys and values may be missing and is then 0.
        """
        shape = (out,) if into is None else (out, into)
        may_lack = any("query" in n or "key" in n or "value" in n for n in names)
        weight = self.take([f"{name}.weight" for name in names], shape)
        return weight, self.take([f"{name}.bias" for name in names], (out,), may_lack)


def read(source: str) -> Pretrained:
    """Read a checkpoint of a native ViT or DeiT.

    Args:
        source: Folder with config.json and model.safetensors, or `OWNER/NAME[@REVISION]` on the Hub.

    Raises:
        InputError: The checkpoint is missing, of another kind, or its tensors contradict its config.json.
    """
    folder = Path(source) if Path(source).exists() else _from_hub(source)
    shape, grid, kind = _shape(folder / CONFIG)
    mean, std = _spread(folder)
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"--init {source}: expected the file {WEIGHTS} (weights in other formats may run code), "
            f"got the files {sorted(p.name for p in folder.iterdir())}"
        )
    reader = _Reader(folder / WEIGHTS, kind)
    dim, hidden = shape["dim"], round(shape["dim"] * shape["mlp_ratio"])
    shapes = {"mlp.0": (hidden, dim), "mlp.2": (dim, hidden), "norm1": (dim, None), "norm2": (dim, None)}
    tensors: dict[str, Tensor] = {}
    for index in range(shape["depth"]):
        found = {}
        for ours, theirs in BLOCK.items():
            names = [f"{layer}.{index}.{name}" for name in theirs for layer in LAYER]
            found[ours] = reader.linear(names, *shapes.get(ours, (dim, dim)))
        for part, which in (("weight", 0), ("bias", 1)):
            tensors[f"blocks.{index}.attention.qkv.{part}"] = torch.cat([found[n][which] for n in "qkv"])
            for ours in set(BLOCK) - set("qkv"):
                tensors[f"blocks.{index}.{ours}.{part}"] = found[ours][which]
    tensors["norm.weight"], tensors["norm.bias"] = reader.linear(["layernorm"], dim, None)
    embedding, patch = "embeddings.patch_embeddings.projection", shape["patch_size"]
    tensors["stem.projection.weight"] = reader.take([f"{embedding}.weight"], (dim, 3, patch, patch))
    tensors["stem.projection.bias"] = reader.take([f"{embedding}.bias"], (dim,))
    own = TOKENS[kind]
    places = reader.take(["embeddings.position_embeddings"], (1, len(own) + grid[0] * grid[1], dim))[0]
    tokens = torch.cat([reader.take([f"embeddings.{name}"], (1, 1, dim))[0] for name in own])
    if reader.problems:
        raise InputError(reader.problems)
    return Pretrained(
        name=source,
        shape=shape,
        mean=mean,
        std=std,
        tensors=tensors,
        positions=torch.unflatten(places[len(own) :], 0, grid),
        tokens=tokens + places[: len(own)],
    )


def load(model: ViT, source: Pretrained) -> list[str]:
    """Load a checkpoint's weights into a network of its shape.

    Args:
        model, source: A new network, configured by `Pretrained.network`, and the checkpoint.

    Returns:
        Lines for the terminal: which weights were loaded, and which are still random or zero.
    """
    config, own = model.config, model.state_dict()
    depth, taken = config.depth, len(source.tokens)
    state = {
        name: tensor
        for name, tensor in {**own, **source.tensors}.items()
        if not name.startswith("blocks.") or int(name.split(".")[1]) < depth
    }
    kernel = torch.zeros_like(own["stem.projection.weight"], device="cpu")
    kernel[:, :3] = source.tensors["stem.projection.weight"]
    state["stem.projection.weight"] = kernel
    state["positions"] = resized_positions(source.positions, config.grid)
    state["registers"] = torch.cat([source.tokens, own["registers"].cpu()[taken:]])
    load_weights(model, state, f"--init {source.name}")
    old, new = "x".join(map(str, source.positions.shape[:2])), "x".join(map(str, config.grid))
    positions = f"position embeddings of {old} patches" + (f" interpolated to {new}" if old != new else "")
    others = f", {config.registers - taken} more registers" if config.registers > taken else ""
    return [
        f"starts with {source.name}: {depth} of {source.shape['depth']} blocks, the last norm, the patch embedding, "
        f"{positions}, the class token{'s' if taken > 1 else ''} as register{'s' if taken > 1 else ''}",
        f"not in the checkpoint, so random: the heads for {len(config.classes)} classes, their pooling{others}; "
        "zero: the patch embedding of further channels",
    ]
