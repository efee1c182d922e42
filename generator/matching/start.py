"""Find the pose in which a photograph shows a part, roughly, by the edges of a render. Needs no network.

The photographs are of one station, so the part lies about as in the render: turned by a few degrees, and larger or
smaller by up to a third. (`generator.locating.coarse` searches all turns, by the drawing's lines, and finds the inner
edges of deep housings in place of the outer ones.)
"""

from __future__ import annotations

from itertools import product

import numpy as np
from PIL import Image
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.optimize import minimize

from generator.locating.edges import Similarity, Template, directions_of
from generator.locating.pose import Points, find_pose
from generator.matching.renders import Rendered
from generator.matching.shifts import edge_points, grey_of

# A place whose edges agree less with the render's is none of the part.
LEAST_SCORE = 0.15
_MOST_POINTS = 500
# Width of the pictures that are searched, px; scales and turns that are tried.
_COARSE_PX = 160
_SCALES = np.geomspace(0.72, 1.4, 17)
_TURNS_DEG = np.arange(-8.0, 8.1, 2.0)
# Steps of the refinement, px at the coarse size, degrees, logarithm of the scale.
_STEPS = np.array([1.5, 1.5, 1.0, 0.02])
# Standard deviations of the part's place in a photograph about the nominal one: rotations in rad, shifts in mm.
_DEVIATIONS = np.array([0.02, 0.02, 3.0, 50.0, 50.0, 200.0])


class Starter:
    """Finds the rough poses of parts; `render` shows the part in its nominal pose, and has the photographs' size."""

    def __init__(self, render: Rendered) -> None:
        pixels, normals = edge_points(grey_of(render.pixels))
        chosen = np.linspace(0, len(pixels) - 1, min(_MOST_POINTS, len(pixels))).astype(int)
        pixels, normals = pixels[chosen], normals[chosen]
        points = pixels @ (1.0, 1.0j)
        middle = complex(points.mean())
        weights = np.full(len(points), 1.0 / len(points))
        self._template = Template(middle, points - middle, (normals @ (1.0, 1.0j)) ** 2, weights, 1)
        depth = render.depth[tuple(np.floor(pixels[:, ::-1]).astype(int).T)]
        self._places = render.camera.at_depth(pixels, depth)
        self._camera = render.camera

    def pose(self, photograph: Image.Image) -> tuple[np.ndarray, float]:
        """Return a rough pose of the camera, and how well the edges agree.

        Args:
            photograph: the picture.

        Returns:
            (4, 4) from the camera's axes (as Blender's) to the housing's, mm; the score, at most 1.
        """
        ratio = min(1.0, _COARSE_PX / photograph.width)
        size = round(photograph.width * ratio), round(photograph.height * ratio)
        grey = photograph.convert("L").resize(size, Image.Resampling.BOX)
        field = directions_of(np.asarray(grey, np.float32))
        factor, place = self._coarse(field, ratio)
        start = np.array([place.real, place.imag, np.degrees(np.angle(factor)), np.log(abs(factor))])

        def cost(x: np.ndarray) -> float:
            turned = np.exp(x[3] + 1j * np.radians(x[2]))
            return -float(self._template.score(field, np.array([turned]), np.array([complex(x[0], x[1])]))[0])

        simplex = np.concatenate([[start], start + np.diag(_STEPS)])
        found = minimize(cost, start, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 0.02})
        x = found.x
        whole = complex(np.exp(x[3] + 1j * np.radians(x[2]))) / ratio
        similarity = Similarity(whole, complex(x[0], x[1]) / ratio - whole * self._template.middle)
        pixels = similarity.apply(self._camera.project(self._places))
        covariances = np.broadcast_to(np.eye(2), (len(pixels), 2, 2))
        placed = find_pose([Points(self._camera, self._places, pixels, covariances)], deviations=_DEVIATIONS)
        pose: np.ndarray = np.linalg.inv(placed.matrix) @ self._camera.matrix_world
        return pose, -float(found.fun)

    def _coarse(self, field: np.ndarray, ratio: float) -> tuple[complex, complex]:
        """The best turn and scale (one factor), and place of the template's middle, in px of `field` (H, W)."""
        height, width = field.shape
        shape = next_fast_len(2 * height, real=True), next_fast_len(2 * width, real=True)
        across, down = rfft2(field.real, shape), rfft2(field.imag, shape)
        best = -1.0, 1.0 + 0.0j, 0.0j
        for scale, turn in product(_SCALES, _TURNS_DEG):
            factor = complex(ratio * scale * np.exp(1j * np.radians(turn)))
            points = factor * self._template.points
            rows, columns = np.round(points.imag).astype(int) % shape[0], np.round(points.real).astype(int) % shape[1]
            drawn = np.zeros(shape, np.complex64)
            unit = (factor / abs(factor)) ** 2
            np.add.at(drawn, (rows, columns), self._template.weights * self._template.directions * unit)
            product_of = across * np.conj(rfft2(drawn.real)) + down * np.conj(rfft2(drawn.imag))
            score = irfft2(product_of, shape)[:height, :width]
            at = int(score.argmax())
            if score.flat[at] > best[0]:
                best = float(score.flat[at]), factor, complex(at % width + 0.5, at // width + 0.5)
        return best[1], best[2]
