"""Renders of the fitted scene in the poses of the photographs: its twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from generator.matching.renders import Rendered, Shot, Wanted, render_all, view_key
from generator.matching.scene_text import Key

# Light paths per pixel of renders that are compared with photographs, as with few, edges are wider than a lens makes
# them; and of renders without the sensor's noise, as their own noise hides an open lens.
SAMPLES, _CLEAN_SAMPLES = 12, 32


@dataclass(frozen=True)
class Twins:
    """Renders twins of photographs.

    Attributes:
        shot: the connector and how the photographs show it.
        look: values of the fitted scene.
        poses: (4, 4) pose of the camera in each photograph.
        heights: z of the camera on the station in each photograph, mm.
        upright: cosine of the angle of the camera's axis to Z.
    """

    shot: Shot
    look: Mapping[Key, Any]
    poses: Sequence[np.ndarray]
    heights: Sequence[float]
    upright: float

    def render(
        self, values: Mapping[Key, Any], name: str, focus: float | None = None, clean: Sequence[int] = ()
    ) -> list[Rendered]:
        """Render twins of all photographs, with other parts and the sensor's noise.

        Args:
            values: more values of the scene.
            name: name of a folder for the renders, new for each call.
            focus: distance of the plane in focus from the camera, mm; None: as the values state it.
            clean: numbers of the photographs whose twins are rendered without scatter and noise; none: all, with them.
        """
        wanted = []
        for number in clean or range(len(self.poses)):
            own = {**self.look, **values}
            # The camera's focus stays as it is; what moves from one placing to the next is the part.
            if focus is not None:
                own[view_key(self.shot, "focus_z_mm")] = self.heights[number] - focus * self.upright
            part, samples = (None, _CLEAN_SAMPLES) if clean else (number + 1, SAMPLES)
            wanted.append(Wanted(own, self.poses[number], part=part, samples=samples))
        return render_all(self.shot, wanted, name)
