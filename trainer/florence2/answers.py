"""The `<OD>` answer as tokens: boxes to tokens, tokens to boxes, and the grammar that generation must follow.

    </s> <s> label <loc> <loc> <loc> <loc> <loc> … label <loc> … </s>

A location is one of 1,000 bins of the picture's width or height. `AnswerGrammar.allowed` keeps generated answers
well-formed: labels from the given list, each at most once; four locations per box (x1, y1, x2, y2), with x2 >= x1 and
y2 >= y1; an end within the length limit. Edges are decoded to the middles of their bins, as floats; the parser of
transformers cuts them to whole pixels.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generator.bbox_str import BINS, encode
from trainer.core.errors import InputError

Box = tuple[float, float, float, float]
# Label of a token that no loss counts.
IGNORED = -100
# An edge's sharpness is the summed probability of the bins at most this far from the chosen one: 2 px in 256.
EDGE_REACH = 8
# Two boxes whose IoU is larger than this are taken as one object answered twice.
SAME_OBJECT_IOU = 0.6
_PART = re.compile(r"<loc_(\d+)>|([^<]+)")


@dataclass(frozen=True)
class Found:
    """One box of an answer.

    Args:
        box: xyxy in px of the picture.
        label: Class name, spelled as in the dataset.
        confidence: In [0, 1]: probability that a box of this label is there, lowered if its edges are uncertain.
        is_good: Whether the model holds the pin in the box for OK rather than for any defect.
    """

    box: Box
    label: str
    confidence: float
    is_good: bool = False


def without_duplicates(found: Sequence[Found]) -> list[Found]:
    """Drop each box whose IoU with a more confident box that is kept exceeds `SAME_OBJECT_IOU`.

    The two labels may differ, as a pin has one class only. The boxes that are kept stay in their order.
    """
    if len(found) < 2:
        return list(found)
    from torchvision.ops import nms  # takes seconds to import

    boxes, confidences = (
        torch.tensor(values, dtype=torch.float64)
        for values in zip(*((f.box, f.confidence) for f in found), strict=True)
    )
    return [found[index] for index in sorted(nms(boxes, confidences, SAME_OBJECT_IOU).tolist())]


class Vocabulary:
    """Token ids of labels, locations, and the start, end and padding of an answer.

    Args:
        tokenizer: The model's tokenizer.
        labels: All labels that an answer may contain, spelled as in the dataset.
        remove_hyphens: Whether the model writes labels without the dataset's hyphens.

    Raises:
        InputError: The tokenizer lacks a location token, or a label is empty, contains '<' or equals another.
    """

    def __init__(self, tokenizer: Any, labels: Sequence[str], remove_hyphens: bool = False) -> None:
        self.labels = tuple(labels)
        written = [label.replace("-", "") if remove_hyphens else label for label in labels]
        if len(set(written)) != len(written) or not all(w and "<" not in w for w in written):
            without = ", without their hyphens," if remove_hyphens else ""
            raise InputError(
                f"labels: expected labels that{without} are not empty, differ from each other and have no '<', "
                f"got {written}"
            )
        self.label_ids = [tuple(tokenizer(text, add_special_tokens=False).input_ids) for text in written]
        self.location_ids: list[int] = tokenizer.convert_tokens_to_ids([f"<loc_{i}>" for i in range(BINS)])
        if len(set(self.location_ids)) != BINS or tokenizer.unk_token_id in self.location_ids:
            raise InputError("the model's tokenizer: expected the tokens <loc_0> to <loc_999>, got one that lacks some")
        self.bin_of = {token: index for index, token in enumerate(self.location_ids)}
        self.bos: int = tokenizer.bos_token_id
        self.eos: int = tokenizer.eos_token_id
        self.pad: int = tokenizer.pad_token_id

    def tokens(self, boxes: Sequence[Sequence[float]], labels: Sequence[str], size: tuple[float, float]) -> list[int]:
        """Encode boxes, xyxy in px of a picture of `size` (W, H), as an answer's token ids, from `<s>` to `</s>`.

        The boxes are grouped by label and sorted by upper, then left edge; each label must be one of `self.labels`.
        """
        ids = [self.bos]
        for location, label in _PART.findall(encode(boxes, labels, *size)):  # type: ignore[arg-type]
            if location:
                ids.append(self.location_ids[int(location)])
            else:
                ids += self.label_ids[self.labels.index(label)]
        return [*ids, self.eos]

    def listed(self, boxes: Sequence[Sequence[float]], label: str, size: tuple[float, float]) -> list[int]:
        """Encode boxes of one label as an answer's token ids, in the order given; `boxes` and `size` as in `tokens`."""
        ids = [self.bos, *(self.label_ids[self.labels.index(label)] if len(boxes) else ())]
        for box in boxes:
            text = encode([box], ["x"], *size)  # type: ignore[arg-type]
            ids += [self.location_ids[int(location)] for location, _ in _PART.findall(text) if location]
        return [*ids, self.eos]


