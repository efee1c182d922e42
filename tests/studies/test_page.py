"""The study's page is written from the results only."""

import re
from pathlib import Path

import matplotlib
import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies import glance, page
from studies.execution import execute
from studies.findings import findings
from studies.plan import all_runs
from studies.results import TABLE, read_table
from tests.conftest import ROOT
from tests.studies.pretended import at

KEPT = ROOT / "docs" / "explanation" / "results.md"


def page_in(folder: Path) -> Path:
    """The page's path in a documentation folder."""
    (folder / "explanation").mkdir()
    return folder / "explanation" / "results.md"


def test_a_page_without_results_says_so(tmp_path):
    target = page_in(tmp_path)
    target.write_text((KEPT).read_text("utf-8"), "utf-8")
    page.write({}, target, tmp_path / "images")
    assert target.read_text("utf-8").count(page.NOT_RUN) == 8


def by_hand(text: str) -> list[str]:
    """The text of the page outside the markers."""
    return re.split(r"(?s)written by --write -->.*?<!-- end of", text)


def test_the_page_is_written_from_the_results_alone(runs, tmp_path, commands):
    """Every question gets a table and a figure; text written by hand stays; writing again changes nothing."""
    execute(at(tmp_path, commands), runs)
    target = page_in(tmp_path)
    before = (KEPT).read_text("utf-8")
    target.write_text(before, "utf-8")
    page.write(at(tmp_path, commands).results.documents(), target, tmp_path / "images")
    text = target.read_text("utf-8")
    assert page.NOT_RUN not in text
    assert "0.800 (0.700–0.900)" in text
    assert by_hand(before) == by_hand(text)
    first = text.split("## How to run it")[0]
    assert glance.MISSING not in first and "NSOART instead of RGB: +0.000" in first
    pictures = sorted((tmp_path / "images").glob("*.png"))
    assert len(pictures) == 8 and all(f"(../images/{path.name})" in text for path in pictures)
    page.write(at(tmp_path, commands).results.documents(), target, tmp_path / "images")
    assert target.read_text("utf-8") == text


def test_runs_at_another_size_stand_beside_those_of_the_size_that_has_more(runs, tmp_path, commands):
    large = [run for run in all_runs("full", 1) if run.question == 4]
    execute(at(tmp_path, commands), [*runs, large[1]])
    target = page_in(tmp_path)
    target.write_text((KEPT).read_text("utf-8"), "utf-8")
    page.write(at(tmp_path, commands).results.documents(), target, tmp_path / "images")
    text = target.read_text("utf-8")
    done = f"Runs done at size *full*: 1 of {3 * len(large)} (1 seed per variant), by "
    done += "`python -m studies --only views --size full`."
    assert text.count(done) == 1
    rows = [line.split(" | ") for line in text.splitlines() if ", size *full* | " in line]
    assert rows and all(row[1] in ("centre", "centre, top, bottom", "all five") for row in rows)


def test_each_line_at_a_glance_leads_to_its_section():
    text = (KEPT).read_text("utf-8")
    headings = re.findall(r"^## (\d\. .*)$", text, re.MULTILINE)
    assert headings == [f"{question}. {title}" for question, title in glance.TITLES.items()]


def test_a_page_without_its_markers_is_left_alone(tmp_path):
    target = page_in(tmp_path)
    target.write_text("by hand", "utf-8")
    with pytest.raises(ValueError, match=r"expected the lines <!-- study at a glance.* got the first 0 times"):
        page.write({}, target, tmp_path / "images")
    assert target.read_text("utf-8") == "by hand"


def test_the_kept_page_is_what_the_kept_results_say(tmp_path):
    """No number is written by hand: writing the page again gives the same text and figures."""
    target = page_in(tmp_path)
    target.write_text(KEPT.read_text("utf-8"), "utf-8")
    page.write(read_table(TABLE), target, tmp_path / "images")
    assert target.read_text("utf-8") == KEPT.read_text("utf-8")
    figures = {path.name: path.read_bytes() for path in (ROOT / "docs" / "images").glob("results_*.png")}
    again = {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}
    assert set(figures) == set(again)
    # Another matplotlib version draws the figures a little differently.
    if f"matplotlib=={matplotlib.__version__}\n" in (ROOT / "constraints.txt").read_text("utf-8"):
        assert [name for name in figures if figures[name] != again[name]] == []


def test_words_wait_for_runs_only_as_long_as_there_are_any():
    all_found = findings(read_table(TABLE)).values()
    text = "".join(by_hand((KEPT).read_text("utf-8")))
    recipe = (ROOT / "README.md").read_text("utf-8").partition("## The recipe")[2].partition("\n## ")[0]
    waits = re.findall(r"so far|Not all runs are done|when the runs are done|being run again", text + recipe)
    assert bool(waits) == any(found.done < found.planned for found in all_found), waits
