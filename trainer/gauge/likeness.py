"""Learn how the parts of a gauge's training look; `generator.locating.likeness` compares other parts with them."""

from generator.locating.likeness import Likeness, Looks, ViewLikeness
from generator.locating.locate import Finder
from trainer.gauge.measuring import captures_of, measure_captures, some_of
from trainer.gauge.picture import GaugeData

# Parts of each split that are looked at, at most.
_PARTS = {"train": 120, "validation": 60}


def learn_likeness(data: GaugeData, finder: Finder) -> Likeness:
    """Learn how parts look (pins' colour, edges' features) from up to 120 captures of `train`, 60 of `validation`."""
    looks: dict[str, dict[str, list[Looks]]] = {}
    for split, most in _PARTS.items():
        for one in measure_captures(some_of(captures_of(data.splits.get(split, ())), most), data, finder):
            for view, found in one.looks.items():
                looks.setdefault(view, {name: [] for name in _PARTS})[split].append(found)
    trained = frozenset(each.key for each in data.splits["train"])
    return Likeness(trained, {view: ViewLikeness.of(*by_split.values()) for view, by_split in looks.items()})
