"""A whole run of the study as `make study` does it, with the real commands: render, build, augment, train, measure."""

import pytest

pytest.importorskip("datasets")
pytest.importorskip("torch")

from studies.execution import Execution, execute
from studies.run import Data, Design, Run, Take


@pytest.mark.soak
def test_a_small_run_comes_to_its_result_and_into_the_table(tmp_path):
    design = Design("smoke", ("manifests/smoke.csv",))
    splits = tuple((split, (Take(design, split),)) for split in ("train", "validation"))
    plain, improved = Data("plain", splits), Data("improved", splits, improve=True)
    options = ("--epochs", "2", "--no-check", "--batch-size", "4")
    run = Run(3, "improved", 0, improved, "vit", options, originals=plain)
    execution = Execution(tmp_path / "work", tmp_path / "results.parquet", workers=1)
    outcome = execute(execution, [run])
    assert outcome.done == [run], outcome.failed
    assert execution.results.fold() == [run.key]
    document = execution.results.documents()[run.key]
    assert document["data"]["rows"]["train"] > execution.workshop.facts(plain)["rows"]["train"] == 6
    result = document["result"]
    assert len(result["curve"]) == 2 and result["originals"]["pictures"] <= 6
    assert len(result["splits"]["validation"]["answers"]["said"]) <= 3
