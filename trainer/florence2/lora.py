"""LoRA that says what it trains: modules matched per part of the model, the change of each, and a merge that is proven.

Patterns in common use match nothing in Florence-2's projector and only `fc2` in its image encoder; a pattern that
leaves out a whole part is an error here. The rows of the location tokens train with it, for coordinates are words of
this model.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.core.errors import InputError
from trainer.core.run_folder import write_json

ALL_PARTS = (
    r".*(vision_tower\.blocks.*\.(qkv|proj|fc1|fc2)|multi_modal_projector\.image_projection"
    r"|language_model.*\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2))"
)
PARTS = ("vision_tower", "multi_modal_projector", "language_model.encoder", "language_model.decoder")
# Logits of the merged model against those of the adapter beside it, float32.
MERGE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Matched:
    """What a pattern matched in one part of the model: modules, and their weights' number."""

    part: str
    modules: tuple[str, ...]
    parameters: int


def match(model: nn.Module, pattern: str = "") -> list[Matched]:
    """The linear layers that a pattern matches whole, per part.

    Raises:
        InputError: The pattern is no regular expression, or matches nothing in some part.
    """
    pattern = pattern or ALL_PARTS
    try:
        compiled = re.compile(pattern)
    except re.error as e:
        raise InputError(f"--lora-target {pattern!r}: expected a regular expression, got {e}") from e
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    found = []
    for part in PARTS:
        inside = {name: m for name, m in linears.items() if f"{part}." in name}
        names = tuple(name for name in inside if compiled.fullmatch(name))
        found.append(Matched(part, names, sum(inside[name].weight.numel() for name in names)))
    empty = [m.part for m in found if not m.modules]
    if empty:
        raise InputError(
            f"--lora-target {pattern!r}: expected modules in every part of the model, got none in {', '.join(empty)}; "
            f"names look like {next(iter(linears))!r} and {list(linears)[-2]!r}"
        )
    return found


def add(
    model: Any, location_ids: Sequence[int], rank: int, alpha: int, pattern: str = "", seed: int = 0
) -> tuple[Any, list[Matched]]:
    """Put LoRA into a model; everything else of it is frozen.

    Args:
        model: `Florence2ForConditionalGeneration`; changed in place.
        location_ids: Ids of the location tokens, whose rows train too.
        rank: Of the matrices.
        alpha: Scale times rank.
        pattern: Which linear layers, by whole name; all of all parts by default.
        seed: Of the matrices that begin at random.

    Returns:
        PEFT's model, and what was matched.

    Raises:
        InputError: As `match`.
    """
    from peft import LoraConfig, get_peft_model

    matched = match(model, pattern)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=0.0,
        target_modules=pattern or ALL_PARTS,
        trainable_token_indices={"shared": sorted(location_ids)},
    )
    torch.manual_seed(seed)
    return get_peft_model(model, config), matched


def described(matched: Sequence[Matched], trained: int, every: int) -> list[str]:
    """What LoRA trains, in lines for people."""
    lines = [f"LoRA in {m.part}: {len(m.modules)} modules of {m.parameters / 1e6:.2f} M weights" for m in matched]
    return [
        *lines,
        f"{trained:,} of {every:,} parameters train ({trained / every:.2%}), location rows among them",
    ]


def changes(before: dict[str, Tensor], after: nn.Module) -> list[dict[str, Any]]:
    """How far each parameter moved: Frobenius norm of the change, and over that of the parameter before.

    A matrix that several places share, as the embeddings do, counts once.

    Args:
        before: Weights by name, before training.
        after: The merged or trained model, with the same names.
    """
    rows = []
    for name, weight in after.named_parameters():
        if name not in before:
            continue
        old = before[name].double()
        change = float((weight.detach().cpu().double() - old).norm())
        norm = float(old.norm())
        part = next((p for p in (*PARTS, "language_model.shared") if p in name), "other")
        rows.append(
            {
                "name": name,
                "part": part,
                "parameters": weight.numel(),
                "change": change,
                "relative": change / norm if norm else None,
                "changed": change > 0,
            }
        )
    return rows


def write_report(rows: Sequence[dict[str, Any]], run: Path) -> dict[str, Any]:
    """Write RUN/changes.json; returns the totals per part."""
    totals: dict[str, Any] = {}
    for row in rows:
        total = totals.setdefault(
            row["part"], {"modules": 0, "changed": 0, "parameters": 0, "changed_parameters": 0, "change": 0.0}
        )
        total["modules"] += 1
        total["parameters"] += row["parameters"]
        total["changed"] += row["changed"]
        total["changed_parameters"] += row["parameters"] * row["changed"]
        total["change"] = (total["change"] ** 2 + row["change"] ** 2) ** 0.5
    write_json(run / "changes.json", {"parts": totals, "weights": list(rows)})
    return totals


def merge(model: Any, inputs: dict[str, Tensor], labels: Tensor) -> tuple[Any, float]:
    """Merge LoRA into the model and prove that nothing changed.

    Args:
        model: PEFT's, in evaluation mode; used up.
        inputs, labels: A batch to compare on.

    Returns:
        The plain Florence-2, and the largest difference of a logit.

    Raises:
        RuntimeError: The merged model gives other logits.
    """
    model.eval()
    with torch.inference_mode():
        before = model(**inputs, labels=labels).logits
    merged = model.merge_and_unload()
    with torch.inference_mode():
        after = merged(**inputs, labels=labels).logits
    difference = float((after - before).abs().max())
    if difference > MERGE_TOLERANCE * max(1.0, float(before.abs().max())):
        raise RuntimeError(
            f"merging LoRA: expected equal logits, got a difference of {difference:.3g}; RUN/adapter is right, "
            "the merged model is not"
        )
    return merged, difference


def matched_as_json(matched: Sequence[Matched]) -> list[dict[str, Any]]:
    """For summary.json."""
    return [asdict(m) for m in matched]
