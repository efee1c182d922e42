"""Adapt a ViT's run to a station by photographs of good parts, for `trainer.adapt`; makes a new run.

1. A change of the pictures is fitted to the photographs (`trainer.core.picture_transform`), towards the training
   renders under the light that is most like the station's. It is used only if it helps: more of the good parts are
   accepted by the run's gates, or the network's features are nearer to those of the training. P(NG) does not count: a
   change that makes the network blind would lower it.
2. The gates are widened for the good parts, by at most half.
3. The good parts are judged: the false alarms. Thresholds stay. A higher one would let more defects escape, which good
   parts cannot show.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from generator.io.checksum import sha256_of
from generator.io.view_names import parts_of, view_of
from generator.verdict.envelope import Verdict
from trainer.core import adaptation, frozen_threshold, run_folder
from trainer.core.adaptation_page import false_alarms
from trainer.core.console import say
from trainer.core.decision import Thresholds
from trainer.core.default_paths import DATASET_FILES
from trainer.core.errors import InputError
from trainer.core.gates import REMEDY, Gates
from trainer.core.picture_transform import PictureStatistics, PictureTransform
from trainer.core.run_folder import CONFIG, SUMMARY
from trainer.core.training_looks import check_data, open_photographs, renders_by_light, training_views, view_facts
from trainer.vit import run as vit_run
from trainer.vit.gates import watch
from trainer.vit.network.letterbox import rgb
from trainer.vit.network.model import ViT
from trainer.vit.verdicts import DEFAULT_THRESHOLDS, PictureVerdict, judge, judge_part

# Files of a run that an adapted one keeps as they are. The training's results stay behind: they do not hold for it.
_KEPT = (CONFIG, *DATASET_FILES)
# Sides of the pictures whose statistics are compared, at most, px.
_SIDE_PX = 512
_FROM_GOOD_TO_BAD = (Verdict.OK, Verdict.UNSURE, Verdict.INVALID, Verdict.NG)
Pictures = Mapping[str, Image.Image]


@dataclass(frozen=True)
class Network:
    """A run's network in evaluation mode, with what it judges by.

    Attributes:
        model, limits, temperature: the network, thresholds of P(NG), and what divides the logits.
        gates: limits beyond which a picture is INVALID.
        transforms: the change of each view's pictures.
    """

    model: ViT
    limits: Thresholds
    temperature: float
    gates: Gates
    transforms: Mapping[str, PictureTransform]

    @classmethod
    def load(cls, run: Path) -> "Network":
        """Load the best weights of a run, whose pictures are not changed yet."""
        held = frozen_threshold.load(run)
        limits, temperature = (held.limits, held.temperature) if held is not None else (DEFAULT_THRESHOLDS, 1.0)
        return cls(vit_run.load_model(run), limits, temperature, Gates.load(run), {})


@dataclass(frozen=True)
class Tried:
    """A kind of change, with what it does to photographs of good parts.

    Attributes:
        kind, transforms: the kind, and the change of each view; "" for a run without views.
        verdicts: verdict on each part.
        features: (N, C, rows, columns) of all pictures.
        far: median distance of the features from the training's, as a share of the limit; 0 without a gate.
    """

    kind: str
    transforms: Mapping[str, PictureTransform]
    verdicts: Sequence[PictureVerdict]
    features: np.ndarray
    far: float

    @property
    def accepted(self) -> int:
        """Number of parts that the gates accept."""
        return sum(each.verdict != "INVALID" for each in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Return kind, number of accepted parts and distance of the features."""
        return {
            "kind": self.kind,
            "accepted": self.accepted,
            "of": len(self.verdicts),
            "distance of features": round(self.far, 4),
        }


def adapt(asked: adaptation.AdaptationOptions) -> dict[str, Any]:
    """Make the adapted run; returns the content of its adaptation.json.

    Raises:
        InputError: the run, the dataset or a photograph cannot be used, the run lacks gates, thresholds or fitness,
            or there are too few photographs.
    """
    adaptation.refuse(asked.run, "trainer.adapt")
    config, settings = vit_run.load_config(asked.run)
    if settings.input != "image":
        raise InputError(f"--model {asked.run}: expected a run trained on the column image, got {settings.input}")
    facts = check_data(asked.data, asked.run, settings.data_sha256)
    by = Network.load(asked.run)
    _check_complete(asked.run, by.gates)
    parts, files = _photographs(asked, config.views)
    photographs: dict[str, list[np.ndarray]] = {}
    for pictures in parts.values():
        for view, picture in pictures.items():
            photographs.setdefault(view, []).append(_small(picture))
    renders = {view: _nearest(asked.data, view, own) for view, own in photographs.items()}
    tried = [_tried(by, kind, parts, photographs, renders) for kind in asked.kinds]
    chosen = tried[adaptation.choose([(each.accepted, each.far) for each in tried], len(parts))]
    for each in tried:
        say(
            f"change {each.kind}: {each.accepted} of {len(parts)} good parts accepted, features {each.far:.2f} of limit"
        )
    say(f"change of the pictures: {chosen.kind}")
    shown = [chosen.transforms[view].apply(each) for one in parts.values() for view, each in one.items()]
    gates = by.gates.widened(shown, chosen.features, adaptation.WIDEST)
    final = replace(by, gates=gates, transforms=chosen.transforms)
    document = {
        "data": facts,
        "photographs": files,
        "views": view_facts(
            chosen.transforms, renders, lambda view, by: [_small(by.apply(one[view])) for one in parts.values()]
        ),
        "tried": [each.to_json() for each in tried],
        "good_parts": _judged(final, parts, training_views(asked.data)),
    }
    adaptation.copy(asked.run, asked.out, _KEPT)
    gates.save(asked.out)
    _write_frozen(asked)
    adaptation.seal(asked.run, asked.out, document)
    return document


