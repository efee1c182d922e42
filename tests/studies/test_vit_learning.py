"""The learning curves of the ViT: the committed table is what the results of the study give, and the docs show it."""

import pandas as pd

from studies import vit_learning
from studies.page import marked
from studies.results import TABLE, read_table
from trainer.vit.forecast import CURVES

COMMITTED = pd.read_csv(CURVES, keep_default_na=False)


def test_the_committed_curves_hold_the_results_of_the_study_and_the_trainings_of_the_plan():
    rows = vit_learning.curves(read_table(TABLE))
    assert len(rows) == 22 and len(rows.merge(COMMITTED)) == 22
    others = {(pictures, epochs) for pictures, epochs in COMMITTED[["pictures", "epochs"]].to_numpy().tolist()}
    assert {(run.data.rows("train"), int(run.options[1])) for run in vit_learning.plan()} <= others
    assert len(COMMITTED) == 22 + len(vit_learning.plan())


def test_the_docs_show_the_committed_curves():
    page = vit_learning.PAGE.read_text("utf-8")
    assert marked(page, "learning curves", vit_learning.page_table(COMMITTED)) == page
