"""Several reports side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError
from geomoe.evaluation.reports.text import interval, new_table, percent, render

if TYPE_CHECKING:
    from geomoe.evaluation.reports.report import Report


@dataclass(frozen=True)
class Comparison:
    """Methods side by side on the same samples; ``str()`` of it is the table.

    Attributes:
        rows: one dictionary of plain values for each method: method, accuracy, accuracy_interval, worst,
            worst_accuracy, macro_f1, calibration_error, held_out_accuracy, held_out_interval,
            regions (name -> accuracy). With a region held out, the first six are of the source regions.
        split: which split was judged.
        held_out: the region left out of training, or None.
    """

    rows: list[dict[str, Any]]
    split: str
    held_out: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"split": self.split, "held_out": self.held_out, "rows": [dict(row) for row in self.rows]}

    def __str__(self) -> str:
        return self.table()

    def table(self, width: int = 100) -> str:
        """The comparison as text, at most ``width`` columns wide."""
        what = f"source regions, {self.held_out} held out" if self.held_out else "all regions"
        heads = ["method", "accuracy", "interval", "worst region", "macro F1", "ECE"]
        heads += [self.held_out] if self.held_out else []
        table = new_table(f"split {self.split}: {what} (percent)", *heads)
        for row in self.rows:
            worst = f"{percent(row['worst_accuracy'])} {row['worst'] or ''}".strip()
            cells = [percent(row["accuracy"]), interval(row["accuracy_interval"]), worst]
            cells += [percent(row["macro_f1"]), percent(row["calibration_error"])]
            cells += [percent(row["held_out_accuracy"])] if self.held_out else []
            table.add_row(row["method"], *cells)
        return render([table], width)


def compare(reports: dict[str, Report]) -> Comparison:
    """Put reports side by side; a MoGE report gives a second row, NAME-SE: its shared expert alone.

    Args:
        reports: name to print -> report, in the order of the rows.

    Raises:
        DataError: no report, or reports that do not judge the same samples of the same protocol.
    """
    if not reports:
        msg = "compare: expected at least one report; got none"
        raise DataError(msg)
    first_name, first = next(iter(reports.items()))
    rows = []
    for name, report in reports.items():
        for key in ("data", "data_hash", "split", "split_seed", "held_out"):
            if report.data[key] != first.data[key]:
                msg = (
                    f"compare: {name} has {key} {report.data[key]!r}, {first_name} has {first.data[key]!r}; "
                )
                msg += "compare reports of one protocol and split only"
                raise DataError(msg)
        rows.append(method_row(name, report.scores()))
        if report.data["experts"] == "all" and "shared" in report.data["scores"]:
            rows.append(method_row(f"{name}-SE", report.scores("shared")))
    return Comparison(rows, first.data["split"], first.data["held_out"])


def method_row(name: str, scores: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one method, from the scores of one report."""
    source = scores["source"] is not None
    main, worst = (
        (scores["source"], scores["source_worst"]) if source else (scores["overall"], scores["worst"])
    )
    held_out = scores["held_out"]
    return {
        "method": name,
        "accuracy": main["accuracy"],
        "accuracy_interval": main["accuracy_interval"],
        "worst": worst,
        "worst_accuracy": None if worst is None else scores["regions"][worst]["accuracy"],
        "macro_f1": main["macro_f1"],
        "calibration_error": main["calibration_error"],
        "held_out_accuracy": None if held_out is None else held_out["accuracy"],
        "held_out_interval": None if held_out is None else held_out["accuracy_interval"],
        "regions": {region: part["accuracy"] for region, part in scores["regions"].items()},
    }
