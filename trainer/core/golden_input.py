"""NSOART pictures of photographs for `trainer.predict`: they show how much each window differs from good parts.

A run's golden references, RUN/nsoart.json and RUN/nsoart/, describe good parts; they are copies of the training
dataset's files. A reference belongs to one scene, housing, terminal, camera and marking. Where the run has several,
options such as --scene say which a photograph needs. The end of a file's name may name the camera, otherwise --camera
does. If a photograph has no reference, or several fit, the command ends with an error before it judges any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from generator.io.view_names import view_of
from trainer.core.default_paths import DATASET_FILES, DATASET_FOLDER
from trainer.core.errors import InputError
from trainer.core.run_folder import read_json
from trainer.vit.network.letterbox import rgb

PARAMETERS = DATASET_FILES[0]
# As `build --nsoart` names them.
_SELF, _GOLDEN = "self", "golden"


@dataclass(frozen=True)
class GoldenInput:
    """What is needed to make the NSOART picture of a photograph.

    Args:
        run: Folder of the run.
        parameters: Contents of RUN/nsoart.json.
        part: Scene, housing, terminal, camera and marking from the options of these names; None: not given.
    """

    run: Path
    parameters: Mapping[str, Any]
    part: Mapping[str, str | None]

    @classmethod
    def of(cls, run: Path, column: str, part: Mapping[str, str | None]) -> "GoldenInput | None":
        """Read a run's golden references, which describe good parts; None if it has none.

        It has none if it was trained without NSOART, or if each picture was its own reference.

        Args:
            run, column: Folder of the run, and the picture column that it was trained on.
            part: As in `GoldenInput`.

        Raises:
            InputError: RUN/nsoart.json is damaged, or `part` has values although the run has no golden references.
        """
        parameters = _parameters(run) if "nsoart" in column else {}
        if _reference(parameters) == _GOLDEN:
            return cls(run, parameters, part)
        if given := [f"--{name}" for name, value in part.items() if value is not None]:
            gauge = "" if given == ["--marking"] else " (all but --marking also for a gauge, or with --locate)"
            raise InputError(
                f"{', '.join(given)}: expected only for a run whose NSOART pictures were made with golden references"
                f"{gauge}, got --model {run}, trained on the column {column}"
                f"{', in which each picture is its own reference' if 'nsoart' in column else ''}"
            )
        return None

    def check(self, files: Sequence[Path], views: Sequence[str] = ()) -> None:
        """Check that there is exactly one golden reference (made from good parts) for each photograph.

        Args:
            files: The photographs.
            views: Cameras of the run's views; if there are any, they are checked in place of the cameras of `files`.

        Raises:
            InputError: There is none for a photograph, or more than one.
        """
        from generator.soart import nsoart  # its compiler takes a second to import; other runs do not need it

        problems = []
        for camera in dict.fromkeys(views or map(self._camera, files)):
            try:
                nsoart.golden_reference(self.parameters, {**self.part, "camera": camera}, self.run)
            except ValueError as e:
                problems.append(f"--model {self.run}: {e}")
        if problems:
            raise InputError(problems)

    def chart(self, picture: Image.Image, file: Path, view: str | None = None) -> Image.Image:
        """Make the NSOART picture of a photograph, in the photograph's size.

        Args:
            picture, file: The photograph, and its file.
            view: Camera of the photograph; None: the end of the file's name, otherwise the option --camera.

        Raises:
            InputError: The photograph has no reference, or another shape than its reference.
        """
        from generator.soart import nsoart

        known = {**self.part, "camera": view or self._camera(file)}
        try:
            return nsoart.nsoart_picture(rgb(picture), self.parameters, known, self.run)
        except ValueError as e:
            raise InputError(f"{file}: {e}") from None

    def _camera(self, file: Path) -> str | None:
        cameras = sorted({group["camera"] for group in self.parameters["groups"]})
        named = view_of(file, cameras)
        return named[1] if named else self.part.get("camera")


def check_reference(run: Path, data: Path, column: str) -> None:
    """Check that a dataset's NSOART pictures have the same kind of reference as those on which a run was trained.

    The kinds are golden (good parts) and self (the picture itself). Without `nsoart` in `column` nothing is checked.

    Raises:
        InputError: The kinds differ.
    """
    if "nsoart" not in column:
        return
    own, found = (_reference(_parameters(each)) for each in (run, data))
    if own != found:
        raise InputError(
            f"--data {data}: expected a dataset built with --nsoart {own}, as the training dataset of {run}, got one "
            f"built with --nsoart {found}"
        )


def files_of(run: Path, column: str) -> dict[str, Path]:
    """Return the files from which a run makes NSOART pictures, by path in its folder; empty without NSOART."""
    if "nsoart" not in column:
        return {}
    paths = [run / PARAMETERS, *sorted((run / DATASET_FOLDER).glob("*"))]
    return {path.relative_to(run).as_posix(): path for path in paths if path.is_file()}


def _reference(parameters: Mapping[str, Any]) -> str:
    return _GOLDEN if parameters.get("reference") == _GOLDEN else _SELF


def _parameters(folder: Path) -> dict[str, Any]:
    """Read nsoart.json in a folder; empty where there is none, as in runs of earlier versions."""
    path = folder / PARAMETERS
    return read_json(path, "the parameters of NSOART that `generator build` wrote") if path.is_file() else {}
