"""The page docs/explanation/soart_detection.md and the AUROC values beside it."""

import json

import pandas as pd

from benchmarks.soart_evaluation import CONDITIONS, KEYS, SHOWN, area_tables, head, tables
from tests.conftest import ROOT

KEPT = ROOT / "docs" / "explanation" / "soart_detection.md"


def test_the_kept_page_has_the_kept_values():
    found = pd.read_csv(KEPT.with_suffix(".csv")).set_index(KEYS)
    assert KEPT.read_text("utf-8").startswith(f"{head()}\n{area_tables(found)}\n")


def judged(cell: str, condition: str, score: float, **scores: float) -> dict[str, object]:
    """A picture as `detect` writes it: every method has the same score but those named."""
    image = dict.fromkeys(SHOWN, score) | scores
    pins = {name: [value] for name, value in image.items()}
    hint = "r1c1: bent" if cell else None
    return {
        "run": "1",
        "cell": cell,
        "condition": condition,
        "image": image,
        "pin": image if cell else None,
        "pins": None if cell else pins,
        "hint": hint,
    }


def test_the_page_shows_values_as_rendered_and_the_csv_file_all_conditions(tmp_path):
    """Of four pairs as rendered all are in order; under noise half of them for SOARTC."""
    found = [judged("", condition, score) for condition in CONDITIONS for score in (0.1, 0.2)]
    found += [judged("bent", condition, score) for condition in CONDITIONS[:-1] for score in (0.8, 0.9)]
    found += [judged("bent", CONDITIONS[-1], score, SOARTC=0.15) for score in (0.8, 0.9)]
    (tmp_path / "detect.json").write_text(json.dumps(found), "utf-8")
    tables(tmp_path, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text("utf-8")
    assert text.count(f"| bent | {' | '.join(['**1.000**'] * 7)} |") == 2
    assert "| bent | 2 × *bent* |" in text
    values = pd.read_csv(tmp_path / "page.csv").set_index(KEYS)
    assert values.loc[("picture", "noise 5/255", "bent"), "SOARTC"] == 0.5
