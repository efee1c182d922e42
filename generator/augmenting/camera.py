"""The camera of an augmented copy, which projects points of the part onto their pixels in the copy.

A transform of pixels u' = A u + t and a camera u = K d(n) + c (n: normalised coordinates, y downwards; d: OpenCV's
distortion) give u' = A K d(n) + A c + t. This is a camera if A K = K' R, with K' diagonal and R a turn or a flip of the
image plane: R leaves radial distortion unchanged and turns tangential distortion like the vector (p2, p1). Otherwise
pixels are sheared, which fx, fy, cx, cy cannot express; the camera is then None.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from generator.augmenting.transforms import Move
from generator.dataset.rows import CameraRow

# Largest cosine of the angle between the two rows of A K that still counts as a right angle.
_SQUARE = 1e-9


def moved_camera(camera: CameraRow | None, move: Move, world: np.ndarray | None) -> CameraRow | None:
    """Return the camera of a copy; None if it is not known or if fx, fy, cx, cy cannot express it (sheared pixels).

    Args:
        camera: camera of the original; None: not known.
        move: transform from the original's pixels to the copy's.
        world: (4, 4) matrix from the original's world coordinates to the copy's, mm; it differs from the identity for
            flipped and turned copies, whose pins get other addresses. None: not known; the result is then None.
    """
    if camera is None or world is None:
        return None
    a, b, c, d, e, f = move.matrix
    linear = np.array([[a, b], [d, e]])
    scaled = linear @ np.diag([camera.fx, camera.fy])
    focal = np.linalg.norm(scaled, axis=1)
    plane = scaled / focal[:, None]
    # Either both world and picture are mirrored or none: a camera's matrix has determinant 1.
    if abs(plane[0] @ plane[1]) > _SQUARE or np.linalg.det(plane) * np.linalg.det(world[:3, :3]) <= 0:
        return None
    (cx, cy) = linear @ [camera.cx, camera.cy] + [c, f]
    k1, k2, p1, p2, k3 = camera.distortion
    p2, p1 = plane @ [p2, p1]
    # Y is up in the camera's frame, down in the image plane.
    axes = np.eye(4)
    axes[:2, :2] = plane * [[1, -1], [-1, 1]]
    matrix = world @ np.array(camera.matrix_world) @ axes.T
    fx, fy = map(float, focal)
    return replace(
        camera,
        matrix_world=tuple(tuple(map(float, line)) for line in matrix + 0.0),
        fx=fx,
        fy=fy,
        cx=float(cx),
        cy=float(cy),
        distortion=(k1, k2, float(p1) + 0.0, float(p2) + 0.0, k3),
    )
