"""The terms of HTML pages with their meanings, and a class by which the first section with a term explains it."""

from __future__ import annotations

import re
from html import unescape

from generator.dataset.labels import ANSWER_LABELS, CLASS_MEANINGS

# Classes and verdicts: a page shows their meanings in full.
CLASS_WORDS = CLASS_MEANINGS
# All other terms: a page shows their meanings on a click, in the first section that uses them.
OTHER_WORDS = {
    "verdict": "the judgement on a picture or a whole part, such as OK or NG",
    "UNSURE": "neither OK nor NG: somebody has to look at the part",
    "INVALID": "not judged: the picture cannot be judged, or the part was not found or is unlike those of the training",
    "tolerance": "the largest deviation that is still good, in mm. It decides what is OK and what is NG",
    "true position": (
        "how far a pin's tip is from its place on the drawing, in mm, stated as a diameter: twice the distance"
    ),
    "retraction": "how far a terminal sits below its nominal height, in mm; negative where it protrudes",
    "tilt": "angle between a pin's tip and the mating direction, in degrees",
    "visible share": "share of a pin that the camera sees; the rest is hidden or out of the picture",
    "grey zone": (
        "pins measuring so close to a limit, on either side, that OK and NG can hardly be told apart; its width is "
        "chosen with generator build --grey"
    ),
    "observable": (
        "an NG picture is observable when at least one of its defects can be seen from this camera. A pin bent "
        "towards the camera, for example, may not be. A picture that shows nothing (black, white, or no pin in view) "
        "is not observable, whatever its class"
    ),
    "NSOART": (
        "three channels, computed from the picture, that compare each of its small windows with the picture's mean "
        "window or with a mean picture of good parts (golden): amount, shape and concentration of the difference, "
        "standardised by good parts"
    ),
    "mask": "picture in which each pixel has the number of the pin it shows, here coloured by class",
    "split": (
        "pictures set aside for one purpose: train teaches the network, choices are made on validation, test measures "
        "the network on pictures that were used for neither. No part is in two splits"
    ),
    "factor": "what was varied on purpose, such as camera, light or housing",
    "level": "one value of a factor: of the factor camera, for example, left",
    "marking": "what is printed on the housing",
    "address": "row and position of a pin: r2c5 is row 2 from the top, position 5 from the left, seen from the front",
    "held-out": (
        "pin positions at which no training picture has a defect: they show how well the network finds defects in "
        "places where it has never seen one"
    ),
    "part": "one physical (or rendered) connector; several pictures may show the same part",
    "threshold": (
        "a picture is judged NG if its P(NG) is at least this number, chosen once on validation and then kept (frozen)"
    ),
    "P(NG)": "probability that the network gives to NG: 1 minus that of OK",
    "temperature": "number that the network's scores are divided by, so that its probabilities are neither too sure "
    "nor too cautious; 1 changes nothing",
    "calibration certificate": (
        "file with the measured focal length and lens distortion of the cameras, made by generator calibrate; without "
        "a valid one, millimetres rest on the station's drawing"
    ),
    "calibration": (
        "whether probabilities mean what they say: of all answers given with 0.9, nine in ten should be right"
    ),
    "ECE": (
        "expected calibration error: mean difference between the predicted probability and the share of right answers; "
        "0 is best"
    ),
    "confidence": "probability, from 0 to 1, that the network gives to its answer",
    "95 % interval": (
        "confidence interval: range that covers the true value in 95 of 100 such measurements. The fewer parts, the "
        "wider"
    ),
    "95 % bounds": "lower and upper end of the confidence interval: see 95 % interval",
    "accuracy": "share of pictures whose class is right",
    "balanced accuracy": "mean of the recall of all classes: rare classes count as much as frequent ones",
    "recall": "share of a class's pictures (or of the true boxes) that was found",
    "precision": "share of the pictures called a class (or of the predicted boxes) that is right",
    "AUROC": "chance that an NG picture gets a higher P(NG) than an OK one: 1 is perfect, 0.5 is guessing",
    "escape": "an NG picture judged OK: a defect that would be delivered",
    "overkill": "an OK picture judged NG: a good part that would be rejected",
    "operating point": "a threshold with the escapes and the overkill that it gives: fewer of one, more of the other",
    "confusion matrix": "table of counts: true class by row, predicted class by column; right answers on the diagonal",
    "90/95 point": "size from which on at least 90 % of the defects are found, with 95 % confidence",
    "main effect": "accuracy at each level of a factor, over all levels of the other factors",
    "bootstrap": "interval estimated from 1,000 random draws, with repetition, out of the measured parts or pictures",
    "epoch": "one pass of the training over all training pictures",
    "best epoch": "the epoch whose weights were kept: the best one on validation",
    "loss": "measure of the errors, which the training reduces; 0: all answers certain and right",
    "weights": "the numbers in a network that training changes",
    "collapse": "a network that gives nearly every picture the same class",
    "learned by heart": (
        "test in which the network is trained on a few pictures until all are right. If it fails, it cannot learn the "
        "whole dataset either"
    ),
    "patch": "small square that the picture is cut into; the network compares patches",
    "seed": "number that fixes all random choices: equal seed, equal result",
    "attention": "how much each place of the picture contributed to the answer",
    "energy ratio": (
        "share of the attention inside the defect's box, divided by the box's share of the picture: 1 is chance"
    ),
    "entropy": "how evenly a map or an answer is spread: 0 is all in one place or class, the maximum is an even spread",
    "mAP": (
        "mean average precision of the predicted boxes, over the classes and over how well a box must match the true "
        "one (their overlap divided by the area that they cover together, 50 to 95 %): 1 is perfect"
    ),
    "mAP50": "mAP in which an overlap of half the area that both boxes cover together is a match",
    "right address and mode": "share of NG pins that have a predicted box with the right class",
    "false boxes": "predicted boxes where there is no defect",
    "missing pins found": "share of missing pins whose empty place got a box of the right class",
    "forgetting": "how much of its ability to read other pictures the model lost in training",
    "thousandths": "unit of the boxes in an answer: a thousandth of the picture's width or height",
}
# Every term with its meaning; all pages take their explanations from here.
WORDS = CLASS_WORDS | OTHER_WORDS
_MARKUP = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL)


