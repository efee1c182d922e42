"""The study's runs, and commands that only pretend to train."""

from typing import TYPE_CHECKING

import pytest

from studies.plan import all_runs
from studies.run import Run

if TYPE_CHECKING:
    from tests.studies.pretended import Pretended


@pytest.fixture(scope="session")
def runs() -> list[Run]:
    return all_runs()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> "Pretended":
    from studies import datasets_made, measures
    from tests.studies.pretended import Pretended, result_of

    monkeypatch.setattr(datasets_made.Workshop, "data", lambda self, data: self.work / data.name)
    monkeypatch.setattr(datasets_made.Workshop, "facts", lambda self, data: {"hash": "0", "rows": {}})
    monkeypatch.setattr(measures, "result", result_of)
    return Pretended()