class AnswerGrammar:
    """Decides which tokens may follow in an answer; an instance is `generate`'s `prefix_allowed_tokens_fn`.

    Args:
        vocabulary: The model's labels and locations as tokens.
        most_boxes: Largest number of boxes in an answer; after so many only `</s>` is allowed.
    """

    def __init__(self, vocabulary: Vocabulary, most_boxes: int = 40) -> None:
        self.vocabulary = vocabulary
        self.most_boxes = most_boxes
        self.max_new_tokens = 2 + sum(map(len, vocabulary.label_ids)) + 4 * most_boxes
        self._locations = torch.tensor(vocabulary.location_ids)

    def __call__(self, batch_id: int, ids: Tensor) -> Tensor:
        """Return the token ids allowed after `ids`: the decoder's start token and the answer so far.

        transformers also passes `batch_id`, which is not used.
        """
        low, others = self._next(ids.tolist()[1:])
        # A slice of a tensor: making a list of 1,000 ids takes longer than the network's step.
        return torch.cat((self._locations[low:], self._locations.new_tensor(others)))

    def allowed(self, ids: Sequence[int]) -> list[int]:
        """Return the token ids allowed after the answer so far, `ids` from `<s>` on; after `</s>` only padding."""
        low, others = self._next(ids)
        return self.vocabulary.location_ids[low:] + others

    def _next(self, ids: Sequence[int]) -> tuple[int, list[int]]:
        """Return the lowest bin allowed next (`BINS`: no location is), and the ids of all other tokens allowed next."""
        v = self.vocabulary
        if not ids:
            return BINS, [v.bos]
        used: set[int] = set()
        prefix: tuple[int, ...] = ()  # tokens of an unfinished label
        bins: list[int] = []  # bins of an unfinished box
        boxes, in_group = 0, False
        for token in ids[1:]:
            if token == v.eos or token == v.pad:
                return BINS, [v.pad]
            if token in v.bin_of:
                if prefix:
                    used.add(v.label_ids.index(prefix))
                    prefix, in_group = (), True
                bins.append(v.bin_of[token])
                if len(bins) == 4:
                    bins, boxes = [], boxes + 1
            else:
                prefix, in_group = (*prefix, token), False
        if bins:
            return (bins[len(bins) - 2] if len(bins) >= 2 else 0), []
        open_labels = [
            label for index, label in enumerate(v.label_ids) if index not in used and label[: len(prefix)] == prefix
        ]
        following = sorted({label[len(prefix)] for label in open_labels if len(label) > len(prefix)})
        if prefix:
            return (0 if prefix in open_labels else BINS), following
        if boxes >= self.most_boxes:
            return BINS, [v.eos]
        return (0 if in_group else BINS), [*following, v.eos]


class PinsGrammar(AnswerGrammar):
    """Decides which tokens may follow in a list of pins: the class OK once, then one or more boxes.

    Args:
        vocabulary: The model's labels, OK among them, and locations as tokens.
        label: The class OK as the vocabulary spells it.
        most_boxes: Largest number of boxes.
    """

    def __init__(self, vocabulary: Vocabulary, label: str, most_boxes: int) -> None:
        super().__init__(vocabulary, most_boxes)
        self.label = vocabulary.label_ids[vocabulary.labels.index(label)]

    def _next(self, ids: Sequence[int]) -> tuple[int, list[int]]:
        v, begin = self.vocabulary, 1 + len(self.label)
        if len(ids) < begin:
            return BINS, [self.label[len(ids) - 1] if ids else v.bos]
        if len(ids) > begin and ids[-1] in (v.eos, v.pad):
            return BINS, [v.pad]
        boxes, edges = divmod(len(ids) - begin, 4)
        if edges:
            return (v.bin_of[ids[-2]] if edges >= 2 else 0), []
        return (0 if boxes < self.most_boxes else BINS), [v.eos] if boxes else []


