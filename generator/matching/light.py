"""Fit the light, the white balance and the colours of housing and table to the mean light in regions of photographs.

Light adds up: a picture under lamp and surroundings is the sum of two pictures, each under one of them, and that of a
plastic housing is one of a black housing plus a share in its colour. So a few renders give the picture for every power,
ambient light and colour. The plating of the pins is taken as the scene states it: what makes all surfaces brighter or
redder cannot be told from the exposure or the white balance.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from blender_scripts.contract.connector import Connector
from generator.matching.ranges import Quantity
from generator.matching.regions import CLIPPED, COUNT, FLOOR, QUADRANTS, RIM, TABLE, WALLS, labels_of, means
from generator.matching.renders import Shot, Wanted, render_all
from generator.matching.scene_text import Key

# Colour of the second render's housing, linear.
_REFERENCE = 0.05
# Standard deviations of a region's light about the model's, as shares: of table, rim, cavity floor, walls and pins.
# The mirror-like pins change with every tilt.
_SPREAD = np.repeat([0.02, 0.02, 0.03, 0.1, 0.1], QUADRANTS)[:, None]
# A light set-up is determined if its misfit is at most this share of that of the next best.
_BETTER = 0.8
# An expanded uncertainty of a logarithm above this: not determined.
_LARGEST = 0.5
# Standard deviations of the unknowns' logarithms about the scene's values: power, ambient, red, blue, table, housing,
# exposure of a photograph.
_PRIOR = (1.0, 1.0, 0.5, 0.5, 1.0, 1.0, 1.0, 1.5, 1.5, 1.5)
# Those of the exposure and of the table's brightness in a single photograph.
_EXPOSURE, _SHADE = 0.1, 0.2


@dataclass(frozen=True)
class LightFit:
    """The fit of one light set-up.

    Attributes:
        lighting: its name.
        misfit: root mean square, over regions and colours, of the logarithms of photograph over model, each divided by
            its standard deviation.
        logs, u: power, ambient, red and blue of the white balance, red, green and blue of the table and of the housing:
            logarithms of their ratio to the scene's values, and expanded uncertainties (k = 2).
    """

    lighting: str
    misfit: float
    logs: np.ndarray
    u: np.ndarray


@dataclass(frozen=True)
class _Parts:
    """Mean light (COUNT, 3) in a render: of lamp and of surroundings, each on a black housing, and what colour adds."""

    lamp: np.ndarray
    ambient: np.ndarray
    lamp_colour: np.ndarray
    ambient_colour: np.ndarray


def fit_light(
    shot: Shot, photographs: Sequence[np.ndarray], poses: Sequence[np.ndarray], lens: dict[Key, float], name: str
) -> list[LightFit]:
    """Fit each light set-up of a scene (or only that of `shot.lighting`, if stated) to some photographs, best first.

    Args:
        shot: the connector; `lighting` is the only set-up that is tried, or "" for all.
        photographs: (H, W, 3) uint8 each.
        poses: the camera's pose in each.
        lens: values of the scene file for the fitted lens.
        name: name of a folder for the renders.
    """
    connector = shot.connector()
    tried = [shot.lighting] if shot.lighting else list(connector.lightings)
    wanted = [
        Wanted({**lens, **values}, pose, lighting=lighting)
        for lighting in tried
        for pose in poses
        for values in _four(shot, connector, lighting)
    ]
    renders = render_all(shot, wanted, name)
    fits = []
    for number, lighting in enumerate(tried):
        seen, parts = [], []
        for index, photograph in enumerate(photographs):
            four = renders[4 * (number * len(poses) + index) :][:4]
            labels = labels_of(four[0], connector)
            light = [means_of_all(each.pixels, labels) for each in four]
            parts.append(_Parts(light[0], light[1], light[2] - light[0], light[3] - light[1]))
            seen.append(means(photograph, labels))
        fits.append(_fit(connector, shot, lighting, seen, parts))
    return sorted(fits, key=lambda each: each.misfit)


def means_of_all(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mean light (COUNT, 3) of each region of a render, also of dark ones; NaN: no pixels."""
    return means(np.clip(pixels, CLIPPED[0] + 1, CLIPPED[1] - 1), labels)


def has_colour(shot: Shot) -> bool:
    """Return whether the housing has one colour, which can be changed."""
    return "color" in tomllib.loads(shot.text)["housings"][shot.housing]


def _four(shot: Shot, connector: Connector, lighting: str) -> list[dict[Key, object]]:
    """Values for renders under the lamp and under the surroundings, each with a black and with a coloured housing."""
    colour: Key = ("housings", shot.housing, "color")
    station = connector.lightings[lighting]
    lamp: dict[Key, object] = {("lighting", lighting, "power"): station.power, ("lighting", lighting, "ambient"): 0.0}
    room: dict[Key, object] = {("lighting", lighting, "power"): 0.0, ("lighting", lighting, "ambient"): station.ambient}
    if not has_colour(shot):
        return [lamp, room, lamp, room]
    black, reference = [0.0] * 3, [_REFERENCE] * 3
    return [{**lamp, colour: black}, {**room, colour: black}, {**lamp, colour: reference}, {**room, colour: reference}]


