"""Tables of operating points for pages and model cards, from the results of `trainer.core.operating_points`."""

from collections.abc import Mapping
from typing import Any

from trainer.core.card import markdown

HEADER = (
    *("accepted", "--threshold", "escapes", "overkill", "UNSURE", "INVALID"),
    *("95 % interval of escapes", "95 % interval of overkill"),
)
CAPTION = (
    "Left: share of NG pictures below the threshold (they escape) and of OK pictures from it on (overkill); the points "
    "are the verdicts with the run's own thresholds, and the band between them is UNSURE. Right: overkill against "
    "escapes along the same curves; point: the run's thresholds; circles: the rows of the table. Bands: 95 % intervals"
)


def table(measured: Mapping[str, Any]) -> list[list[Any]]:
    """Return table rows, columns `HEADER`, for a result of `operating_points.measure`; equal thresholds share a row."""
    rates: dict[tuple[str, float | None], list[float]] = {}
    points = {}
    for point in measured["points"]:
        key = point["of"], point["threshold"]
        rates.setdefault(key, []).append(100 * (point["rate"] or 0))
        points[key] = point
    rows: list[list[Any]] = []
    for (of, threshold), point in points.items():
        accepted = ", ".join(f"{rate:g}" for rate in sorted(rates[of, threshold]))
        rows.append(
            [
                "the run's thresholds" if threshold is None else f"{of} at most {accepted} %",
                None if threshold is None else str(threshold),
                *(_percent(point[name]["share"]) for name in ("escapes", "overkill", "unsure", "invalid")),
                *(_interval(point[name]) for name in ("escapes", "overkill")),
            ]
        )
    return rows


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def _interval(share: Mapping[str, Any]) -> str | None:
    low, high = share["interval"]
    return None if share["share"] is None else f"{100 * low:.1f} to {100 * high:.1f} %"


def _explanation(held: Mapping[str, Mapping[str, Any]]) -> str:
    """Return sentences on the tables of these splits, with commands between backticks."""
    here = [name for name, one in held.items() if one["chosen_on"] != "validation"]
    chosen = f"on the split itself ({', '.join(here)}; the run has none)" if here else "on validation"
    return (
        "The fewer escapes are accepted, the more overkill there is. Find the row with the share that you accept, and "
        "give its threshold P to `trainer.predict --threshold P`: NG from P on; OK below P, below the run's escape "
        "threshold and below 0.5; else UNSURE. Above the lower of these two P changes only overkill and UNSURE. "
        "Without the option the run's own thresholds hold, with UNSURE between them. The thresholds in the table were "
        f"chosen {chosen}: there their shares are optimistic. 95 % intervals: bootstrap over parts."
    )


def _held(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {name: one["operating_points"] for name, one in splits.items() if "operating_points" in one}


def view(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return values for `operating_points.html.j2` from splits' reports; None if these lack `operating_points`."""
    if not (held := _held(splits)):
        return None
    tables = {name: table(one) for name, one in held.items()}
    return {"header": HEADER, "tables": tables, "explanation": _explanation(held), "caption": CAPTION}


def markdown_section(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a model card's section on operating points from splits' reports; "" if these lack `operating_points`."""
    if not (held := _held(splits)):
        return ""
    rows = [[name, *row] for name, one in held.items() for row in table(one)]
    return f"## Operating points\n\n{_explanation(held)}\n\n{markdown(('split', *HEADER), rows)}"
