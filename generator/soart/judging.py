"""Judge pictures, and parts shown by several views, and write the files and the log line of each verdict."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.io.output_file import write_whole
from generator.io.pictures import open_picture
from generator.io.png_mark import has_mark, marked_png
from generator.locating.straightening import NotFoundError, Straightener
from generator.soart.figure import figure, overlay, sheet_of_views, unreadable
from generator.soart.inspection import UNNOTICED, Finding, InspectionModel, as_values
from generator.soart.part_model import PartFinding, PartInspectionModel, Unjudged, reasons_of, verdict_of
from generator.soart.verdict_log import MARK, VerdictLog, files_of
from generator.soart.watch import Arrival
from generator.verdict.envelope import Envelope, Verdict, in_short


class Judge:
    """Inspects pictures, writes the files of each verdict into the log's folder, and adds the verdicts to the log.

    Args:
        inspection: the unit space with pins and limits.
        log: the log of the output folder.
        name: name of the unit space, for the verdicts.
        colour: whether red, green and blue are compared separately; else grey values.
        figures: whether NAME_maps.png, with the SOART3 maps, is written.
        straightener: straightens each picture first; None: pictures are compared as they are.
    """

    def __init__(
        self,
        inspection: InspectionModel,
        log: VerdictLog,
        name: str,
        colour: bool = False,
        figures: bool = False,
        straightener: Straightener | None = None,
    ):
        self.inspection, self.log, self.colour, self.figures = inspection, log, colour, figures
        self.straightener = straightener
        self._model = {"name": name, "hash": inspection.hash(), **_features(inspection)}

    def write(self, path: Path, content: bytes, sha256: str, name: str) -> str:
        """Inspect one picture, and write its files and log line; returns the verdict as a line of text.

        Args:
            path: the picture's file.
            content: the bytes of the file.
            sha256: SHA-256 of the bytes, in hex.
            name: name of the files to write, without suffix.

        Raises:
            InputError: the picture cannot be read, or is smaller than a window.
        """
        try:
            picture, place = _read(content, str(path), self.straightener)
        except NotFoundError as error:
            return self._write_without(path, sha256, name, error.reasons)
        image = as_values(picture, self.colour)
        start = time.perf_counter()
        try:
            finding = self.inspection.inspect(image)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        spent = time.perf_counter() - start
        del image  # drawing takes as much memory again
        report, drawn, maps = (self.log.folder / file for file in files_of(name))
        write_whole(drawn, _png(overlay(picture, finding)))
        if self.figures:
            write_whole(maps, _png(figure(picture, finding)))
        envelope = self._envelope(path, sha256, finding.verdict, finding.reasons, finding)
        self._record(report, envelope, path, **finding.to_json(), **place, seconds=round(spent, 4))
        return _line(path, finding)

    def write_unreadable(self, path: Path, sha256: str, name: str, error: InputError) -> str:
        """Write the verdict INVALID with the reason `error`, and return it as text; other arguments as for `write`."""
        return self._write_without(path, sha256, name, ["file: " + error.problems[0].removeprefix(f"{path}: ")])

    def _write_without(self, path: Path, sha256: str, name: str, reasons: Sequence[str]) -> str:
        """Write the verdict INVALID on a picture that was not inspected, and return it as text."""
        write_whole(self.log.folder / files_of(name)[1], _png(unreadable(reasons)))
        envelope = self._envelope(path, sha256, Verdict.INVALID, reasons)
        self._record(self.log.folder / files_of(name)[0], envelope, path, score=None)
        return f"{Verdict.INVALID}  {path.name}  {in_short(reasons)}"

    def _envelope(
        self, path: Path, sha256: str, verdict: Verdict, reasons: Sequence[str], finding: Finding | None = None
    ) -> Envelope:
        return Envelope(
            verdict,
            tuple(reasons),
            file=str(path),
            sha256=sha256,
            model=self._model,
            judged=("appearance",),
            pins=finding.pins_to_json() if finding else (),
            boxes=finding.boxes_to_json() if finding else (),
        )

    def _record(self, report: Path, envelope: Envelope, path: Path, **more: Any) -> None:
        limit = self.inspection.limit.to_json()
        _record(self.log, envelope, picture=path.name, report=report.name, limit=limit, **more)


class PartJudge:
    """Inspects parts shown by several views, and writes files and log lines as `Judge` does, one verdict per part.

    Args:
        inspection: the unit spaces of the views, with pins and limits.
        log, name, colour, figures: as for `Judge`.
        straighteners: the `straightener` of each view; empty: pictures are compared as they are.
    """

    def __init__(
        self,
        inspection: PartInspectionModel,
        log: VerdictLog,
        name: str,
        colour: bool = False,
        figures: bool = False,
        straighteners: Mapping[str, Straightener] | None = None,
    ):
        self.inspection, self.log, self.colour, self.figures = inspection, log, colour, figures
        self.straighteners = straighteners or {}
        self._model = {"name": name, "hash": inspection.hash(), **_features(next(iter(inspection.by_view.values())))}

    def write(self, arrival: Arrival, name: str | None = None) -> tuple[str, list[str]]:
        """Inspect one part, and write its files and log line.

        A view is INVALID without a readable picture; if its file has changed since the arrival; and if the log has a
        verdict on another part with the same picture, as of a camera that repeats its last picture.

        Args:
            arrival: the part, by name or path, and its pictures.
            name: name of the files to write, without suffix; None: the log chooses it.

        Returns:
            The verdict as a line of text, and the reasons why pictures are missing or cannot be read.
        """
        start = time.perf_counter()
        part, files = Path(arrival.part).name, arrival.files
        by_view: dict[str, Finding | Unjudged] = {}
        sheets, maps, places, sha256, problems = {}, {}, dict[str, dict[str, Any]](), dict[str, str](), []
        for view in self.inspection.by_view:
            shown = None
            try:
                by_view[view], shown, places[view] = self._found(view, arrival, sha256)
            except NotFoundError as error:
                by_view[view] = Unjudged(error.reasons)
            except InputError as error:
                problems += error.problems
                told = error.problems[0].removeprefix(f"{files.get(view, arrival.part)}: ")
                by_view[view] = Unjudged((f"file: {told}",))
            one = by_view[view]
            if shown is None or isinstance(one, Unjudged):
                sheets[view] = unreadable(reasons_of(one))
                continue
            sheets[view] = overlay(shown, one)
            if self.figures:
                maps[view] = figure(shown, one)
        found = PartFinding.of(by_view, places)
        spent = time.perf_counter() - start
        report, drawn, of_maps = (
            self.log.folder / file for file in files_of(name or self.log.name_for_part(part, sha256))
        )
        said = "  ".join(f"{view}: {verdict_of(one)}" for view, one in by_view.items())
        write_whole(drawn, _png(sheet_of_views(sheets, found.verdict, said)))
        if maps:
            write_whole(of_maps, _png(sheet_of_views(maps, found.verdict, said, columns=1)))
        envelope = Envelope(
            found.verdict,
            found.reasons,
            files={view: str(file) for view, file in files.items()},
            sha256=sha256,
            model=self._model,
            judged=("appearance",),
        )
        more = {"part": part, "report": report.name, "limit": self.inspection.limit.to_json(), **found.to_json()}
        _record(self.log, envelope, **more, seconds=round(spent, 4))
        return _line_of_part(part, found), problems

    def write_unknown(self, path: Path, sha256: str, problem: str) -> str:
        """Write the verdict INVALID on a picture that belongs to no part, for the reason `problem`; returns a line."""
        name = self.log.name_for(path, sha256)
        report, drawn, _ = (self.log.folder / file for file in files_of(name))
        reason = "file: " + problem.removeprefix(f"{path}: ")
        write_whole(drawn, _png(unreadable([reason])))
        envelope = Envelope(
            Verdict.INVALID, (reason,), file=str(path), sha256=sha256, model=self._model, judged=("appearance",)
        )
        limit = self.inspection.limit.to_json()
        _record(self.log, envelope, picture=path.name, report=report.name, limit=limit, score=None)
        return f"{Verdict.INVALID}  {path.name}  {reason}"

    def _found(
        self, view: str, arrival: Arrival, sha256: dict[str, str]
    ) -> tuple[Finding, Image.Image, dict[str, Any]]:
        """Inspect the picture of a view; its SHA-256 is put into `sha256`; also return the picture and its place."""
        path = arrival.files.get(view)
        if path is None:
            raise InputError(f"{arrival.part}: expected a picture of view {view}, got none")
        content = self._content(view, path, arrival, sha256)
        picture, place = _read(content, str(path), self.straighteners.get(view))
        image = as_values(picture, self.colour)
        try:
            return self.inspection.by_view[view].inspect(image), picture, place
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None

    def _content(self, view: str, path: Path, arrival: Arrival, sha256: dict[str, str]) -> bytes:
        """Read the picture of a view, and put its SHA-256 into `sha256`; InputError if it must not be judged."""
        arrived = arrival.sha256.get(view)
        if arrived:  # also if the file is another by now, which must not count as judged
            sha256[view] = arrived
        if view in arrival.wrong:
            raise InputError(arrival.wrong[view])
        content = bytes_of(path)
        found = hashlib.sha256(content).hexdigest()
        if arrived is not None and found != arrived:
            raise InputError(f"{path}: expected the picture that arrived, got a file that has changed since")
        sha256[view] = found
        other = self.log.part_with(found)
        if other not in (None, Path(arrival.part).name):
            raise InputError(f"{path}: expected a picture of its own, got the same picture as part {other}")
        return content


def _features(inspection: InspectionModel) -> dict[str, str]:
    """What a verdict's key `model` says of the features with which a unit space was made; empty without."""
    used = inspection.model.features_used
    return {"features": used[0]["name"], "features_sha256": used[0]["sha256"]} if used else {}


