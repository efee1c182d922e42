"""Align a picture with a reference by shift, rotation and scale, to a fraction of a pixel.

First, a coarse search correlates edges (gradient magnitudes, which change little with the light) by FFT, at several
angles if rotation is allowed. Then Gauss-Newton steps (Lucas and Kanade 1981), first on a small picture and then on
larger ones, fit angle, scale and shift, and with them gain and offset of the brightness. Pixels that do not fit have
little weight, so that a defect does not bias the result. The scale matters: if a part is 1 % nearer to the camera, its
edges at the border of a picture 250 px wide move by a pixel.

    pose = register(image, reference, rotation_deg=3)     # Pose(angle_deg, dx, dy, scale)
    straight = warp(image, pose, reference.shape, fill=reference)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from generator.soart.kernels import compiled

COARSE = 96
STEPS = 8


@dataclass(frozen=True)
class Pose:
    """The alignment of a picture with a reference.

    Point p of the reference, in px from the reference's middle, lies in the picture at s R p + (dx, dy), in px from the
    picture's middle.

    Attributes:
        angle_deg: angle of the rotation R, degrees clockwise.
        dx, dy: shift, px of the picture.
        scale: s, size of the part in the picture divided by its size in the reference.
    """

    angle_deg: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    scale: float = 1.0

    def points(self, points: np.ndarray, size: tuple[int, int], image_size: tuple[int, int]) -> np.ndarray:
        """Convert points (N, 2), x and y, from px of the reference to px of the picture, both from the upper left.

        `size` and `image_size` are (H, W) of the reference and of the picture, px.
        """
        middle, own = np.array([size[1], size[0]]) / 2, np.array([image_size[1], image_size[0]]) / 2
        moved: np.ndarray = self.scale * (points - middle) @ self._turn() + [self.dx, self.dy] + own
        return moved

    def back(self, points: np.ndarray, size: tuple[int, int], image_size: tuple[int, int]) -> np.ndarray:
        """Convert (N, 2) x, y from px of a picture (`image_size`, (H, W)) to px of its reference (`size`, (H, W))."""
        middle, own = np.array([size[1], size[0]]) / 2, np.array([image_size[1], image_size[0]]) / 2
        moved: np.ndarray = (points - own - [self.dx, self.dy]) / self.scale @ self._turn().T + middle
        return moved

    def shifted(self, shift: np.ndarray) -> Pose:
        """Return the alignment of a picture that, aligned by this one, lies `shift` (x, y), px, off the reference."""
        dx, dy = self.scale * shift @ self._turn()
        return replace(self, dx=self.dx + float(dx), dy=self.dy + float(dy))

    def inverse(self) -> Pose:
        """Return the alignment in the other direction: of the reference with the picture."""
        dx, dy = -(self._turn() @ [self.dx, self.dy]) / self.scale
        return Pose(-self.angle_deg, float(dx), float(dy), 1 / self.scale)

    def _turn(self) -> np.ndarray:
        angle = math.radians(self.angle_deg)
        return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


@dataclass(frozen=True)
class Placed:
    """The alignment of a picture with a reference, found with a reduced copy of the picture.

    Attributes:
        size: (H, W) of the picture, px.
        small: (h, w) of the reduced copy, px.
        pose: alignment of the reduced copy with the reference.
        reference: (h, w) of the reference, px.
    """

    size: tuple[int, int]
    small: tuple[int, int]
    pose: Pose
    reference: tuple[int, int]

    @property
    def reduction(self) -> np.ndarray:
        """(2,) factors, <= 1, by which x and y in the picture are multiplied to get those in the reduced copy."""
        return np.array([self.small[1] / self.size[1], self.small[0] / self.size[0]])

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Convert points (N, 2), x and y, from px of the reference to px of the picture."""
        enlarged = [self.size[1] / self.small[1], self.size[0] / self.small[0]]
        return self.pose.points(points, self.reference, self.small) * enlarged

    def resampled(self, values: np.ndarray) -> np.ndarray:
        """Resample float32 values (h, w) at the pixels of the reference to the pixels of the picture (H, W)."""
        (height, width), small, shape = self.size, self.small, self.reference
        y, x = np.mgrid[0 : small[0], 0 : small[1]] + 0.5
        back = self.pose.back(np.stack([x.ravel(), y.ravel()], axis=1), shape, small)
        column, row = (np.clip(np.round(back[:, k] - 0.5).astype(int), 0, shape[1 - k] - 1) for k in (0, 1))
        picture: np.ndarray = values[row, column].reshape(small)
        if small == (height, width):
            return picture
        return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def inside(pose: Pose, shape: tuple[int, int], image_size: tuple[int, int]) -> np.ndarray:
    """Return which pixels of a reference of `shape` lie in an aligned picture of `image_size` (H, W): (h, w) bool."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    points = pose.points(np.stack([x.ravel(), y.ravel()], axis=1), shape, image_size)
    within: np.ndarray = ((points >= 0) & (points <= [image_size[1], image_size[0]])).all(axis=1)
    return within.reshape(shape)


def resized(picture: np.ndarray, scale: float) -> np.ndarray:
    """Reduce a grey picture (H, W) to `scale` times its size by averaging pixels, float32; unchanged if scale >= 1."""
    if scale >= 1.0:
        return np.ascontiguousarray(picture, dtype=np.float32)
    size = tuple(max(1, round(n * scale)) for n in picture.shape[::-1])
    small = Image.fromarray(np.ascontiguousarray(picture, dtype=np.float32)).resize(size, Image.Resampling.BOX)
    reduced: np.ndarray = np.clip(np.asarray(small), 0.0, 1.0)
    return reduced


def register(image: np.ndarray, reference: np.ndarray, rotation_deg: float = 3.0, scaling: float = 0.03) -> Pose:
    """Find the alignment of a grey picture with a reference.

    Args:
        image, reference: (H, W) floats in [0, 1]; their sizes may differ.
        rotation_deg: largest rotation searched, degrees either way; 0: no rotation.
        scaling: largest deviation of the scale from 1 that is fitted, up to about 0.05; 0: the scale is 1.

    Returns:
        The alignment; for a picture without edges, Pose(): not moved, turned or scaled.
    """
    scale = min(1.0, COARSE / max(*image.shape, *reference.shape))
    pose = _coarse(resized(image, scale), resized(reference, scale), rotation_deg)
    pose = replace(pose, dx=pose.dx / scale, dy=pose.dy / scale)
    while True:
        small, small_reference = resized(image, scale), resized(reference, scale)
        start = replace(pose, dx=pose.dx * scale, dy=pose.dy * scale)
        fine = _refined(small, small_reference, start, rotation_deg, scaling)
        pose = replace(fine, dx=fine.dx / scale, dy=fine.dy / scale)
        if scale == 1.0:
            return pose
        scale = 1.0 if scale > 0.3 else scale * 2.5


def fewest_px(longest: int) -> int:
    """Return the fewest px of a picture's shorter side with which `register` can compute gradients.

    `longest` is the longest side of the picture and its reference, px.
    """
    return math.ceil(1.5 * max(1.0, longest / COARSE))  # 2 px after the coarse search's reduction, which rounds


def warp(image: np.ndarray, pose: Pose, shape: tuple[int, int], fill: np.ndarray | None = None) -> np.ndarray:
    """Resample a grey picture onto the reference's pixels, by cubic interpolation (Keys 1981), clipped to [0, 1].

    Args:
        image: (H, W) floats in [0, 1].
        pose: alignment of the picture with the reference, from `register`.
        shape: (h, w) of the reference, px.
        fill: (h, w) values for pixels outside the picture; None: they get the value of the picture's nearest pixel.
    """
    angle = math.radians(pose.angle_deg)
    c, s = pose.scale * math.cos(angle), pose.scale * math.sin(angle)
    out = np.empty(shape, dtype=np.float32)
    filled = np.zeros((0, 0), np.float32) if fill is None else np.ascontiguousarray(fill, dtype=np.float32)
    source = np.ascontiguousarray(image, dtype=np.float32)
    _warp(source, c, s, pose.dx, pose.dy, filled, out)
    return out


def _edges(picture: np.ndarray) -> np.ndarray:
    gy, gx = np.gradient(picture)
    edges: np.ndarray = np.sqrt(gx * gx + gy * gy)
    return edges - edges.mean()


def _coarse(image: np.ndarray, reference: np.ndarray, rotation_deg: float) -> Pose:
    """Find the best angle and whole-pixel shift; one step of the angle moves the corners by about two pixels."""
    shape = tuple(2 * max(pair) for pair in zip(image.shape, reference.shape, strict=True))
    spectrum = np.fft.rfft2(_edges(reference), shape)
    step = math.degrees(4.0 / math.hypot(*reference.shape))
    count = math.ceil(rotation_deg / step) if rotation_deg > 0 else 0
    best, found = -1.0, Pose()
    for number in range(-count, count + 1):
        angle = number * rotation_deg / count if count else 0.0
        turned = image if angle == 0.0 else warp(image, Pose(angle), image.shape)
        edges = _edges(turned)
        power = float(np.sqrt((edges * edges).sum()))
        if power == 0.0:
            continue
        match = np.fft.irfft2(np.fft.rfft2(edges, shape) * spectrum.conj(), shape) / power
        peak = int(match.argmax())
        if match.flat[peak] > best:
            best = float(match.flat[peak])
            y, x = (p - n if p > n // 2 else p for p, n in zip(divmod(peak, shape[1]), shape, strict=True))
            # Convert the shift of corners to a shift of middles, then from the rotated picture to the given one.
            x += (reference.shape[1] - image.shape[1]) / 2
            y += (reference.shape[0] - image.shape[0]) / 2
            c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            found = Pose(angle, c * x - s * y, s * x + c * y)
    return found


def _refined(image: np.ndarray, reference: np.ndarray, pose: Pose, rotation_deg: float, scaling: float) -> Pose:
    gy, gx = (np.ascontiguousarray(g, dtype=np.float32) for g in np.gradient(reference))
    # angle, ln scale, dx, dy, gain, offset
    at = np.array([math.radians(pose.angle_deg), math.log(pose.scale), pose.dx, pose.dy, 1.0, 0.0])
    spread = 0.2
    # About ten thousand pixels are enough for six unknowns.
    skip = max(1, round(math.sqrt(reference.size / 10_000)))
    normal, right = np.empty((6, 6)), np.empty(6)
    allowed = [rotation_deg > 0, scaling > 0, True, True, True, True]
    for step in range(STEPS):
        spread = _normal_equations(image, reference, gx, gy, at, spread, skip, normal, right)
        if spread == 0.0:
            break
        # The first step fits gain and offset only, so that a change of light is not mistaken for a shift.
        free = [4, 5] if step == 0 else [k for k in range(6) if allowed[k]]
        # A small multiple of the diagonal keeps the pose of a picture without structure unchanged.
        part = normal[np.ix_(free, free)] + np.diag(1e-6 * np.diag(normal)[free] + 1e-9)
        moved = np.zeros(6)
        moved[free] = np.linalg.solve(part, right[free])
        at += moved
        turned = np.abs(moved[:2]) * max(reference.shape)
        if step and max(*np.abs(moved[2:4]), *turned) < 5e-3:
            break
    angle_deg, scale = math.degrees(at[0]), math.exp(min(max(at[1], -1.0), 1.0))
    fine = Pose(angle_deg, float(at[2]), float(at[3]), scale)
    far = max(abs(fine.dx - pose.dx), abs(fine.dy - pose.dy)) > 0.1 * max(reference.shape)
    strayed = abs(angle_deg) > 2 * rotation_deg + 1e-9 or abs(scale - 1.0) > 2 * scaling + 1e-9
    return pose if far or strayed else fine


@compiled()
def _normal_equations(
    image: np.ndarray,
    reference: np.ndarray,
    gx: np.ndarray,
    gy: np.ndarray,
    at: np.ndarray,
    spread: float,
    skip: int,
    normal: np.ndarray,
    right: np.ndarray,
) -> float:
    """Write the equations for `at` = angle, ln scale, dx, dy, gain, offset; return twice the mean misfit, or 0."""
    height, width = reference.shape
    rows, columns = image.shape
    angle, log_scale, dx, dy, gain, offset = at
    scale = np.exp(log_scale)
    c, s = np.cos(angle), np.sin(angle)
    normal[:] = 0.0
    right[:] = 0.0
    row = np.empty(6)
    misfit, count = 0.0, 0
    for v in range(0, height, skip):
        for u in range(v // skip % skip, width, skip):
            pu, pv = u + 0.5 - 0.5 * width, v + 0.5 - 0.5 * height
            ru, rv = scale * (c * pu - s * pv), scale * (s * pu + c * pv)
            x = ru + dx + 0.5 * columns - 0.5
            y = rv + dy + 0.5 * rows - 0.5
            if x < 0.0 or y < 0.0 or x >= columns - 1 or y >= rows - 1:
                continue
            x0, y0 = int(x), int(y)
            fx, fy = x - x0, y - y0
            upper = image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx
            lower = image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx
            value = upper * (1 - fy) + lower * fy
            rest = reference[v, u] - gain * value - offset
            weight = 1.0 / (1.0 + (rest / spread) ** 2)
            misfit += abs(rest)
            count += 1
            # The picture's gradient is the reference's, rotated; the scale is too near 1 to matter here.
            ix = c * gx[v, u] - s * gy[v, u]
            iy = s * gx[v, u] + c * gy[v, u]
            row[0] = iy * ru - ix * rv
            row[1] = ix * ru + iy * rv
            row[2] = ix
            row[3] = iy
            row[4] = value
            row[5] = 1.0
            for a in range(6):
                right[a] += weight * row[a] * rest
                for b in range(a, 6):
                    normal[a, b] += weight * row[a] * row[b]
    for a in range(6):
        for b in range(a):
            normal[a, b] = normal[b, a]
    return 2.0 * misfit / count if count * skip * skip > 0.25 * height * width else 0.0


@compiled()
def _cubic(t: float, weights: np.ndarray) -> None:
    """Write the cubic weights of four neighbouring pixels for a point t px (0 to 1) after the second."""
    weights[0] = ((-0.5 * t + 1.0) * t - 0.5) * t
    weights[1] = (1.5 * t - 2.5) * t * t + 1.0
    weights[2] = ((-1.5 * t + 2.0) * t + 0.5) * t
    weights[3] = (0.5 * t - 0.5) * t * t


@compiled()
def _warp(image: np.ndarray, c: float, s: float, dx: float, dy: float, fill: np.ndarray, out: np.ndarray) -> None:
    height, width = out.shape
    rows, columns = image.shape
    wx, wy = np.empty(4), np.empty(4)
    for v in range(height):
        for u in range(width):
            pu, pv = u + 0.5 - 0.5 * width, v + 0.5 - 0.5 * height
            x = c * pu - s * pv + dx + 0.5 * columns - 0.5
            y = s * pu + c * pv + dy + 0.5 * rows - 0.5
            if fill.size and (x < -0.5 or y < -0.5 or x > columns - 0.5 or y > rows - 0.5):
                out[v, u] = fill[v, u]
                continue
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            _cubic(x - x0, wx)
            _cubic(y - y0, wy)
            total = 0.0
            for a in range(4):
                line = image[min(max(y0 - 1 + a, 0), rows - 1)]
                across = 0.0
                for b in range(4):
                    across += wx[b] * line[min(max(x0 - 1 + b, 0), columns - 1)]
                total += wy[a] * across
            out[v, u] = min(max(total, 0.0), 1.0)
