"""A gauge that is trained on drawn parts once, for all test modules that need one."""

from pathlib import Path

import pytest

from tests.trainer.gauge.drawn_parts import write_drawn

SMALL = ["--pictures", "4", "--lr", "4e-3", "--width", "8"]
SMALL += ["--seed", "1", "--threads", "1", "--amp", "off", "--device", "cpu"]


@pytest.fixture(scope="session")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drawn(tmp_path_factory.mktemp("drawn") / "set", {"train": 40, "validation": 8, "test": 6})


@pytest.fixture(scope="session")
def drawn_run(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trainer.gauge.command import main

    out = tmp_path_factory.mktemp("gauge") / "run"
    options = ["--data", str(drawn_dataset), "--out", str(out), "--epochs", "40", "--edges", "6", "--ema", "0.98"]
    assert main([*options, *SMALL]) == 0
    return out