def _read(content: bytes, name: str, straightener: Straightener | None) -> tuple[Image.Image, dict[str, Any]]:
    """Return the picture to inspect, and JSON keys that state where the photograph shows it, if it is straightened."""
    picture = open_picture(content, name)
    if has_mark(io.BytesIO(content)):
        raise InputError(f"{name}: expected a photograph, got the marked picture of a verdict")
    if straightener is None:
        return picture, {}
    straightened = straightener.straighten(picture, name)
    return straightened.picture, straightened.to_json()


def bytes_of(path: Path) -> bytes:
    """Read a picture's file; InputError if it does not exist or may not be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        expected = "a picture file that exists and can be read"
        raise InputError(f"{path}: expected {expected}, got: {error.strerror}") from None


def _record(log: VerdictLog, envelope: Envelope, **more: Any) -> None:
    """Write a verdict's file, named by `report` in `more`, and its line in the log."""
    document = envelope.to_json(**more)
    write_whole(log.folder / document["report"], f"{json.dumps(document, indent=1)}\n".encode())
    log.append(document)


def _line(path: Path, finding: Finding) -> str:
    said = _bad_pins(finding)
    why = _why(finding.verdict, said, finding.reasons)
    return f"{finding.verdict}  {path.name}  score {finding.score:.2f} times the limit{why}"


