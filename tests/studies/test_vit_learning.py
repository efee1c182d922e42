"""The learning curves of the ViT: the committed table is what the results of the study give, and the docs show it."""

import pandas as pd

from studies import vit_learning
from studies.datasets_made import taken
from studies.page import marked
from studies.results import TABLE, read_table
from trainer.vit import forecast
from trainer.vit.forecast import CURVES

COMMITTED = pd.read_csv(CURVES, keep_default_na=False)


def test_the_committed_curves_hold_the_results_of_the_study_and_the_trainings_of_the_plan():
    rows = vit_learning.curves(read_table(TABLE))
    count = 21 + len(vit_learning.DOCUMENTED)
    assert len(rows) == len(rows.merge(COMMITTED)) == count
    done = {tuple(row) for row in COMMITTED[["pictures", "init", "epochs", "seed"]].to_numpy().tolist()}
    starts = {True: forecast.BASE, False: forecast.RANDOM}
    planned = {
        (run.data.rows("train"), starts[run.init is not None], int(run.options[1]), run.seed)
        for run in vit_learning.plan()
    }
    assert planned <= done and len(COMMITTED) == count + len(vit_learning.plan())


def test_a_work_folder_with_some_trainings_keeps_the_others_of_the_table():
    new = COMMITTED.iloc[[3]].assign(balanced_accuracy=0.99)
    joined = vit_learning.joined(new, COMMITTED)
    assert joined.balanced_accuracy[3] == 0.99 and len(joined) == len(COMMITTED)
    assert joined.drop(3).equals(COMMITTED.drop(3))


def test_the_tested_connector_is_not_in_the_base():
    takes = [take for _, some in vit_learning.base().data.splits for take in some]
    assert [take.without for take in takes] == ["connector_3x9"] * 2
    rows = [
        {"run": scene, "split": "train", "scene": scene, "camera": "center"} for scene in ("dsub_9", "connector_3x9")
    ]
    assert taken(rows, takes[0]) == rows[:1]


def test_the_docs_show_the_committed_curves():
    page = vit_learning.PAGE.read_text("utf-8")
    assert marked(page, "learning curves", vit_learning.page_table(COMMITTED)) == page
