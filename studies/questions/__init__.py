"""The sections of results.md, one module for each question: its measures, table and figure.

`section(found, picture)` of each module draws the question's finished runs into the PNG file `picture`, and returns the
section's paragraphs in Markdown.

ladder, supervision, improvement, views, pretraining, attention, florence2, soart    questions 1 to 8
curves, shares                                                    curves over epochs; reading shares from results
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from studies.findings import Found
from studies.questions import attention, florence2, improvement, ladder, pretraining, soart, supervision, views

SECTIONS: dict[int, Callable[[Found, Path], list[str]]] = {
    1: ladder.section,
    2: supervision.section,
    3: improvement.section,
    4: views.section,
    5: pretraining.section,
    6: attention.section,
    7: florence2.section,
    8: soart.section,
}
