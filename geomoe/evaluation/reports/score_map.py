"""Map of a report: accuracy by region, in grid cells, and at each camera or place."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from geomoe.earth.land import coastlines
from geomoe.errors import InputError
from geomoe.evaluation.reports.cells import FEW, check_cell, fit_cell
from geomoe.evaluation.reports.classes import class_rows, class_values
from geomoe.evaluation.reports.text import choice_name, interval, protocol_text
from geomoe.pages.atlas import Layer, Mark, ramp_colour, render_atlas
from geomoe.support.tables import percent
from geomoe.support.text import counted, plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from geomoe.evaluation.reports.values import Confusion, Judged, Part, Places, Scores

SCORES = ("accuracy", "interval", "samples", "macro F1")
CLASS = ("class", "F1", "precision", "recall", "samples")  # as many columns as the page has room for
SIZES = f"Larger discs stand for more samples; faint ones for fewer than {FEW}."


class Columns(NamedTuple):
    """The places of a report for one choice of experts: arrays with one row per place and domain."""

    domain: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    samples: NDArray[np.int64]
    correct: NDArray[np.int64]


def score_layers(report: Judged, cell: float | None = None) -> list[Layer]:
    """Return the layers of a report for each choice of experts; none if no place is known.

    Args:
        report: the report.
        cell: degrees on a side of the cells; None: :func:`geomoe.evaluation.reports.cells.fit_cell`.

    Raises:
        InputError: a side that does not divide 180 degrees, or cuts the cells in which samples are joined.
    """
    if cell is not None:
        check_cell(cell, 0.0 if report.places is None else report.places.step)
    if report.places is None:
        return []
    found, side = [], _side(report.places) if cell is None else cell
    for choice, scores in report.scores.items():
        columns = _columns(report.places, choice)
        group = choice_name(report, choice)
        group = group.upper() if group == report.algorithm else group[0].upper() + group[1:]
        if set(scores.regions) & set(coastlines()):
            found.append(_regions(report, scores, group))
        if _one_place_each(columns):
            found.append(_domains(report, scores, columns, group))
        else:
            found += [_cells(columns, group, side), _places(report, columns, group)]
        if scores.confusion is not None:
            found.append(_classes(scores.confusion, report.classes, group))
    return found


def _side(places: Places) -> float:
    return fit_cell(np.array([places.lon, places.lat]).T, np.array(places.count), places.step)


def _columns(places: Places, choice: str) -> Columns:
    columns = (places.domain, places.lon, places.lat, places.count, places.correct[choice])
    return Columns(*(np.array(column) for column in columns))


def score_page(report: Judged, layers: list[Layer]) -> str:
    """Render the map of a report as one offline page.

    Raises:
        InputError: no place is known.
    """
    places = report.places
    if places is None:
        raise InputError("score_page: the report has no places; there is no map")
    facts = [
        ("split", report.split),
        ("protocol", protocol_text(report)),
        ("seed", str(report.seed)),
        ("checkpoint", report.checkpoint),
        ("samples", f"{sum(places.count) + places.unplaced:,}"),
        ("intervals", interval_text(report)),
    ]
    notes = []
    if places.unplaced:
        are = counted(places.unplaced, "sample of unknown place is", "samples of unknown place are")
        notes.append(f"{are} not on the map.")
    if places.step:
        said = f"Places of one {report.domain_unit} in the same cell of {places.step:g}° are shown as one."
        notes.append(said)
    return render_atlas(
        title_of(report), facts, layers, about="About this report", held_out=report.held_out, notes=notes
    )


def score_figure(report: Judged, layers: list[Layer]) -> Figure:
    """Draw the map for print: regions, and cells or cameras, of the first choice of experts."""
    from geomoe.pages.atlas_figure import draw_atlas  # matplotlib takes a second

    first = [layer for layer in layers if layer.group == layers[0].group]
    return draw_atlas([layer for layer in first if layer.name not in ("Places", "Classes")], title_of(report))


def title_of(report: Judged) -> str:
    """Return a one-line title of a report."""
    return f"Scores of {report.algorithm} on {report.data}, {report.split}"


def interval_text(report: Judged) -> str:
    """Describe how the intervals were computed."""
    boot = report.bootstrap
    return f"{100 * boot.confidence:g} %, {boot.samples} resamples of {plural(boot.unit)}"


def _one_place_each(columns: Columns) -> bool:
    """Return whether every domain has a single place, as cameras do."""
    domain = columns.domain[columns.domain >= 0]
    return bool(len(domain)) and len(np.unique(domain)) == len(columns.domain)


def _scale(values: list[float]) -> tuple[float, float]:
    """Return the ends of a colour scale that covers all values, in whole tenths."""
    low, high = np.floor(min(values) * 10) / 10, np.ceil(max(values) * 10) / 10
    return float(low), float(high if high > low else low + 0.1)


def _ends(low: float, high: float) -> tuple[str, str]:
    return f"{100 * low:.0f} %", f"{100 * high:.0f} %"


def _score_values(name: str, part: Part, mark: str = "") -> tuple[str, ...]:
    return (
        name + mark,
        percent(part.accuracy),
        interval(part.accuracy_interval),
        f"{part.count:,}",
        percent(part.macro_f1),
    )


def _by_accuracy(scores: Scores) -> list[tuple[str, Part]]:
    return sorted(scores.regions.items(), key=lambda item: item[1].accuracy)


def _regions(report: Judged, scores: Scores, group: str) -> Layer:
    unit, parts = report.domain_unit, _by_accuracy(scores)
    low, high = _scale([part.accuracy for _, part in parts])
    marks = []
    for name, part in parts:
        said = " (held out)" if name == report.held_out else ""
        said += " (never worst)" if name in report.uncounted else ""
        colour = ramp_colour(part.accuracy, low, high)
        marks.append(Mark(_score_values(name, part, said), colour, region=name, faint=part.count < FEW))
    title = f"Accuracy by {unit} (percent)"
    return Layer(group, "Regions", title, (unit, *SCORES), 4, marks, _ends(low, high))


def _domains(report: Judged, scores: Scores, columns: Columns, group: str) -> Layer:
    """Return a layer with a disc for each camera; cameras of unknown place are only in the table."""
    unit = report.domain_unit
    row = {report.regions[number]: at for at, number in enumerate(columns.domain.tolist())}
    marks = []
    for name, part in _by_accuracy(scores):
        at = row.get(name)
        place = None if at is None else (float(columns.lon[at]), float(columns.lat[at]))
        values = _score_values(name, part, "" if at is not None else " (place unknown)")
        colour, radius = ramp_colour(part.accuracy), _radius(part.count)
        marks.append(Mark(values, colour, lonlat=place, radius=radius, faint=part.count < FEW))
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


def _classes(confusion: Confusion, names: tuple[str, ...], group: str) -> Layer:
    """Return a layer that is a table alone: precision, recall and F1 of each class."""
    marks = [
        Mark(class_values(name, one)[: len(CLASS)], ramp_colour(one.f1 or 0.0), faint=one.count < FEW)
        for name, one in class_rows(confusion, names)
    ]
    note = "Classes are not on the map. Precision is the user's accuracy, recall the producer's."
    title = "Precision, recall and F1 of each class (percent)"
    return Layer(group, "Classes", title, CLASS, len(CLASS), marks, _ends(0, 1), note=note)


def _radius(count: int) -> float:
    return float(np.clip(2.5 + 1.5 * np.log10(count), 2.5, 10))


def _cells(columns: Columns, group: str, side: float) -> Layer:
    last = np.round(np.array([360.0, 180.0]) / side) - 1  # the pole lies in the last cell
    corner = np.floor((np.stack([columns.lon + 180, columns.lat + 90], axis=1)) / side + 1e-9)
    unique, inverse = np.unique(corner.clip(0, last).astype(int), axis=0, return_inverse=True)
    count = np.bincount(inverse.reshape(-1), weights=columns.samples).astype(int)
    correct = np.bincount(inverse.reshape(-1), weights=columns.correct)
    marks = []
    for k in np.argsort(correct / count, kind="stable"):
        west, south = (unique[k] * side - [180, 90]).round(6).tolist()
        east, north = round(west + side, 6), round(south + side, 6)
        box, share = (west, south, east, north), float(correct[k] / count[k])
        values = (f"{_degrees(west, 'EW')}, {_degrees(south, 'NS')}", percent(share), f"{count[k]:,}")
        marks.append(Mark(values, ramp_colour(share), box=box, faint=bool(count[k] < FEW)))
    note = f"A cell is named by its south-west corner; one with fewer than {FEW} samples is faint."
    title = f"Accuracy in cells of {side:g}° (percent)"
    return Layer(group, "Cells", title, ("cell", "accuracy", "samples"), 3, marks, _ends(0, 1), note=note)


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):.9g}° {letters[value < 0]}"


def _places(report: Judged, columns: Columns, group: str) -> Layer:
    unit, names = report.domain_unit, [*report.regions, "unknown"]
    marks = []
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for domain, lon, lat, count, correct in rows:
        share = correct / count
        values = (f"{lon:.2f}, {lat:.2f}", names[domain], percent(share), f"{count:,}")
        marks.append(
            Mark(values, ramp_colour(share), lonlat=(lon, lat), radius=_radius(count), faint=count < FEW)
        )
    title = "Accuracy at each place (percent)"
    return Layer(
        group, "Places", title, ("lon, lat", unit, "accuracy", "samples"), 4, marks, _ends(0, 1), note=SIZES
    )
