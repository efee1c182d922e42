"""The table of results, and the files of new results that are added to it."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytest.importorskip("datasets")

import pyarrow as pa
import pyarrow.parquet as pq

from studies import __main__ as command_line
from studies import plan, results
from studies.findings import findings
from studies.plan import all_runs
from studies.results import TABLE, ResultError, Results, read_table, write_table
from tests.conftest import ROOT

LARGEST_TABLE = 1_000_000


def document(key: str, **more: Any) -> results.Document:
    empty: dict[type, Any] = {int: 1, str: "x", dict: {}}
    return {name: empty[kind] for name, kind in results.COLUMNS.items()} | {"key": key} | more


def test_a_table_gives_back_what_it_was_made_of_in_any_order(tmp_path):
    """The order of entries is kept too, as the page lists methods and stages in this order."""
    first = document("b", result={"z": [0.1, 1e-17, None, "–"], "a": {"2": 3, "1": True}}, seed=2)
    some = [first, document("a")]
    write_table(tmp_path / "1.parquet", some)
    write_table(tmp_path / "2.parquet", some[::-1])
    found = read_table(tmp_path / "1.parquet")
    assert json.dumps(found) == json.dumps({"a": some[1], "b": first})
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    assert read_table(tmp_path / "none.parquet") == {}


def test_new_results_are_added_and_those_of_the_table_stay(tmp_path):
    table = tmp_path / "t.parquet"
    write_table(table, [document("a", seed=7)])
    here, other = (Results(table, tmp_path / f"work_{n}") for n in range(2))
    here.add(document("b"))
    assert here.holds("a") and here.holds("b") and not other.holds("b")
    here.add(document("a", seed=8))
    assert here.fold() == ["b"] and here.fold() == []
    # A process that has read the table before still finds the run, and removes no result of another process.
    other.add(document("c"))
    assert other.fold() == ["c"]
    assert {key: one["seed"] for key, one in read_table(table).items()} == {"a": 7, "b": 1, "c": 1}
    assert {path.name for path in tmp_path.glob("*.tmp")} == set()


def test_processes_that_add_at_once_lose_nothing(tmp_path):
    """Several processes each add results to the same table, one result after the other."""
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from studies.results import Results\n"
        "for document in json.loads(sys.argv[3]):\n"
        "    here = Results(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "    here.add(document)\n"
        "    here.fold()\n"
    )
    table = tmp_path / "t.parquet"
    processes = []
    for name in "ab":
        words = [str(table), str(tmp_path / name), json.dumps([document(f"{name}{n}") for n in range(8)])]
        processes.append(subprocess.Popen([sys.executable, "-c", script, *words], cwd=ROOT))
    assert [process.wait(120) for process in processes] == [0, 0]
    assert sorted(read_table(table)) == sorted(f"{name}{n}" for name in "ab" for n in range(8))


@pytest.mark.parametrize(
    "text", ["{}", "[]", "{", json.dumps(document("other")), json.dumps(document("0123", seed="1"))]
)
def test_a_file_that_is_no_result_is_named(tmp_path, text):
    (tmp_path / "0123.json").write_text(text)
    with pytest.raises(ResultError, match=r"0123\.json.*: expected "):
        Results(tmp_path / "t.parquet", tmp_path).documents()


def test_a_file_that_is_no_table_is_named(tmp_path, capsys):
    table = tmp_path / "t.parquet"
    table.write_bytes(b"PAR1")
    with pytest.raises(ResultError, match=r"t\.parquet: expected a Parquet table of results"):
        read_table(table)
    assert command_line.main(["--list", "--results", str(table)]) == 2
    assert "expected a Parquet table of results" in capsys.readouterr().err
    pq.write_table(pa.table({"key": ["a"]}), table)
    with pytest.raises(ResultError, match="row 0: expected the result of run a, got the entries key"):
        read_table(table)


def test_every_kept_result_belongs_to_the_plan():
    planned = {run.key: run for size in plan.SIZES for run in all_runs(size)}
    kept = read_table(TABLE)
    assert not set(kept) - set(planned)
    assert all(one["config"] == json.loads(json.dumps(planned[key].config)) for key, one in kept.items())
    assert findings({})[1].done == 0


def test_the_table_is_small_enough_to_be_kept():
    assert TABLE.stat().st_size < LARGEST_TABLE
