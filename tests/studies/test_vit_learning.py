"""The learning curves of the ViT: the committed table is what the study's results give, and has a place in the docs."""

import csv

from studies import vit_learning
from studies.page import marked
from studies.results import TABLE, read_table
from trainer.vit.forecast import CURVES


def committed() -> list[dict[str, str]]:
    with CURVES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_committed_curves_hold_the_results_of_the_study():
    rows = [{name: str(value) for name, value in row.items()} for row in vit_learning.curves(read_table(TABLE))]
    assert len(rows) == 22 and all(row in committed() for row in rows)


def test_the_other_trainings_are_those_of_the_plan():
    wanted = {(str(run.data.rows("train")), " ".join(run.options)) for run in vit_learning.plan()}
    assert wanted <= {(row["pictures"], f"--epochs {row['epochs']} {row['options']}".strip()) for row in committed()}


def test_the_docs_show_the_committed_curves():
    text = vit_learning.page_table(committed())
    page = vit_learning.PAGE.read_text("utf-8")
    assert marked(page, "learning curves", text) == page
