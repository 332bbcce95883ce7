"""Figures of a report, drawn only from its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from geomoe.evaluation.reports.classes import confusion_figure
from geomoe.evaluation.reports.text import choice_name
from geomoe.support.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from geomoe.evaluation.reports.values import ExpertsReport, Judged, Part, Row

MANY = 16  # limit of bars shown with names and intervals
MOST = 100  # limit of bars shown with names

#: Okabe and Ito's palette: distinguishable with any kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")


def draw(report: Judged) -> dict[str, Figure]:
    """All figures of a report: file name without ending -> figure."""
    figures = {"regions": regions(report), "reliability": reliability(report)}
    scores = report.scores_of()
    if scores.confusion is not None:
        figures["confusion"] = confusion_figure(report, scores.confusion, "all samples")
    if scores.held_out_confusion is not None:
        what = f"held-out {report.domain_unit} {report.held_out}"
        figures["confusion_held_out"] = confusion_figure(report, scores.held_out_confusion, what)
    for what in scores.groups:
        figures[f"by_{what}"] = grouping(report, what)
    if report.experts_report is not None:
        figures["forced_experts"] = forced(report.experts_report)
        figures["expert_cka"] = cka(report.experts_report)
    return figures


def regions(report: Judged) -> Figure:
    """Draw the accuracy of each region as bars with intervals, one colour for each choice of experts."""
    return _bars(report, {choice: scores.regions for choice, scores in report.scores.items()})


def grouping(report: Judged, what: str) -> Figure:
    """Draw the same for a further grouping of the data set, such as years."""
    parts = {choice: scores.groups[what].parts for choice, scores in report.scores.items()}
    return _bars(report, parts)


def _bars(report: Judged, groups: dict[str, dict[str, Part]]) -> Figure:
    main = groups[str(report.experts)]
    names = list(main)
    many = len(names) > MANY  # cameras, say: thin bars, worst first
    if many:
        names.sort(key=lambda name: main[name].accuracy)
    choices: list[str] = [choice for choice in ("all", "shared") if choice in groups] or list(groups)
    inches = min(max(0.22 * len(names), 6), 24) if many else 1.2 * max(len(names), 3)
    figure = Figure(figsize=(1.6 + inches, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(choices)
    for number, choice in enumerate(choices):
        parts = [groups[choice][name] for name in names]
        height = np.array([100 * part.accuracy for part in parts])
        x = np.arange(len(names)) + (number - (len(choices) - 1) / 2) * width
        axes.bar(x, height, width * 0.95, color=COLOURS[number], label=choice_name(report, choice))
        intervals = [part.accuracy_interval for part in parts if part.accuracy_interval is not None]
        if not many and len(intervals) == len(parts):
            ends = 100 * np.array(intervals).reshape(-1, 2)
            error = np.clip(np.stack([height - ends[:, 0], ends[:, 1] - height]), 0, None)
            axes.errorbar(x, height, error, fmt="none", ecolor="#333333", capsize=3)
    _name_bars(axes, [_tick(name, main[name].count, report.held_out, many) for name in names])
    axes.set_ylabel("accuracy (%)")
    axes.set_title(f"{report.algorithm}, {report.data}, {report.split}")
    axes.set_ylim(0, 100)
    figure.legend(loc="outside lower center", ncols=len(choices), frameon=False, fontsize="small")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _name_bars(axes: Axes, names: list[str]) -> None:
    if len(names) > MOST:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} of them, lowest first; report.json names each")
        return
    many = len(names) > MANY
    axes.set_xticks(np.arange(len(names)), names, rotation=90 if many else 0, fontsize=7 if many else None)
    axes.set_xlim(-0.7, len(names) - 0.3)


def _tick(name: str, count: int, held_out: str | None, flat: bool) -> str:
    parts = [name, str(count), *(["held out"] if name == held_out else [])]
    return ", ".join(parts) if flat else "\n".join(parts)


def reliability(report: Judged) -> Figure:
    """Draw accuracy against confidence in equal bins, with the sample counts below."""
    scores = report.scores_of()
    bins = scores.reliability
    edges = np.asarray(bins.edges)
    middle, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    figure = Figure(figsize=(4.5, 5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    accuracy, confidence = _numbers(bins.accuracy), _numbers(bins.confidence)
    upper.bar(middle, accuracy, width * 0.95, color=COLOURS[4], label="accuracy")
    upper.plot(confidence, accuracy, "o", color=COLOURS[0], markersize=4, label="at its mean confidence")
    upper.plot([0, 1], [0, 1], "--", color="#333333", linewidth=1, label="calibrated")
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"calibration error {percent(scores.overall.calibration_error)} %")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    lower.bar(middle, bins.count, width * 0.95, color="#888888")
    lower.set(xlabel="confidence", ylabel="samples")
    return figure


def _numbers(row: Row) -> np.ndarray:
    """Return a row with NaN for missing values."""
    return np.array([np.nan if value is None else value for value in row], dtype=float)


def forced(report: ExpertsReport) -> Figure:
    """Draw the forced-expert matrices as heat maps, one for each MoGE block whose top-1 makes the rows."""
    matrices = [100 * np.stack([_numbers(row) for row in one.accuracy]) for one in report.forced]
    finite = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices])
    limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 100.0)
    figure, axes = _panels(len(matrices))
    for axis, matrix, one in zip(axes, matrices, report.forced, strict=True):
        image = _heat(axis, matrix, limits, "viridis", "{:.0f}")
        axis.set(xlabel="forced expert", title=f"accuracy (%), block {one.block}")
        axis.set_yticks(range(len(matrix)), [f"{row} (n={one.counts[row]})" for row in range(len(matrix))])
        axis.set_ylabel("top-1 expert")
    figure.colorbar(image, ax=list(axes), shrink=0.8)
    return figure


def cka(report: ExpertsReport) -> Figure:
    """Linear CKA between the experts of each MoGE block."""
    figure, axes = _panels(len(report.cka))
    for axis, one in zip(axes, report.cka, strict=True):
        image = _heat(axis, np.stack([_numbers(row) for row in one.matrix]), (0.0, 1.0), "magma", "{:.2f}")
        axis.set(xlabel="expert", ylabel="expert", title=f"linear CKA, block {one.block}")
    figure.colorbar(image, ax=list(axes), shrink=0.8)
    return figure


def _panels(count: int) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(1 + 4.2 * count, 4), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _heat(axes: Axes, matrix: np.ndarray, limits: tuple[float, float], colours: str, form: str) -> AxesImage:
    image = axes.imshow(matrix, cmap=colours, vmin=limits[0], vmax=limits[1])
    middle = sum(limits) / 2
    for (row, column), value in np.ndenumerate(matrix):
        text = form.format(value) if np.isfinite(value) else "-"
        colour = "white" if np.isfinite(value) and value < middle else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    axes.set_xticks(range(matrix.shape[1]))
    axes.set_yticks(range(matrix.shape[0]))
    return image
