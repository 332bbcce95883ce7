"""A report as a map: accuracy by region, in cells of the Earth, at each camera or place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geomoe.earth.land import coastlines
from geomoe.evaluation.reports.text import choice_name, interval, percent, plural, protocol_text
from geomoe.pages.atlas import Layer, Mark, ramp_colour, render_atlas

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

CELL = 6.0  # degrees; every step of geomoe.evaluation.places divides it
FEW = 10  # samples of a cell or place below which an accuracy says little: drawn faintly
SCORES = ("accuracy", "interval", "samples", "macro F1")
SIZES = f"Larger discs stand for more samples; faint ones for fewer than {FEW}."


def score_layers(data: dict[str, Any]) -> list[Layer]:
    """Layers of a report, for each choice of experts; none where no place is known.

    Args:
        data: a report's plain data.
    """
    places = data.get("places")
    if places is None:
        return []
    columns = {key: np.array(places[key]) for key in ("domain", "lon", "lat", "count")}
    found = []
    for choice, scores in data["scores"].items():
        columns["correct"] = np.array(places["correct"][choice])
        group = choice_name(data, choice)
        group = group.upper() if group == data["algorithm"] else group[0].upper() + group[1:]
        if set(scores["regions"]) & set(coastlines()):
            found.append(_regions(data, scores, group))
        if _one_place_each(columns):
            found.append(_domains(data, scores, columns, group))
        else:
            found += [_cells(columns, group), _places(data, columns, group)]
    return found


def score_page(data: dict[str, Any], layers: list[Layer]) -> str:
    """The map of a report as one offline page."""
    places, unit = data["places"], data.get("domain_unit", "region")
    facts = [
        ("split", data["split"]),
        ("protocol", protocol_text(data)),
        ("seed", str(data["seed"])),
        ("checkpoint", data["checkpoint"]),
        ("samples", f"{sum(places['count']) + places['unplaced']:,}"),
        ("intervals", interval_text(data)),
    ]
    notes = []
    if places["unplaced"]:
        notes.append(f"{places['unplaced']:,} samples of unknown place are not on the map.")
    if places["step"]:
        notes.append(f"Places of one {unit} in the same cell of {places['step']:g}° are shown as one.")
    return render_atlas(
        title_of(data), facts, layers, about="About this report", held_out=data["held_out"], notes=notes
    )


def score_figure(data: dict[str, Any], layers: list[Layer]) -> Figure:
    """The same for print: regions, and cells or cameras, of the first choice of experts."""
    from geomoe.pages.atlas_figure import draw_atlas  # matplotlib takes a second

    first = [layer for layer in layers if layer.group == layers[0].group]
    return draw_atlas([layer for layer in first if layer.name != "Places"], title_of(data))


def title_of(data: dict[str, Any]) -> str:
    """One line that names a report."""
    return f"Scores of {data['algorithm']} on {data['data']}, {data['split']}"


def interval_text(data: dict[str, Any]) -> str:
    """How intervals were made."""
    boot = data["bootstrap"]
    return f"{100 * boot['confidence']:g} %, {boot['samples']} resamples of {plural(boot['unit'])}"


def _one_place_each(columns: dict[str, NDArray[Any]]) -> bool:
    """Whether every domain stands at one place, as cameras do."""
    domain = columns["domain"][columns["domain"] >= 0]
    return bool(len(domain)) and len(np.unique(domain)) == len(columns["domain"])


def _scale(values: list[float]) -> tuple[float, float]:
    """Ends of a scale of colours, in whole tenths, that holds all values."""
    low, high = np.floor(min(values) * 10) / 10, np.ceil(max(values) * 10) / 10
    return float(low), float(high if high > low else low + 0.1)


def _ends(low: float, high: float) -> tuple[str, str]:
    return f"{100 * low:.0f} %", f"{100 * high:.0f} %"


def _score_values(name: str, part: dict[str, Any], mark: str = "") -> tuple[str, ...]:
    return (
        name + mark,
        percent(part["accuracy"]),
        interval(part["accuracy_interval"]),
        f"{part['count']:,}",
        percent(part["macro_f1"]),
    )


def _by_accuracy(scores: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(scores["regions"].items(), key=lambda item: item[1]["accuracy"])


def _regions(data: dict[str, Any], scores: dict[str, Any], group: str) -> Layer:
    unit, parts = data.get("domain_unit", "region"), _by_accuracy(scores)
    low, high = _scale([part["accuracy"] for _, part in parts])
    marks = []
    for name, part in parts:
        said = " (held out)" if name == data["held_out"] else ""
        said += " (never worst)" if name in data.get("uncounted", ()) else ""
        colour = ramp_colour(part["accuracy"], low, high)
        marks.append(Mark(_score_values(name, part, said), colour, region=name))
    title = f"Accuracy by {unit} (percent)"
    return Layer(group, "Regions", title, (unit, *SCORES), 4, marks, _ends(low, high))


def _domains(
    data: dict[str, Any], scores: dict[str, Any], columns: dict[str, NDArray[Any]], group: str
) -> Layer:
    """A disc for each camera; one of unknown place stands in the table alone."""
    unit = data.get("domain_unit", "region")
    row = {data["regions"][number]: at for at, number in enumerate(columns["domain"].tolist())}
    marks = []
    for name, part in _by_accuracy(scores):
        at = row.get(name)
        place = None if at is None else (float(columns["lon"][at]), float(columns["lat"][at]))
        values = _score_values(name, part, "" if at is not None else " (place unknown)")
        colour = ramp_colour(part["accuracy"])
        radius = _radius(part["count"])
        marks.append(Mark(values, colour, lonlat=place, radius=radius, faint=part["count"] < FEW))
    title = f"Accuracy of each {unit} (percent)"
    return Layer(
        group,
        f"{unit[0].upper()}{plural(unit)[1:]}",
        title,
        (unit, *SCORES),
        4,
        marks,
        _ends(0, 1),
        note=SIZES,
    )


def _radius(count: int) -> float:
    return float(np.clip(2.5 + 1.5 * np.log10(count), 2.5, 10))


def _cells(columns: dict[str, NDArray[Any]], group: str) -> Layer:
    column = np.floor((columns["lon"] + 180) / CELL).clip(0, 360 / CELL - 1).astype(int)
    row = np.floor((columns["lat"] + 90) / CELL).clip(0, 180 / CELL - 1).astype(int)
    unique, inverse = np.unique(np.column_stack([column, row]), axis=0, return_inverse=True)
    count = np.bincount(inverse.reshape(-1), weights=columns["count"]).astype(int)
    correct = np.bincount(inverse.reshape(-1), weights=columns["correct"])
    marks = []
    for k in np.argsort(correct / count, kind="stable"):
        west, south = (unique[k] * CELL - [180, 90]).tolist()
        box, share = (west, south, west + CELL, south + CELL), float(correct[k] / count[k])
        values = (f"{_degrees(west, 'EW')}, {_degrees(south, 'NS')}", percent(share), f"{count[k]:,}")
        marks.append(Mark(values, ramp_colour(share), box=box, faint=bool(count[k] < FEW)))
    note = f"A cell is named by its south-west corner; one with fewer than {FEW} samples is faint."
    title = f"Accuracy in cells of {CELL:g}° (percent)"
    return Layer(group, "Cells", title, ("cell", "accuracy", "samples"), 3, marks, _ends(0, 1), note=note)


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):g}° {letters[value < 0]}"


def _places(data: dict[str, Any], columns: dict[str, NDArray[Any]], group: str) -> Layer:
    unit, names = data.get("domain_unit", "region"), [*data["regions"], "unknown"]
    marks = []
    rows = zip(*(columns[key].tolist() for key in ("domain", "lon", "lat", "count", "correct")), strict=True)
    for domain, lon, lat, count, correct in rows:
        share = correct / count
        values = (f"{lon:.2f}, {lat:.2f}", names[domain], percent(share), f"{count:,}")
        marks.append(Mark(values, ramp_colour(share), lonlat=(lon, lat), radius=_radius(count)))
    title = "Accuracy at each place (percent)"
    return Layer(
        group, "Places", title, ("lon, lat", unit, "accuracy", "samples"), 4, marks, _ends(0, 1), note=SIZES
    )