def _pattern(word: str) -> re.Pattern[str]:
    """Return a pattern that finds a term in a text, also in the plural and at the beginning of a sentence.

    In the beginning of a longer term, such as calibration in "calibration certificate", the shorter one is not found.
    It also finds the other names of a class in Florence-2's answers, such as BEND-NG.
    """
    names = {word, *(labels[word] for labels in ANSWER_LABELS.values() if word in labels)}
    either = "|".join(map(re.escape, sorted(names)))
    longer = "|".join(re.escape(other[len(word) :]) for other in WORDS if other.startswith(word + " ")) or "(?!)"
    return re.compile(rf"(?<![\w-])(?:{either})(?:s|es|d)?(?!\w|{longer})", re.IGNORECASE if word.islower() else 0)


_PATTERNS = {word: _pattern(word) for word in WORDS}


def visible_text(html: str) -> str:
    """Return the text of a piece of HTML as a reader sees it, without markup, styles and scripts."""
    return unescape(_MARKUP.sub(" ", html))


class Explained:
    """Remembers the terms that a page has explained so far, so that each section explains only new ones."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def new_in(self, html: str) -> dict[str, dict[str, str]]:
        """Find the terms, not explained before, that a section (HTML) uses, or that the meanings of these terms use.

        Returns:
            Meanings by term: those of classes and verdicts under the key `classes`, all others under `others`.
        """
        found: set[str] = set()
        text = visible_text(html)
        while words := {
            word
            for word, pattern in _PATTERNS.items()
            if word not in self._known and word not in found and pattern.search(text)
        }:
            found |= words
            text = " ".join(WORDS[word] for word in words)
        self._known |= found
        return {
            "classes": {word: meaning for word, meaning in CLASS_WORDS.items() if word in found},
            "others": {word: meaning for word, meaning in OTHER_WORDS.items() if word in found},
        }
