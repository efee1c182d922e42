"""NSOART pictures for `trainer.predict`: made from photographs with the golden references that a run carries.

RUN/nsoart.json and RUN/nsoart/ are copies of the training dataset's files. The reference of a photograph is that of its
scene, housing, terminal, camera and marking, of which the options give what the run leaves open; the camera is the end
of the file's name, else that of the options. Without such a reference no picture is judged.
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
        part: Scene, housing, terminal, camera and marking that the options give; None: not given.
    """

    run: Path
    parameters: Mapping[str, Any]
    part: Mapping[str, str | None]

    @classmethod
    def of(cls, run: Path, column: str, part: Mapping[str, str | None]) -> "GoldenInput | None":
        """Read what a run carries; None where it needs no NSOART, or is to be given NSOART pictures (reference self).

        Args:
            run: Folder of the run.
            column: Column of its training pictures.
            part: As in `GoldenInput`.

        Raises:
            InputError: RUN/nsoart.json is damaged, or `part` has values that such a run does not use.
        """
        parameters = _parameters(run) if "nsoart" in column else {}
        if _reference(parameters) == _GOLDEN:
            return cls(run, parameters, part)
        if given := [f"--{name}" for name, value in part.items() if value is not None]:
            raise InputError(
                f"{', '.join(given)}: expected with a gauge, or with a run trained on NSOART against golden "
                f"references, got --model {run}, trained on {column}"
            )
        return None

    def check(self, files: Sequence[Path], views: Sequence[str] = ()) -> None:
        """Check that there is a reference for each photograph.

        Args:
            files: The photographs.
            views: The run's views; where it has any, those are checked, and `files` are not.

        Raises:
            InputError: There is none, or several; each such message once.
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
        """Make the NSOART picture of a photograph, of its size.

        Args:
            picture: The photograph.
            file: Its file.
            view: Its camera; None: at the end of the file's name, else that of the options.

        Raises:
            InputError: The photograph does not have the shape of its reference.
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
    """Check that a dataset's NSOART pictures have the kind of reference, golden or self, that a run was trained on.

    Raises:
        InputError: One has golden references, the other self.
    """
    if "nsoart" not in column:
        return
    own, found = (_reference(_parameters(each)) for each in (run, data))
    if own != found:
        raise InputError(
            f"--data {data}: expected one built with --nsoart {own}, as that of {run}, got --nsoart {found}"
        )


def files_of(run: Path, column: str) -> dict[str, Path]:
    """Return the files of a run, by path in it, from which the NSOART pictures that it takes are made."""
    if "nsoart" not in column:
        return {}
    paths = [run / PARAMETERS, *sorted((run / DATASET_FOLDER).glob("*"))]
    return {path.relative_to(run).as_posix(): path for path in paths if path.is_file()}


def _reference(parameters: Mapping[str, Any]) -> str:
    return _GOLDEN if parameters.get("reference") == _GOLDEN else _SELF


def _parameters(folder: Path) -> dict[str, Any]:
    """Read nsoart.json in a folder; empty where there is none, as in runs of earlier versions."""
    path = folder / PARAMETERS
    return read_json(path, "the parameters of NSOART") if path.is_file() else {}
