"""The list of the study's runs, with their datasets and options.

`all_runs` makes the runs of the eight questions at one of the `SIZES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from studies.run import Data, Design, Run, Take


@dataclass(frozen=True)
class Size:
    """A size of the study.

    Args:
        pictures: Number of training pictures of a run.
        epochs: Number of epochs of a ViT's run.
        tests: Number of test pictures that are taken from each tested design.
        florence: Number of epochs of a Florence-2 run.
        stages: The epochs at which attention is scored.
    """

    pictures: int
    epochs: int
    tests: int
    florence: int
    stages: tuple[int, ...] = field(default=())


SIZES = {
    # At most 15 minutes a run on two cores of an office computer.
    "reduced": Size(504, 16, 180, 8, (8, 10, 12, 14, 16)),
    # All pictures of the designs, for a graphics card.
    "full": Size(1620, 72, 360, 40, (36, 45, 54, 63, 72)),
}
SEEDS = 3
FEW = (50, 150, 500)
CLOSE_UP_S, PICTURE_S, ANSWER_S, START_S, BOXES_S = 0.013, 0.09, 0.03, 40.0, 0.06


def _vit_seconds(pictures: int, epochs: int, close_ups: float = 0.5, judged: int = 1000) -> float:
    whole = round(epochs * (1 - close_ups))
    step = pictures * ((epochs - whole) * CLOSE_UP_S + whole * PICTURE_S)
    return START_S + step + ANSWER_S * (whole * 120 + judged)


def _ladder(size: Size) -> tuple[list[Design], list[Data]]:
    """Make the ladder, four ever more varied designs, and its four datasets: equal training size, all the tests."""
    # The first design's manifest is in the repository; the others are made from their SPECs.
    sources = ("ladder_1_shifted.csv", "ladder_2_allpins.toml", "ladder_3_mixed.toml", "ladder_4_housings.toml")
    count = size.pictures
    # Training rows to render: as many as the largest share that a dataset takes of the design.
    shares = (count, count // 2, count // 3, count // 4)
    designs = [
        Design(
            source.partition(".")[0],
            (f"manifests/{source}",),
            (("train", share), ("validation", 2 * max(120, size.tests))),
        )
        for source, share in zip(sources, shares, strict=True)
    ]
    first, all_pins, mixed, housings = designs
    tests = (
        ("test_shifted", (Take(first, "validation", size.tests, 1, 2),)),
        ("test_allpins", (Take(all_pins, "validation", size.tests, 1, 2),)),
        ("test_mixed", (Take(mixed, "validation", size.tests, 1, 2),)),
        ("test_housings", (Take(housings, "validation", size.tests, 1, 2),)),
        ("test_latched", (Take(housings, "test_latched"),)),
    )
    steps = []
    for step in range(1, 5):
        used = designs[:step]
        steps.append(
            Data(
                f"ladder_{step}",
                (
                    ("train", tuple(Take(d, "train", count // step) for d in used)),
                    ("validation", tuple(Take(d, "validation", 120 // step, 0, 2) for d in used)),
                    *tests,
                ),
            )
        )
    return designs, steps


def _shifted(design: Design, size: Size, pictures: int, improve: bool = False) -> Data:
    """Make a dataset: training pictures of the ladder's first design; its held-out pins for validation and test."""
    return Data(
        f"shifted_{pictures}" + ("_improved" if improve else ""),
        (
            ("train", (Take(design, "train", pictures),)),
            ("validation", (Take(design, "validation", 120, 0, 2),)),
            ("test", (Take(design, "validation", size.tests, 1, 2),)),
        ),
        improve,
    )


def all_runs(size_name: str = "reduced", seeds: int = SEEDS) -> list[Run]:
    """List every run of the study at a size of `SIZES`, with the seeds 0 to `seeds` - 1: by question, then by seed."""
    size = SIZES[size_name]
    questions = (_questions_1_and_6, _question_2, _question_3, _question_4, _question_5, _question_7, _question_8)
    runs = [run for question in questions for seed in range(seeds) for run in question(size, seed)]
    return sorted(runs, key=lambda run: run.question)


LADDER = ("shifted pins", "+ all pins", "+ mixed terminals", "+ changed housings")