def _line_of_part(part: str, found: PartFinding) -> str:
    said = [
        f"{pin} (view {view})"
        for view, one in found.by_view.items()
        if isinstance(one, Finding)
        for pin in _bad_pins(one)
    ]
    score = "" if found.score is None else f"  score {found.score:.2f} times the limit"
    by_view = ", ".join(f"{view} {verdict_of(one)}" for view, one in found.by_view.items())
    return f"{found.verdict}  {part}  ({by_view}){score}{_why(found.verdict, said, found.reasons)}"


def _why(verdict: str, named: Sequence[str], reasons: Sequence[str]) -> str:
    """Return the end of a line: the named pins and the other reasons, of an INVALID picture in short."""
    others = _other_reasons(reasons, bool(named))
    if verdict == Verdict.INVALID and others:
        others = [in_short(others)]
    return "".join(f"  {one}" for one in (*([", ".join(named)] if named else []), *others))


def _bad_pins(finding: Finding) -> list[str]:
    named = [pin.measure for pin in finding.pins if pin.is_named and pin.measure.hint != UNNOTICED]
    return [f"{pin.address} ({pin.hint})" for pin in named]


def _other_reasons(reasons: Sequence[str], names_pins: bool) -> list[str]:
    """Return the reasons that no named pin states; an anomaly is stated if no pin is named."""
    return [reason for reason in reasons if not reason.startswith(("pin:", *(["anomaly:"] if names_pins else [])))]


def _png(picture: Image.Image) -> bytes:
    return marked_png(picture, MARK)
