"""The options of `python -m trainer.gauge`."""

import argparse

from trainer.core.options import add_options, parser_with_example
from trainer.core.training_command import add_again, add_places, add_running
from trainer.gauge.run import GaugeConfig, TrainingConfig

EXAMPLE = """example:
  python -m generator design manifests/gauge_connector_3x9.toml -o gauge.csv
  python -m generator render gauge.csv && python -m generator build
  python -m trainer.gauge
  python -m trainer.predict --model runs/gauge-gauge center.png top.png left.png --scene connector_3x9 -o out"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options; a setting of the run is None if its option is not given."""
    p = parser_with_example(
        "gauge",
        "Train a gauge on a dataset made by `python -m generator build`: a network that measures every pin "
        "of a connector in mm, and states the uncertainty of each measure.",
        EXAMPLE,
    )
    add_places(p, "gauge")
    add_again(p)
    training, running = map(p.add_argument_group, ("training", "running"))
    add_options({"": training, "beginning": training}, TrainingConfig)
    add_options({"": training}, GaugeConfig)
    add_running(running)
    return p