def _check_complete(run: Path, gates: Gates) -> None:
    """Check that a run has gates, thresholds and fitness of its own: they are not made for an adapted run."""
    held, lacking = frozen_threshold.load(run), [gates.lacking] if gates.lacking else []
    if held is None:
        lacking.append(f"no {frozen_threshold.FROZEN}")
    elif held.fitness is None:
        lacking.append(f"{frozen_threshold.FROZEN} without fitness")
    if lacking:
        raise InputError(
            f"--model {run}: expected a run with thresholds, fitness and gates (limits of pictures that it can judge) "
            f"of its own, got {' and '.join(lacking)}; {REMEDY}"
        )


def _photographs(
    asked: adaptation.AdaptationOptions, views: Sequence[str]
) -> tuple[dict[str, Pictures], list[dict[str, str]]]:
    """Open the photographs: pictures by part and view ("" without views); name, view and SHA-256 of each file."""
    if views:
        parts, problems = parts_of(asked.photos, views)
        if problems:
            raise InputError(problems)
        names = set(parts)
    else:
        parts = {str(file): {"": file} for file in asked.photos}
        names = set(_part_names(parts, training_views(asked.data)).values())
    if len(names) < adaptation.FEWEST:
        raise InputError(
            f"--photos: expected photographs of at least {adaptation.FEWEST} good parts, got {len(names)} of them"
        )
    return open_photographs(parts)


def _part_names(files: Iterable[str], views: Sequence[str]) -> dict[str, str]:
    """By picture file, the name of its part: without the camera, if the name ends in one, and without the suffix."""
    named = {file: view_of(Path(file), views) for file in files}
    return {file: found[0] if found else str(Path(file).with_suffix("")) for file, found in named.items()}


def _small(picture: Image.Image) -> np.ndarray:
    """Pixels (H, W, 3) of a picture, whose longer side is at most 512 px."""
    factor = min(1.0, _SIDE_PX / max(picture.size))
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    shown = rgb(picture)
    return np.asarray(shown if size == shown.size else shown.resize(size, Image.Resampling.BOX))


def _nearest(folder: Path, view: str, photographs: Sequence[np.ndarray]) -> tuple[str, list[np.ndarray]]:
    """Name and pictures of the training's light that is most like the photographs'."""
    by_light = {light: [_small(each) for each in some] for light, some in renders_by_light(folder, view).items()}
    own = PictureStatistics.of(photographs)
    light = min(by_light, key=lambda name: own.distance(PictureStatistics.of(by_light[name])))
    return light, by_light[light]


def _tried(
    by: Network,
    kind: str,
    parts: Mapping[str, Pictures],
    photographs: Mapping[str, Sequence[np.ndarray]],
    renders: Mapping[str, tuple[str, Sequence[np.ndarray]]],
) -> Tried:
    transforms = {
        view: PictureTransform.fit(kind, own, PictureStatistics.of(renders[view][1]))
        for view, own in photographs.items()
    }
    adapted = replace(by, transforms=transforms)
    found = [_seen(adapted, pictures) for pictures in parts.values()]
    features = np.concatenate([each for _, each in found])
    gate = by.gates.features
    far = float(np.median(gate.distances(features)) / gate.limit) if gate is not None else 0.0
    return Tried(kind, transforms, [verdict for verdict, _ in found], features, far)


def _seen(by: Network, pictures: Pictures) -> tuple[PictureVerdict, np.ndarray]:
    """Verdict on a part, and the features (views, C, rows, columns) of its pictures."""
    inputs = {view: [by.transforms[view].apply(picture)] for view, picture in pictures.items()}
    with watch(by.model) as seen:
        if "" in pictures:
            verdict, _ = judge(by.model, pictures[""], by.limits, by.temperature, (), by.gates, inputs[""])
        else:
            verdict, _ = judge_part(by.model, pictures, by.limits, by.temperature, (), by.gates, inputs)
    return verdict, seen.features


def _judged(by: Network, parts: Mapping[str, Pictures], views: Sequence[str]) -> dict[str, Any]:
    """Verdicts of the adapted run on the good parts, of whose photographs it was made.

    A run without views judges each picture; a part then has the worst verdict on its pictures. `views`: cameras.
    """
    names, worst = _part_names(parts, views), dict[str, Verdict]()
    reasons: dict[str, set[str]] = {}
    for file, pictures in parts.items():
        verdict, _ = _seen(by, pictures)
        name = file if "" not in pictures else names[file]
        worst[name] = max(worst.get(name, Verdict.OK), verdict.verdict, key=_FROM_GOOD_TO_BAD.index)
        if verdict.verdict is Verdict.INVALID:
            reasons.setdefault(name, set()).update(each.partition(":")[0] for each in verdict.reasons)
    said = Counter(reason for name, some in reasons.items() if worst[name] is Verdict.INVALID for reason in some)
    return false_alarms(Counter(str(each) for each in worst.values()), said)


def _write_frozen(asked: adaptation.AdaptationOptions) -> None:
    """Write frozen.json with the run's thresholds and without its promises, and a summary without its results."""
    held = frozen_threshold.load(asked.run)
    sha256 = sha256_of(asked.out / run_folder.BEST)
    if held is not None:
        new = replace(held, weights_sha256=sha256, max_escape=None, operating_points=None)
        frozen_threshold.write(asked.out, new, f"as {asked.run.resolve().name}: not chosen on this station")
    path = asked.run / SUMMARY
    old = run_folder.read_json(path, "a run's summary") if path.is_file() else {}
    kept = {name: old[name] for name in ("data", "classes", "views") if name in old}
    run_folder.write_json(asked.out / SUMMARY, {**kept, "weights_sha256": sha256, "splits": {}})