def _fit(
    connector: Connector, shot: Shot, lighting: str, seen: Sequence[np.ndarray], parts: Sequence[_Parts]
) -> LightFit:
    base = np.array(connector.housings[shot.housing].walls.colors[0]) / _REFERENCE if has_colour(shot) else np.zeros(3)
    surface = np.arange(COUNT) // QUADRANTS
    housing = np.isin(surface, (RIM, FLOOR, WALLS))[:, None]
    table = (surface == TABLE)[:, None]
    kept = [
        np.isfinite(each + part.lamp_colour + part.ambient_colour) & ~(table & (connector.backdrop is not None))
        for each, part in zip(seen, parts, strict=True)
    ]
    count = len(seen)
    prior = np.concatenate([_PRIOR, np.full(count, _EXPOSURE), np.full(count, _SHADE)])

    def off(x: np.ndarray) -> np.ndarray:
        power, ambient = np.exp(x[:2])
        balance = np.exp([x[2], 0.0, x[3]])
        found = []
        for number, (photograph, part) in enumerate(zip(seen, parts, strict=True)):
            share = base * np.exp(x[7:10])
            lamp, room = (
                part.lamp + share * part.lamp_colour * housing,
                part.ambient + share * part.ambient_colour * housing,
            )
            model = (power * lamp + ambient * room) * np.exp(table * (x[4:7] + x[10 + count + number]))
            model = model * balance * np.exp(x[10 + number])
            ratio = np.log(np.where(kept[number], photograph, 1.0)) - np.log(np.maximum(model, 1e-5))
            found.append((ratio / _SPREAD)[kept[number]])
        return np.concatenate([*found, x / prior])

    with threadpool_limits(1):
        solved = least_squares(off, np.zeros(len(prior)), loss="soft_l1", x_scale=prior, max_nfev=60)
        inverse = np.linalg.inv(solved.jac.T @ solved.jac)
    errors = off(solved.x)[: -len(prior)]
    misfit = float(np.sqrt(np.mean(2.0 * (np.sqrt(1.0 + errors**2) - 1.0))))
    return LightFit(lighting, misfit, solved.x[:10], 2.0 * max(1.0, misfit) * np.sqrt(np.diag(inverse)[:10]))


def light_quantities(fits: Sequence[LightFit], connector: Connector, shot: Shot) -> tuple[list[Quantity], list[str]]:
    """Return what the best fit says of the scene's values, and sentences on what it cannot tell."""
    best, notes = fits[0], []
    if len(fits) > 1 and best.misfit > _BETTER * fits[1].misfit:
        notes.append(
            f"light's kind, direction and size: not determined; {best.lighting} fits best (misfit {best.misfit:.2f}), "
            f"{fits[1].lighting} nearly as well ({fits[1].misfit:.2f})"
        )
    station = connector.lightings[best.lighting]
    power, ambient = (np.exp(best.logs[:2]) * (station.power, station.ambient)).tolist()
    key = ("lighting", best.lighting)
    said = "grey levels of the regions, with the scene's plating of the pins"
    found = [Quantity((*key, "power"), station.power, power, float(power * best.u[0]), said)]
    if station.ambient and best.u[1] > _LARGEST:
        apart = "cannot be told from the lamp; scaled with its power"
        found.append(Quantity((*key, "ambient"), station.ambient, station.ambient * power / station.power, None, apart))
    else:
        found.append(Quantity((*key, "ambient"), station.ambient, ambient, float(ambient * best.u[1]), said))
    red, blue = np.exp(best.logs[2:4]).tolist()
    before = list(connector.sensor.white_balance)
    balance = [before[0] * red, before[1], before[2] * blue]
    found.append(Quantity(("sensor", "white_balance"), before, balance, float(best.u[2:4].max()), said))
    fixture: Key = ("fixture", "color")
    colours = [(fixture, connector.fixture_color, best.logs[4:7], best.u[4:7], connector.backdrop is None)]
    walls = connector.housings[shot.housing].walls.colors[0]
    colours.append((("housings", shot.housing, "color"), walls, best.logs[7:10], best.u[7:10], has_colour(shot)))
    for place, old, logs, u, fitted in colours:
        if not fitted:
            found.append(Quantity(place, None, None, None, "the scene states several colours, or photographs"))
        elif u.max() > 2.0 * _LARGEST:
            found.append(Quantity(place, list(old), None, None, "the surface's gloss hides its colour"))
        else:
            value = np.minimum(np.array(old) * np.exp(logs), 1.0).tolist()
            found.append(Quantity(place, list(old), value, float(u.max() * max(value)), said))
    return found, notes
