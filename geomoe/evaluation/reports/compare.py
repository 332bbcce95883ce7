"""Comparison of several reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError
from geomoe.evaluation.reports.text import interval
from geomoe.support.plain import to_plain
from geomoe.support.tables import new_table, percent, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geomoe.evaluation.reports.values import Interval, Judged, Scores


@dataclass(frozen=True)
class MethodRow:
    """The scores of one method. With a held-out region, all but the last three are for the source regions.

    Attributes:
        method: method name; NAME-SE: only the shared expert.
        accuracy: overall.
        accuracy_interval: low and high.
        worst: the region with the lowest accuracy.
        worst_accuracy: accuracy of that region.
        macro_f1: overall.
        calibration_error: overall.
        held_out_accuracy: of the held-out region.
        held_out_interval: low and high.
        regions: name -> accuracy.
    """

    method: str
    accuracy: float
    accuracy_interval: Interval | None
    worst: str | None
    worst_accuracy: float | None
    macro_f1: float
    calibration_error: float
    held_out_accuracy: float | None
    held_out_interval: Interval | None
    regions: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """A comparison of methods on the same samples; ``str()`` gives the table.

    Attributes:
        split: the evaluated split.
        held_out: the region left out of training, or None.
        rows: one for each method.
    """

    split: str
    held_out: str | None
    rows: tuple[MethodRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return to_plain(self)

    def __str__(self) -> str:
        return self.table()

    def table(self, width: int = 100) -> str:
        """The comparison as text, at most ``width`` columns wide."""
        what = f"source regions, {self.held_out} held out" if self.held_out else "all regions"
        heads = ["method", "accuracy", "interval", "worst region", "macro F1", "ECE"]
        heads += [self.held_out] if self.held_out else []
        table = new_table(f"split {self.split}: {what} (percent)", *heads)
        for row in self.rows:
            worst = f"{percent(row.worst_accuracy)} {row.worst or ''}".strip()
            cells = [percent(row.accuracy), interval(row.accuracy_interval), worst]
            cells += [percent(row.macro_f1), percent(row.calibration_error)]
            cells += [percent(row.held_out_accuracy)] if self.held_out else []
            table.add_row(row.method, *cells)
        return render([table], width)


def compare(reports: Mapping[str, Judged]) -> Comparison:
    """Compare reports; a MoGE report has a second row, NAME-SE, for its shared expert only.

    Args:
        reports: printed name -> report, in row order.

    Raises:
        DataError: there is no report, or the reports cover different samples or protocols.
    """
    if not reports:
        msg = "compare: expected at least one report; got none"
        raise DataError(msg)
    first_name, first = next(iter(reports.items()))
    rows = []
    for name, report in reports.items():
        for key in ("data", "data_hash", "split", "split_seed", "held_out"):
            own, other = getattr(report, key), getattr(first, key)
            if own != other:
                msg = f"compare: {name} has {key} {own!r}, {first_name} has {other!r}; "
                msg += "compare reports of one protocol and split only"
                raise DataError(msg)
        rows.append(method_row(name, report.scores_of()))
        if report.experts == "all" and "shared" in report.scores:
            rows.append(method_row(f"{name}-SE", report.scores_of("shared")))
    return Comparison(first.split, first.held_out, tuple(rows))


def method_row(name: str, scores: Scores) -> MethodRow:
    """Return the row of one method from the scores of one report."""
    main, worst = (
        (scores.overall, scores.worst) if scores.source is None else (scores.source, scores.source_worst)
    )
    held_out = scores.held_out
    return MethodRow(
        method=name,
        accuracy=main.accuracy,
        accuracy_interval=main.accuracy_interval,
        worst=worst,
        worst_accuracy=None if worst is None else scores.regions[worst].accuracy,
        macro_f1=main.macro_f1,
        calibration_error=main.calibration_error,
        held_out_accuracy=None if held_out is None else held_out.accuracy,
        held_out_interval=None if held_out is None else held_out.accuracy_interval,
        regions={region: part.accuracy for region, part in scores.regions.items()},
    )