class _BoxSteps(NamedTuple):
    """One box of an answer: index of its label, and the steps (indices into the answer's token ids) of the label's
    tokens (none unless it is the label's first box) and of its four locations.
    """

    label: int
    named: list[int]
    places: list[int]


def _boxes_in(ids: Sequence[int], v: Vocabulary) -> Iterator[_BoxSteps]:
    """Yield the boxes of an answer, given as token ids from `<s>` on.

    Raises:
        ValueError: `ids` break the grammar.
    """
    label = -1
    unread: list[int] = []  # steps of an unfinished label
    named: list[int] = []
    places: list[int] = []
    for step, token in enumerate(ids):
        if token == v.bos and step == 0:
            continue
        if token in (v.eos, v.pad):
            break
        if token not in v.bin_of:
            if places:
                raise ValueError(
                    f"expected four locations for a box, got {len(places)} in the tokens {ids[: step + 1]}"
                )
            unread.append(step)
            continue
        if unread:
            label, named, unread = _label_of([ids[at] for at in unread], v), unread, []
        if label < 0:
            raise ValueError(f"expected a label before the first location, got the tokens {ids[: step + 1]}")
        places.append(step)
        if len(places) == 4:
            yield _BoxSteps(label, named, places)
            named, places = [], []
    if places or unread:
        raise ValueError(f"expected complete boxes, got an answer that ends within a {'box' if places else 'label'}")


def _label_of(tokens: Sequence[int], v: Vocabulary) -> int:
    if tuple(tokens) not in v.label_ids:
        raise ValueError(f"expected a label, got the tokens {tuple(tokens)}")
    return v.label_ids.index(tuple(tokens))


def parse(
    ids: Sequence[int],
    vocabulary: Vocabulary,
    size: tuple[float, float],
    probabilities: Tensor | None = None,
    presence: bool = True,
) -> list[Found]:
    """Decode the boxes of a well-formed answer; returns the boxes in px of the picture, in the answer's order.

    Args:
        ids: Token ids from `<s>` on; those after `</s>` are ignored.
        vocabulary: The model's labels and locations as tokens.
        size: Size (W, H) of the picture in px.
        probabilities: (T, V) of each token at each of the T steps of `ids`; None: every confidence is 1.
        presence: Whether the confidence contains the probability that the answer names a box here; without it, it says
            only how sharp the edges are.

    Raises:
        ValueError: `ids` break the grammar.
    """
    v = vocabulary
    places = None if probabilities is None else probabilities[:, v.location_ids]
    found: list[Found] = []
    for one in _boxes_in(ids, v):
        bins = [v.bin_of[ids[step]] for step in one.places]
        x1, y1, x2, y2 = ((b + 0.5) * size[i % 2] / BINS for i, b in enumerate(bins))
        if x2 < x1 or y2 < y1:
            raise ValueError(f"expected x1 <= x2 and y1 <= y2, got bins {bins}")
        confidence = 1.0
        if probabilities is not None and places is not None:
            named = [float(probabilities[step, ids[step]]) for step in one.named]
            confidence = _sharpness(one, bins, places)
            if presence:
                # A further box of a label has no label tokens: take the probability that any location comes here.
                confidence *= math.prod(named) if named else float(places[one.places[0]].sum())
        found.append(Found((x1, y1, x2, y2), v.labels[one.label], confidence))
    return found


def _sharpness(one: _BoxSteps, bins: Sequence[int], places: Tensor) -> float:
    """Geometric mean of the sharpness of a box's four edges (see `EDGE_REACH`).

    Args:
        one: The box's steps in the answer.
        bins: Bins of its four locations.
        places: (T, 1000) probabilities of all locations at each step.
    """
    sharpness = 1.0
    for step, index in zip(one.places, bins, strict=True):
        # Relative to all locations: other tokens say nothing of where the edge lies.
        near = places[step, max(0, index - EDGE_REACH) : index + EDGE_REACH + 1].sum()
        sharpness *= float(near / places[step].sum().clamp(min=1e-12))
    return float(sharpness**0.25)
