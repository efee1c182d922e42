"""LoRA (low-rank adaptation): small matrices train beside frozen linear layers, and are merged into these at the end.

Patterns in common use match nothing in Florence-2's projector and only `fc2` in its image encoder. Therefore a pattern
that matches nothing in a part of the model is an error. The embeddings of the location tokens train too, because
Florence-2 writes coordinates as tokens. The merge is checked: it must not change the logits.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.core.errors import DifferentResultsError, InputError
from trainer.core.run_folder import write_json

ALL_PARTS = (
    r".*(vision_tower\.blocks.*\.(qkv|proj|fc1|fc2)|multi_modal_projector\.image_projection"
    r"|language_model.*\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2))"
)
PARTS = ("vision_tower", "multi_modal_projector", "language_model.encoder", "language_model.decoder")
# Largest allowed difference of logits by the merge, in float32; relative to the largest logit if that exceeds 1.
MERGE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Matched:
    """Linear layers that a pattern matched in one part of the model: names of the layers, number of their weights."""

    part: str
    modules: tuple[str, ...]
    parameters: int


def match(model: nn.Module, pattern: str = "") -> list[Matched]:
    """Find the linear layers whose whole name matches a pattern (empty: `ALL_PARTS`), for each part of the model.

    Raises:
        InputError: The pattern is no regular expression, or matches nothing in some part.
    """
    pattern = pattern or ALL_PARTS
    try:
        compiled = re.compile(pattern)
    except re.error as e:
        raise InputError(f"--lora-target: expected a regular expression, got {pattern!r}: {e}") from e
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    found = []
    for part in PARTS:
        inside = {name: m for name, m in linears.items() if f"{part}." in name}
        names = tuple(name for name in inside if compiled.fullmatch(name))
        found.append(Matched(part, names, sum(inside[name].weight.numel() for name in names)))
    empty = [m.part for m in found if not m.modules]
    if empty:
        raise InputError(
            f"--lora-target {pattern!r}: expected linear layers in every part of the model, got none in "
            f"{', '.join(empty)}; names look like {next(iter(linears))!r} and {list(linears)[-2]!r}"
        )
    return found


def add(
    model: Any, location_ids: Sequence[int], rank: int, alpha: int, pattern: str = "", seed: int = 0
) -> tuple[Any, list[Matched]]:
    """Add LoRA to a model; its own weights are frozen, except the embeddings of the location tokens.

    Args:
        model: `Florence2ForConditionalGeneration`; changed in place.
        location_ids: Ids of the location tokens.
        rank: Rank of the added matrices.
        alpha: The matrices' product is scaled by alpha / rank.
        pattern: Regular expression of whole names of linear layers; empty: all layers of every part.
        seed: Seed of the matrices that start at random.

    Returns:
        PEFT's model, and the layers to which LoRA was added.

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
    """Return lines on LoRA for the terminal: its layers in each part of the model; `trained` of `every` parameters."""
    lines = [f"LoRA in {m.part}: {len(m.modules)} layers of {m.parameters / 1e6:.2f} M weights" for m in matched]
    return [
        *lines,
        f"{trained:,} of {every:,} parameters are trained ({trained / every:.2%}), with embeddings of location tokens",
    ]


def changes(before: dict[str, Tensor], after: nn.Module) -> list[dict[str, Any]]:
    """Measure how much training changed each parameter.

    A matrix that several modules share, such as the embeddings, is listed once.

    Args:
        before: Weights by name, before training.
        after: The trained model, LoRA merged, with the same names.

    Returns:
        A dict for each parameter: `name`; `part` of the model; `parameters`, its number of weights; `change`, the
        Frobenius norm of the difference; `relative`, `change` divided by the norm before (None if that is 0);
        `changed`, whether it changed.
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
    """Write `rows`, the result of `changes`, into RUN/changes.json; returns the totals for each part of the model."""
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
    """Merge LoRA into the model and check that the logits stay the same.

    Args:
        model: PEFT's model; not usable afterwards.
        inputs, labels: Inputs and answers' token ids of the batch on which logits are compared.

    Returns:
        The plain Florence-2, and the largest difference of any logit by the merge.

    Raises:
        DifferentResultsError: The merged model gives other logits.
    """
    model.eval()
    with torch.inference_mode():
        before = model(**inputs, labels=labels).logits
    merged = model.merge_and_unload()
    with torch.inference_mode():
        after = merged(**inputs, labels=labels).logits
    difference = float((after - before).abs().max())
    # Written so that a difference of NaN is refused, too.
    if not difference <= MERGE_TOLERANCE * max(1.0, float(before.abs().max())):
        raise DifferentResultsError(
            f"merging LoRA: expected the same logits as before, got a difference of {difference:.3g}: the merged model "
            "is wrong. The adapter in the run is not, but only PEFT loads it; the same training ends so again"
        )
    return merged, difference


def matched_as_json(matched: Sequence[Matched]) -> list[dict[str, Any]]:
    """Return for each part a dict with its name, layers and number of weights, for summary.json."""
    return [asdict(m) for m in matched]