def _epochs(size: Size, pictures: int) -> int:
    """Number of epochs that show at least 6,000 pictures (with repeats), so that few pictures do not mean few steps."""
    return max(size.epochs, 6000 // pictures)


def _questions_1_and_6(size: Size, seed: int) -> list[Run]:
    """List the runs of question 1, also those of question 6: it scores their attention at `Size.stages`."""
    _, steps = _ladder(size)
    options = ("--epochs", str(size.epochs), "--stages", ",".join(map(str, size.stages)))
    found = []
    for question in (1, 6):
        for variant, data in zip(LADDER, steps, strict=True):
            seconds = _vit_seconds(size.pictures, size.epochs) + 60
            splits = ("test_housings",)
            found.append(Run(question, variant, seed, data, "vit", options, attention=splits, seconds=seconds))
    return found


SUPERVISED = ("patches", "image labels")
INPUTS = {"RGB": "image", "NSOART": "nsoart", "both": "image+nsoart"}


def _question_2(size: Size, seed: int) -> list[Run]:
    data = _shifted(_ladder(size)[0][0], size, size.pictures)
    found = []
    for supervision, extra, share in (
        (SUPERVISED[0], (), 0.5),
        (SUPERVISED[1], ("--patch-weight", "0", "--close-ups", "0"), 0.0),
    ):
        for name, column in INPUTS.items():
            options = ("--epochs", str(size.epochs), "--input", column, *extra)
            seconds = _vit_seconds(size.pictures, size.epochs, share, 2 * size.tests)
            found.append(Run(2, f"{supervision}, {name}", seed, data, "vit", options, seconds=seconds))
    return found


def _question_3(size: Size, seed: int) -> list[Run]:
    design = _ladder(size)[0][0]
    few, epochs = 150, 3 * size.epochs
    plain, improved = _shifted(design, size, few), _shifted(design, size, few, improve=True)
    seconds = _vit_seconds(few, epochs, judged=size.tests)
    # With the copies there are five times as many pictures: a fifth of the epochs shows the same number.
    variants = (
        ("as rendered", plain, epochs, ("--no-augment",)),
        ("copies", improved, max(4, epochs // 5), ("--no-augment",)),
        ("the trainer's augmentation", plain, epochs, ()),
        ("both", improved, max(4, epochs // 5), ()),
    )
    return [
        Run(3, name, seed, data, "vit", ("--epochs", str(count), *options), originals=plain, seconds=seconds)
        for name, data, count, options in variants
    ]


CENTRE, FIVE, TOGETHER = "trained on the centre", "trained on five views", "trained on five views together"
TOGETHER_OWN = "five views together, from pre-trained weights (question 5)"


def _question_4(size: Size, seed: int) -> list[Run]:
    views = Design("views", ("studies/designs/views.toml",))
    centre = Design("centre", ("studies/designs/centre.toml",))
    tests = (("test", (Take(views, "test"),)),)
    five = Data("views", (*((s, (Take(views, s),)) for s in ("train", "validation")), *tests))
    one = Data("centre", (*((s, (Take(centre, s),)) for s in ("train", "validation")), *tests))
    options = ("--epochs", str(size.epochs))
    seconds = _vit_seconds(540, size.epochs, judged=700)
    return [
        Run(4, name, seed, data, "vit", (*options, *more), init, parts=True, rows="all", seconds=seconds)
        for name, data, more, init in (
            (FIVE, five, (), None),
            (TOGETHER, five, ("--views", "all"), None),
            (TOGETHER_OWN, five, ("--views", "all"), _pretraining(size, seed)),
            (CENTRE, one, (), None),
        )
    ]


NEW = ("a new connector", "new kinds of defect")
SCRATCH, OWN = "from scratch", "pre-trained"


def begun(target: str, count: int, start: str) -> str:
    """Return a variant's name: training on `count` pictures of `target` (see `NEW`), from `start`, SCRATCH or OWN."""
    return f"{target}, {count}, {start}"


def _pretraining(size: Size, seed: int) -> Run:
    """Make the run of pre-training on four connectors, without the new one."""
    several = Design("connectors", ("studies/designs/connectors.toml",))
    base = Data("connectors", (("train", (Take(several, "train"),)), ("validation", (Take(several, "validation"),))))
    options = ("--epochs", str(size.epochs))
    seconds = _vit_seconds(960, size.epochs, judged=120)
    return Run(5, "pre-training on four connectors", seed, base, "vit", options, seconds=seconds)


def _question_5(size: Size, seed: int) -> list[Run]:
    modes = Design("modes", ("studies/designs/modes.toml",))
    shifted = _ladder(size)[0][0]
    # The largest number of pictures of the new connector is question 2's dataset, with the same training from scratch.
    pictures = {count: size.pictures if 0 <= size.pictures - count < 10 else count for count in FEW}
    own = _pretraining(size, seed)
    found = [own]
    for count in FEW:
        epochs = _epochs(size, count)
        new = Data(
            f"modes_{count}",
            (("train", (Take(modes, "train", count),)), *((s, (Take(modes, s),)) for s in ("validation", "test"))),
        )
        for target, data in zip(NEW, (_shifted(shifted, size, pictures[count]), new), strict=True):
            for start, init in ((SCRATCH, None), (OWN, own)):
                seconds = _vit_seconds(count, epochs, judged=2 * size.tests)
                found.append(
                    Run(
                        5,
                        begun(target, count, start),
                        seed,
                        data,
                        "vit",
                        ("--epochs", str(epochs), "--input", INPUTS["RGB"]),
                        init,
                        seconds=seconds,
                    )
                )
    return found


DIGITS = ("printed", "overlaid", "none")
TUNED = {
    "LoRA": ("--mode", "lora"),
    "a quarter of the parameters": ("--train-share", "25"),
    "half of the parameters": ("--train-share", "50"),
    "all parameters": (),
}


def _question_7(size: Size, seed: int) -> list[Run]:
    """List the runs of a tiny Florence-2, trained from random weights (no published checkpoint), then on a new housing.

    It learns small pictures of five large pins in minutes; the ladder's pictures would take an hour.
    """
    boxes = Design("boxes", ("studies/designs/boxes.toml",))
    new = Design("boxes_new", ("studies/designs/boxes_new.toml",))
    splits = ("train", "validation", "test")
    known = Data("boxes", tuple((s, (Take(boxes, s),)) for s in splits))
    # The model that tuning starts from is measured on the new housing too.
    both = Data("boxes_both", (*known.splits, ("test_new", (Take(new, "test"),))))
    other = Data("boxes_new", (*((s, (Take(new, s),)) for s in splits), ("test_known", (Take(boxes, "test"),))))
    pictures, batch = 720, 4
    common = ("--model", "tiny", "--lr", "2e-3", "--batch-size", str(batch), "--evaluate-every", "2")

    def run(variant: str, *options: str, data: Data = known) -> Run:
        seconds = START_S + BOXES_S * pictures * size.florence + 120
        return Run(7, variant, seed, data, "florence2", (*common, *options), seconds=seconds)

    epochs = ("--epochs", str(size.florence))
    base = run("RGB", *epochs, data=both)
    found = [base, run("NSOART", *epochs, "--input", "nsoart")]
    # Half of the pictures have print: the same number is taken with and without.
    half = ("--limit", str(pictures // 2), "--epochs", str(2 * size.florence))
    found += [run(f"digits {digits}", *half, "--digits", digits) for digits in DIGITS]
    for name, options in TUNED.items():
        tuned = ("--batch-size", str(batch), "--epochs", "12", "--evaluate-every", "1", *options)
        seconds = START_S + 200 + BOXES_S * 160 * 12
        found.append(Run(7, f"tuned: {name}", seed, other, "florence2", tuned, init=base, seconds=seconds))
    return found


METHODS = ("difference", "1-SSIM", "1-ZNCC", "tolerance", "deviation", "SOARTC", "inspect")


def _question_8(size: Size, seed: int) -> list[Run]:
    station = Design("station", ("studies/designs/station.toml",))
    judged = Design("judged", ("soart_ok.csv", "soart_defects.csv"))
    found = []
    if seed == 0:  # no part of it is random
        data = Data("judged", (("test", (Take(judged, "test"),)),))
        found.append(Run(8, "without training", 0, data, "soart", seconds=900))
    for count in FEW:
        epochs = _epochs(size, count)
        data = Data(
            f"station_{count}",
            (
                ("train", (Take(station, "train", count),)),
                ("validation", (Take(station, "validation"),)),
                ("test", (Take(judged, "test"),)),
            ),
        )
        found.append(
            Run(
                8,
                f"ViT, {count} pictures",
                seed,
                data,
                "vit",
                ("--epochs", str(epochs)),
                cells=True,
                rows="all",  # also pictures that do not show the defect: the methods without training judge them too
                seconds=_vit_seconds(count, epochs, judged=1000),
            )
        )
    return found
