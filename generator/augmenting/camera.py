"""The camera of a moved picture: what projects the copy's measures onto the copy's points.

A pixel move u' = A u + t and a camera u = K d(n) + c (n: normalised coordinates, y downwards; d: OpenCV's distortion)
give u' = A K d(n) + A c + t. That is a camera with focal lengths of its own where A K = K' R, with K' diagonal and R a
turn or a flip of the image plane: radial distortion does not see R, the tangential one turns with it as the vector
(p2, p1) does. Otherwise pixels are sheared, and no fx, fy, cx, cy says that: None.
"""

from __future__ import annotations

import numpy as np

from generator.augmenting.transforms import Move
from generator.dataset.rows import CameraRow

# Of the two rows of A K: cosine of their angle, against a right one.
_SQUARE = 1e-9


def moved_camera(camera: CameraRow | None, move: Move, world: np.ndarray | None) -> CameraRow | None:
    """The camera of the moved picture; None where there is none of the form fx, fy, cx, cy.

    Args:
        camera: of the original.
        move: what was done to its pixels.
        world: (4, 4) from the original's world to the copy's, mm: where a point of the part is according to the
            copy's addresses and measures; None where they say no such place.
    """
    if camera is None or world is None:
        return None
    a, b, c, d, e, f = move.matrix
    linear = np.array([[a, b], [d, e]])
    scaled = linear @ np.diag([camera.fx, camera.fy])
    focal = np.linalg.norm(scaled, axis=1)
    plane = scaled / focal[:, None]
    # A world that is mirrored wants a picture that is: a camera's matrix is a motion.
    if abs(plane[0] @ plane[1]) > _SQUARE or np.linalg.det(plane) * np.linalg.det(world[:3, :3]) <= 0:
        return None
    (cx, cy) = linear @ [camera.cx, camera.cy] + [c, f]
    k1, k2, p1, p2, k3 = camera.distortion
    p2, p1 = plane @ [p2, p1]
    # The camera's own Y is up, the plane's down.
    axes = np.eye(4)
    axes[:2, :2] = plane * [[1, -1], [-1, 1]]
    matrix = world @ np.array(camera.matrix_world) @ axes.T
    fx, fy = map(float, focal)
    return CameraRow(
        matrix_world=tuple(tuple(map(float, line)) for line in matrix + 0.0),
        fx=fx,
        fy=fy,
        cx=float(cx),
        cy=float(cy),
        distortion=(k1, k2, float(p1) + 0.0, float(p2) + 0.0, k3),
    )
