"""The first pass of a build: check every row, and collect what concerns all rows together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance
from generator.dataset.labels import OK
from generator.dataset.render_folder import Chunk, Findings, Rules, examine
from generator.dataset.render_manifests import RenderManifests, log
from generator.dataset.row_counts import RowCounts
from generator.io.processes import InOrder
from generator.io.shard import Shard
from generator.soart import nsoart

_MOST_PROBLEMS = 1000


class Examined(NamedTuple):
    """A chunk (rows of one split that one process handles at a time) after the first pass.

    Attributes:
        number: number of the chunk among all chunks, from 0.
        split: name of its split.
        name: its name in the spool (folder of chunks), such as train-000002.
        key: `Findings.key` of the chunk.
        runs: number of its manifest rows.
        rows: number of its rows in the dataset; fewer than `runs` if some have not been rendered.
    """

    number: int
    split: str
    name: str
    key: str
    runs: int
    rows: int


@dataclass
class FirstPass(RowCounts):
    """Results of the first pass over all chunks, with counts over their rows.

    Attributes without a description are as in `Findings`.

    Attributes:
        missing: number of rows without a record.
        lacking: one message for each of them, at most _MOST_PROBLEMS.
        examined: the chunks, in their order.
        spaces: collects the rows of each unit space (the good rows that standardise the column nsoart).
        statistics: mean and s.d. of the SOART3 texture maps of the training split's OK rows, by unit-space group.
        tolerances: the tolerance of each scene.
    """

    problems: list[str] = field(default_factory=list)
    missing: int = 0
    lacking: list[str] = field(default_factory=list)
    examined: list[Examined] = field(default_factory=list)
    spaces: nsoart.UnitSpaces = field(default_factory=nsoart.UnitSpaces)
    statistics: dict[tuple[str, ...], nsoart.MapStatistics] = field(default_factory=dict)
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    connectors: set[tuple[str, str, str, str | None]] = field(default_factory=set)
    renderers: set[str] = field(default_factory=set)
    blenders: set[str] = field(default_factory=set)
    sizes: set[tuple[int, int]] = field(default_factory=set)

    @property
    def rows(self) -> int:
        """Number of rows in the dataset."""
        return sum(each.rows for each in self.examined)

    @property
    def chunks(self) -> list[Examined]:
        """The chunks with rows, split by split; the splits are in the order in which the manifests first name them."""
        splits = dict.fromkeys(each.split for each in self.examined if each.rows)
        return [each for split in splits for each in self.examined if each.rows and each.split == split]

    def take(self, chunk: Examined, findings: Findings) -> None:
        """Add the results of `examine` for a chunk to those of earlier chunks."""
        self.examined.append(chunk)
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems += findings.problems
        self.missing += len(findings.missing)
        self.lacking += findings.missing[: max(0, _MOST_PROBLEMS - len(self.lacking))]
        self._take_tolerances(findings)
        for group, numbers in findings.statistics:
            found = nsoart.MapStatistics.from_numbers(numbers)
            self.statistics.setdefault(group, nsoart.MapStatistics()).merge(found)
        self.add(findings)
        self.connectors.update(findings.connectors)
        self.renderers.update(findings.renderers)
        self.blenders.update(findings.blenders)
        self.sizes.update(findings.sizes)
        for run, label, group in findings.rows:
            self.spaces.add(run, group, label == OK, chunk.split)

    def _take_tolerances(self, findings: Findings) -> None:
        for scene, path, limits in findings.tolerances:
            tolerance = Tolerance(**limits)
            known = self.tolerances.setdefault(scene, tolerance)
            if known != tolerance:
                self.problems.append(
                    f"{path}: expected the tolerance that the other records state for scene {scene} ({known}), "
                    f"got {tolerance}: render again, or give --scenes with the scene file that applies"
                )

    def check(self, directory: Path, partial: bool, whole: bool = True) -> None:
        """Check that the rows can be built.

        Args:
            directory: the render folder, for messages.
            partial: leave out manifest rows that have not been rendered.
            whole: whether these are all rows of the dataset, of which one has to be rendered, not those of a shard.

        Raises:
            InputError: its message lists every fault.
        """
        total = sum(each.runs for each in self.examined)
        if self.missing and partial:
            log(f"--partial: {self.missing} of {total} rows have not been rendered and are left out")
            if whole and not self.rows and not self.problems:
                self.problems.append(f"{directory}: expected at least one rendered row of its manifests, got none")
        elif self.missing:
            self.problems += self.lacking
            self.problems.append(
                f"{directory}: expected every row of its manifests rendered, got {self.missing} of {total} "
                "without a record: render them, or give --partial to leave them out"
            )
        if len(self.renderers) > 1:
            self.problems.append(
                f"{directory}: expected records of one version of the renderer, got versions "
                f"{' and '.join(sorted(self.renderers))}: repeat `render --out {directory}` with every manifest, "
                "which renders the older rows again"
            )
        self.problems += [
            f"{directory}: expected pictures of one version of the scene {scene}, got rows rendered with {count} "
            f"versions of {scene}.toml, which was edited between them: repeat `render --out {directory}` with "
            "every manifest, which renders the others again, or give the changed scene a name of its own"
            for scene, count in self._versions().items()
            if count > 1 and len(self.renderers) == 1
        ]
        if self.problems:
            raise InputError(self.problems)

    def _versions(self) -> Counter[str]:
        """Number of versions of each scene with which rows were rendered; older records state none."""
        return Counter(scene for scene, _ in {(each[0], each[3]) for each in self.connectors if each[3] is not None})


def first_pass(
    in_order: InOrder, rules: Rules, manifests: RenderManifests, lines: int, shard: Shard | None = None
) -> FirstPass:
    """Check the rows of all chunks, or of the chunks of a shard: every N-th chunk; returns the results.

    Args:
        in_order: function that runs calls in processes: what `generator.io.processes.processes` gives.
        rules: settings of the build.
        manifests: the manifests of the render folder.
        lines: estimate of the number of rows, for the progress bar.
        shard: the shard; None: all chunks.
    """
    found = FirstPass()
    numbers: list[int] = []

    def calls() -> Iterator[tuple[Chunk, Rules]]:
        for number, chunk in enumerate(manifests.chunks()):
            if shard is None or number % shard.count == shard.index:
                numbers.append(number)
                yield chunk, rules

    with tqdm(total=lines // (shard.count if shard else 1), desc="rows", unit="row", disable=None) as bar:
        for chunk, findings in in_order(examine, calls()):
            number = numbers[len(found.examined)]
            runs, rows = len(chunk.runs), len(findings.rows)
            found.take(Examined(number, chunk.split, chunk.name, findings.key, runs, rows), findings)
            bar.update(runs)
    found.problems = manifests.unread + found.problems
    if shard is None or shard.index == 0:
        manifests.report_orphans(rules.directory / "records")
    return found
