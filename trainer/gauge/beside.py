"""Compare a gauge's verdicts on parts with those of a classifier that judged pictures of the same parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from generator.io.file_names import names_same_dataset
from generator.verdict.envelope import Verdict, overall
from trainer.core import results_folder
from trainer.core.errors import InputError
from trainer.core.intervals import share
from trainer.core.results_folder import EVALUATION, PREDICTIONS

_DECIDED = (str(Verdict.OK), str(Verdict.NG))
_COLUMNS = {"split", "run", "part", "verdict"}


@dataclass(frozen=True)
class Classifier:
    """Verdicts of a ViT, from its evaluation on the dataset on which the gauge is evaluated.

    Attributes:
        name: name of the ViT's run.
        lines: table with the columns `split`, `run` (manifest row), `part` and `verdict`: a line for each picture, or
            for each part if the ViT judges parts by several views.
        by_part: whether the lines are of parts.
    """

    name: str
    lines: pd.DataFrame
    by_part: bool


def read_classifier(folder: Path, data: str) -> Classifier:
    """Read the verdicts of a ViT from the folder that `trainer.evaluate` wrote.

    Args:
        folder: the folder of the ViT's evaluation.
        data: name of the dataset's folder; the evaluation must be of a dataset with this name.

    Raises:
        InputError: the folder holds no evaluation of a ViT, or one of another dataset.
    """
    document = results_folder.read(folder / EVALUATION, "a ViT's evaluation", model=str, data=str)
    path = folder / PREDICTIONS
    if not names_same_dataset(document["data"], data):
        raise InputError(
            f"{folder / EVALUATION}: expected an evaluation of a dataset named {data}, got one of {document['data']}"
        )
    try:
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected the predictions of a ViT's evaluation, got {error}") from None
    if lacking := _COLUMNS - set(lines):
        raise InputError(f"{path}: expected the columns of a ViT's predictions, got none named {', '.join(lacking)}")
    return Classifier(document["model"], lines, bool(document.get("views")))


def beside(parts: pd.DataFrame, split: str, classifier: Classifier) -> dict[str, Any] | None:
    """Compare the gauge's and the classifier's verdicts on the parts of a split that the classifier has judged, too.

    If the classifier judged picture by picture, its verdict on a part is the first of NG, INVALID, UNSURE, OK that one
    of the gauge's pictures of this part has. It has judged the part only if it judged all of these pictures.

    Args:
        parts: table of parts with the gauge's verdicts, from `judge_pins`.
        split: the split's name.
        classifier: the classifier's verdicts.

    Returns:
        None if the classifier judged no part. Otherwise `classifier`: its name; `parts`: number of parts that it
        judged, `left_out`: number of the other parts; `matrix`: number of parts by truth (OK, NG), then the gauge's
        verdict, then the classifier's. Only parts to which neither gives UNSURE or INVALID: `alike`, the share with
        equal verdicts; `right`, of those with unequal verdicts the number that the `gauge` judges right, and the number
        that the `classifier` does.
    """
    said = _verdicts(parts, split, classifier)
    known = said != ""
    if not known.any():
        return None
    compared = parts[known].assign(classifier=said[known])
    both = compared[compared.verdict.isin(_DECIDED) & compared.classifier.isin(_DECIDED)]
    apart = both[both.verdict != both.classifier]
    truth = apart.ng.map({True: str(Verdict.NG), False: str(Verdict.OK)})
    return {
        "classifier": classifier.name,
        "parts": len(compared),
        "left_out": int((~known).sum()),
        "matrix": {
            title: {
                str(one): {str(other): int(((of.verdict == one) & (of.classifier == other)).sum()) for other in Verdict}
                for one in Verdict
            }
            for title, of in (("OK", compared[~compared.ng]), ("NG", compared[compared.ng]))
        },
        "alike": share(len(both) - len(apart), len(both)),
        "right": {"gauge": int((apart.verdict == truth).sum()), "classifier": int((apart.classifier == truth).sum())},
    }


def _verdicts(parts: pd.DataFrame, split: str, classifier: Classifier) -> pd.Series:
    """The classifier's verdict on each part; empty where it did not judge the part, or not all of its pictures."""
    lines = classifier.lines[classifier.lines.split == split]
    if classifier.by_part:
        by_part = dict(zip(lines.part, lines.verdict, strict=True))
        return parts.part.astype(str).map(lambda part: by_part.get(part, ""))
    by_run: Mapping[str, str] = dict(zip(lines.run, lines.verdict, strict=True))

    def of_part(runs: str) -> str:
        each = [by_run.get(run, "") for run in runs.split(";")]
        return str(overall(map(Verdict, each))) if all(each) else ""

    return parts.runs.map(of_part)
