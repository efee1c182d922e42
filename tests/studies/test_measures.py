"""The results that are extracted from a finished run."""

import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies import measures
from studies.findings import scores_of


def test_scores_are_kept_by_defect():
    judged = [("a", ""), ("b", ""), ("c", "bent_1mm"), ("d", "missing")]
    kept = measures.scores(judged, {"ViT": [0.1, 0.2, 0.8, 1 / 3]})
    assert kept["by_method"]["ViT"] == [0.1, 0.2, 0.8, 0.333333]
    by_cell = scores_of({"scores": kept}, "ViT")
    assert {cell: (list(good), list(bad)) for cell, (good, bad) in by_cell.items()} == {
        "bent 1mm": ([0.1, 0.2], [0.8]),
        "missing": ([0.1, 0.2], [0.333333]),
    }
    with pytest.raises(ValueError, match="next to each other"):
        measures.scores([judged[0], judged[2], judged[1]], {})


def test_a_vit_is_asked_about_the_pictures_that_the_others_judge():
    rows = [{"run": f"f{n}", "role": "fresh", "cell": ""} for n in range(70)]
    rows += [{"run": "p0", "role": "pool", "cell": ""}, {"run": "j0", "role": "judged", "cell": "bent"}]
    rows += [{"run": "t0"}]  # of the training's own design
    said = [{"run": row["run"], "split": "test", "p_ng": "0.25"} for row in rows if row["run"] != "t0"]
    kept = measures.vit_scores(said, rows)
    assert kept["cells"] == {"": 60, "bent": 1}
    assert kept["of"] == measures.scores([*((f"f{n}", "") for n in range(60)), ("j0", "bent")], {})["of"]


def test_answers_are_kept_by_class_and_picture():
    lines = [{"run": r, "truth": t, "said": s} for r, t, s in (("a", "OK", "BENDNG"), ("b", "OK", "OK"))]
    found = measures.answers(lines)
    assert found["classes"] == ["BENDNG", "OK"] and (found["truth"], found["said"]) == ("11", "01")
    assert measures.answers(lines[::-1])["of"] != found["of"]


def test_an_answer_from_all_views_counts_as_it_is():
    rows = [{"run": f"p{part}{c}", "camera": c} for part in "ab" for c in measures.VIEWS["all five"]]

    def line(run: str, part: str, ok: float) -> dict[str, str]:
        shares = {"p_ng": str(1 - ok), "p_BENDNG": str(1 - ok), "p_OK": str(ok)}
        return {"split": "test", "run": run, "part": part, "truth": "BENDNG", **shares}

    together = [
        line("+".join(r["run"] for r in rows if r["run"][1] == part), part, ok) for part, ok in (("a", 0.2), ("b", 0.9))
    ]
    found = measures.by_views(together, rows)
    assert found["all five"]["parts"] == 2 and found["all five"]["class"]["count"] == 1
    assert found["centre"]["parts"] == 0 and found["centre"]["class"]["share"] is None
    alone = [line(row["run"], row["run"][1], 0.2 if row["camera"] == "top" else 0.7) for row in rows]
    found = measures.by_views(alone, rows)
    assert found["centre"]["parts"] == found["all five"]["parts"] == 2
    assert found["all five"]["class"]["count"] == 0 and found["all five"]["recall"]["BENDNG"]["of"] == 2
    assert found["centre, top, bottom"]["class"]["share"] == 0.0
