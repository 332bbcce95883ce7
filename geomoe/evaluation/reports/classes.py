"""The classes of a report: precision, recall, and which classes are confused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geomoe.support.tables import new_table, percent
from geomoe.support.text import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from rich.table import Table

    from geomoe.evaluation.reports.values import ClassScore, Confusion, Judged

MANY = 20  # classes; if there are more, a table shows only the LOWEST, and report.json has all
LOWEST = 10
CONFUSED = 5  # pairs of classes that are listed
NAMED = 64  # classes that a figure can name
NUMBERED = 16  # classes whose cells have room for a number
COLUMNS = ("class", "F1", "precision (user's)", "recall (producer's)", "samples", "answers")


def class_tables(report: Judged) -> list[str | Table]:
    """Return a table of the classes for the evaluated experts, and one for a held-out domain."""
    scores, unit = report.scores_of(), report.domain_unit
    found = {"all samples": scores.confusion, f"held-out {unit} {report.held_out}": scores.held_out_confusion}
    parts: list[str | Table] = []
    for what, confusion in found.items():
        if confusion is not None:
            parts += _table(confusion, report.classes, what)
    return parts


def class_rows(confusion: Confusion, names: tuple[str, ...]) -> list[tuple[str, ClassScore]]:
    """Return name and scores of each class with samples or answers, lowest F1 first."""
    rows = [(name, one) for name, one in zip(names, confusion.classes, strict=True) if one.f1 is not None]
    return sorted(rows, key=lambda row: row[1].f1 or 0.0)


def class_values(name: str, one: ClassScore) -> tuple[str, ...]:
    """Return a class as texts, in the order of COLUMNS."""
    shares = (percent(share) for share in (one.f1, one.precision, one.recall))
    return (name, *shares, f"{one.count:,}", f"{one.answered:,}")


def _table(confusion: Confusion, names: tuple[str, ...], what: str) -> list[str | Table]:
    rows = class_rows(confusion, names)
    title = f"by class, {what} (percent), lowest F1 first"
    if len(rows) > MANY:
        title += f"; the {LOWEST} lowest of {len(rows)}, report.json has all"
        rows = rows[:LOWEST]
    table = new_table(title, *COLUMNS)
    for name, one in rows:
        table.add_row(*class_values(name, one))
    return [table, *_worst(confusion, names), *_confused(confusion, names)]


def worst_class(confusion: Confusion) -> tuple[int, float] | None:
    """Return id and recall of the class with the lowest recall, which is the worst-class accuracy.

    Classes without samples do not count; if several are equal, the first is returned. None: no class has
    samples.
    """
    recalls = [(one.recall, number) for number, one in enumerate(confusion.classes) if one.recall is not None]
    return min(recalls)[::-1] if recalls else None


def _worst(confusion: Confusion, names: tuple[str, ...]) -> list[str]:
    found = worst_class(confusion)
    if found is None:
        return []
    number, recall = found
    return [f"worst-class accuracy (lowest recall): {percent(recall)}, {visible(names[number])}"]


def _confused(confusion: Confusion, names: tuple[str, ...]) -> list[str]:
    """Name the pairs of classes that are confused most often."""
    cells = zip(confusion.label, confusion.answer, confusion.count, strict=True)
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: -cell[2])
    shown = [visible(name) for name in names]
    said = [
        f"{shown[label]} taken for {shown[answer]}: {count:,} of {confusion.classes[label].count:,}"
        for label, answer, count in wrong[:CONFUSED]
    ]
    return ["most often confused: " + "; ".join(said)] if said else []


def confusion_matrix(confusion: Confusion) -> NDArray[np.int64]:
    """Return the matrix (C, C): rows are labels, columns answers."""
    matrix = np.zeros((len(confusion.classes),) * 2, dtype=np.int64)
    matrix[list(confusion.label), list(confusion.answer)] = confusion.count
    return matrix


def confusion_figure(report: Judged, confusion: Confusion, what: str) -> Figure:
    """Draw the confusion matrix in percent of each row; classes without samples or answers are left out."""
    from matplotlib.figure import Figure  # takes a second

    matrix = confusion_matrix(confusion)
    here = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    matrix = matrix[np.ix_(here, here)]
    total = matrix.sum(axis=1, keepdims=True)
    share = np.divide(100 * matrix, total, out=np.full(matrix.shape, np.nan), where=total > 0)
    size = float(np.clip(2.5 + 0.32 * len(here), 4, 16))
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="cividis", vmin=0, vmax=100)
    if len(here) <= NUMBERED:
        for (row, column), value in np.ndenumerate(share):
            colour = "white" if value < 50 else "black"
            text = f"{value:.0f}" if matrix[row, column] else ""
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="x-small")
    if len(here) <= NAMED:
        names = [report.classes[number] for number in here]
        axes.set_xticks(range(len(here)), names, rotation=90, fontsize="x-small", parse_math=False)
        counted = [f"{name} ({n:,})" for name, n in zip(names, total[:, 0], strict=True)]
        axes.set_yticks(range(len(here)), counted, fontsize="x-small", parse_math=False)
    axes.set(xlabel="answer", ylabel="label (samples)")
    axes.set_title(f"{report.algorithm}, {report.data}, {report.split}: {what}", parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.7, label="percent of the row")
    return figure
