"""Do one full and one LoRA step of a Florence-2-base with random weights, saved in the published format, on the CPU.

    python -m benchmarks.florence2_base --folder out/florence_base

Needs no download: the tokenizer is our own, filled up to the published number of tokens. Checks that loading, training,
saving, merging and reloading work at full size, and measures memory. Real training of this size needs a GPU.
"""

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from trainer.florence2 import lora
from trainer.florence2.answers import Vocabulary
from trainer.florence2.batches import Collator
from trainer.florence2.losses import DetectionLosses, parameter_groups
from trainer.florence2.network import bytes_needed, choose_parameters, load, trained_parameters
from trainer.florence2.run import DetectionConfig
from trainer.florence2.samples import Sample
from trainer.florence2.tiny import IMAGENET_MEAN, IMAGENET_STD, tiny_tokenizer

LABELS = ("BENDNG", "NUKENG")
TOKENS = 51289
SIZE = (768, 768)


def published_format(folder: Path) -> None:
    """Write a model of base size with random weights, and its processor, so that `from_pretrained` reads both."""
    from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration, Florence2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = tiny_tokenizer(LABELS)
    tokenizer.add_tokens([f"filler{i}" for i in range(TOKENS - len(tokenizer))])
    pictures = CLIPImageProcessorPil(
        size={"height": SIZE[1], "width": SIZE[0]},
        do_center_crop=False,
        resample=3,
        image_mean=list(IMAGENET_MEAN),
        image_std=list(IMAGENET_STD),
        image_seq_length=577,
    )
    text = BartConfig(
        vocab_size=TOKENS,
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
    )
    config = Florence2Config(
        vision_config={"projection_dim": 768}, text_config=text.to_dict(), image_token_id=tokenizer.image_token_id
    )
    torch.manual_seed(0)
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    Florence2Processor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)


def peak_gb() -> float:
    """Return the peak resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def step(model: Any, collator: Collator, config: DetectionConfig) -> tuple[float, float]:
    """Do one optimizer step on one random picture; returns the loss before and after the step."""
    accelerator = Accelerator(cpu=True)
    trainee = DetectionLosses(model, config, collator)
    optimizer = torch.optim.AdamW(parameter_groups(trainee, 0.05), lr=config.lr)
    pixels = torch.rand((3, SIZE[1], SIZE[0]), generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[100.0, 100.0, 150.0, 150.0], [300.0, 100.0, 350.0, 150.0]])
    sample = Sample(pixels, boxes, torch.tensor([0, 1]), torch.ones(2, dtype=torch.bool), torch.zeros(2))
    batch = collator([sample])
    trainee.eval()
    losses = []
    for _ in range(2):
        loss = trainee(batch, None)["loss"]
        losses.append(float(loss.detach()))
        if len(losses) == 1:
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return losses[0], losses[1]


def main() -> None:
    """Do a full and a LoRA training step, and print the results as one JSON object."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--folder", type=Path, required=True, help="folder to write the models into (about 3 GB)")
    folder: Path = p.parse_args().folder
    out: dict[str, Any] = {}
    published_format(folder / "base")
    source = (str(folder / "base"), LABELS, SIZE, 0)
    for mode in ("full", "lora"):
        began = time.monotonic()
        model, processor = load(*source)
        collator = Collator(processor, Vocabulary(processor.tokenizer, LABELS), (*LABELS, "OK"), SIZE)
        config = DetectionConfig(mode=mode, scaffold=0.0, location_smoothing=0.0, lr=1e-5)
        if mode == "lora":
            model, matched = lora.add(model, collator.vocabulary.location_ids, 16, 32)
            out["lora_modules"] = {m.part: len(m.modules) for m in matched}
            config = config.changed({"lr": 1e-3})
        else:
            choose_parameters(model, mode)
        trained, every = trained_parameters(model)
        before, after = step(model, collator, config)
        row = {"parameters": every, "trained": trained, "loss": [before, after]}
        row["estimate_gib_without_activations"] = bytes_needed(model, 0, False)["total"] / 2**30
        inputs = collator.inputs(torch.rand(1, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(1)))
        labels = torch.tensor([collator.vocabulary.tokens([[1, 2, 3, 4]], ["NUKENG"], SIZE)])
        model.eval()
        if mode == "lora":
            model, row["merge_difference"] = lora.merge(model, inputs, labels)
        with torch.inference_mode():
            logits = model(**inputs, labels=labels).logits
        model.save_pretrained(folder / mode)
        processor.save_pretrained(folder / mode)
        del model
        again, _ = load(str(folder / mode), LABELS, SIZE, 0)
        with torch.inference_mode():
            row["reload_difference"] = float((again(**inputs, labels=labels).logits - logits).abs().max())
        del again
        row["seconds"] = round(time.monotonic() - began, 1)
        row["peak_gb"] = round(peak_gb(), 2)
        out[mode] = row
    print(json.dumps(out, indent=2))


if __name__ == "__main__":
    main()
