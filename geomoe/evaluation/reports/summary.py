"""Summary of many reports: means over seeds and targets, curves over the number of source domains."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from geomoe.evaluation.reports.records import Record, read_records
from geomoe.evaluation.reports.summary_values import Cell, Curve, SummaryRow, SummaryTable
from geomoe.metrics import domain_growth
from geomoe.support.files import Workplace
from geomoe.support.plain import to_plain

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

FORMAT = 1
MEAN = "mean over targets"
Kind = Literal["metrics", "targets", "growth"]
METRICS = ("accuracy", "worst", "macro_f1", "calibration_error")


@dataclass(frozen=True)
class Summary:
    """A summary of reports. See :func:`summarize`.

    Attributes:
        tables: one for each data set, split and protocol.
    """

    tables: tuple[SummaryTable, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a copy as plain JSON values (keys: docs/formats.md)."""
        data = {"format": FORMAT, **to_plain(self)}
        for table in data["tables"]:
            for row in table["rows"]:
                if row["growth"] is None:  # only tables with curves have this key
                    del row["growth"]
        return data

    def table(self, width: int = 100) -> str:
        """Return the summary as text, at most ``width`` columns wide if its columns fit."""
        from geomoe.evaluation.reports.summary_text import summary_text

        return summary_text(self.tables, width)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write ``summary.json`` and a figure for each table; all files or none.

        Raises:
            OutputError: the folder cannot be created or written.
        """
        from geomoe.evaluation.reports.summary_figures import draw  # matplotlib takes a second

        text = json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"
        with Workplace(Path(folder), "the summary") as place:
            place.write("summary.json", lambda path: path.write_text(text, encoding="utf-8"))
            for name, figure in draw(self.tables).items():
                place.write(f"{name}.png", partial(figure.savefig, dpi=120))
            return list(place.finish())


def summarize(paths: Iterable[str | os.PathLike[str]]) -> Summary:
    """Summarise reports: one table for each data set, split and protocol, one row for each method.

    With a held-out domain, columns are the target domains, and the mean over targets is taken within each
    seed before averaging over seeds (DomainBed; MESSI, Table 1). If the number of source domains varies,
    columns are these numbers, with peak, accuracy at the largest, drop, relative drop and average
    (MESSI, D.3). Otherwise columns are metrics. Deviations are sample standard deviations (n - 1) over runs.

    Args:
        paths: reports, their folders, or folders that are searched recursively.

    Raises:
        DataError: there is no report, a report cannot be read, a run occurs twice, or the data differs.
    """
    records = sorted(read_records(paths), key=_table_of)
    tables = [_table(list(some)) for _, some in groupby(records, key=_table_of)]
    return Summary(tuple(tables))


def _table_of(one: Record) -> tuple[Any, ...]:
    return one.data, one.split, one.protocol, one.held_out is None, one.num_domains is None


def _method_of(one: Record) -> tuple[str, str]:
    return one.method, one.backbone


def _table(records: list[Record]) -> SummaryTable:
    some = records[0]
    kind: Kind = "metrics" if some.held_out is None else "targets"
    kind = "growth" if some.num_domains is not None else kind
    made = {"metrics": _metrics, "targets": _targets, "growth": _growth}[kind]
    several = len({one.backbone for one in records}) > 1
    rows = []
    for (method, backbone), own in groupby(sorted(records, key=_method_of), key=_method_of):
        name = f"{method}, {backbone}" if several else method
        rows.append(SummaryRow(name, backbone, **made(list(own), records)))
    return SummaryTable(
        kind=kind,
        data=some.data,
        split=some.split,
        protocol=some.protocol,
        unit=some.unit,
        columns=tuple(_columns(kind, records)),
        domains=len(some.domains),
        targets=tuple(targets_of(records)),
        rows=tuple(rows),
        reports=tuple(sorted({one.file for one in records})),
    )


def _cell(values: Sequence[float]) -> Cell:
    """Return mean and sample deviation; the deviation is None for a single run."""
    array = np.array(values, dtype=np.float64)
    std = float(array.std(ddof=1)) if len(array) > 1 else None
    return Cell(float(array.mean()), std, len(array))


def _metrics(own: list[Record], _: list[Record]) -> dict[str, Any]:
    # A score that some runs lack (e.g. no worst region without samples) is averaged over the other runs.
    values = {name: [one.scores[name] for one in own if name in one.scores] for name in METRICS}
    return {"cells": {name: _cell(some) for name, some in values.items() if some}, "beside": {}, "lacks": ()}


def _targets(own: list[Record], all_records: list[Record]) -> dict[str, Any]:
    """Return a column for each target and their mean; likewise for each additional split."""
    targets = targets_of(all_records)
    score = {(str(one.held_out), one.run): one.scores for one in own}
    runs = sorted({one.run for one in own})
    lacks = []
    for target in targets:
        missing = [f"seed {run[1]}" for run in runs if (target, run) not in score]
        lacks += [f"{target}: {', '.join(missing)}"] if missing else []
    beside = dict.fromkeys(name for one in own for name in one.scores if name not in METRICS)
    return {
        "cells": _target_cells("accuracy", targets, runs, score),
        "beside": {name: _target_cells(name, targets, runs, score) for name in beside},
        "lacks": tuple(lacks),
    }


def _target_cells(
    name: str,
    targets: list[str],
    runs: list[tuple[int, int]],
    score: dict[tuple[str, tuple[int, int]], dict[str, float]],
) -> dict[str, Cell]:
    cells = {}
    for target in targets:
        values = [score[target, run][name] for run in runs if name in score.get((target, run), ())]
        if values:
            cells[target] = _cell(values)
    whole = [run for run in runs if all(name in score.get((target, run), ()) for target in targets)]
    if whole and len(targets) > 1:
        cells[MEAN] = _cell(
            [float(np.mean([score[target, run][name] for target in targets])) for run in whole]
        )
    return cells


def targets_of(records: list[Record]) -> list[str]:
    """Return the held-out domains of some records, in the data set's order of domains."""
    held_out = {one.held_out for one in records}
    return [name for name in records[0].domains if name in held_out]


def _columns(kind: str, records: list[Record]) -> list[str]:
    if kind == "metrics":
        return [name for name in METRICS if any(name in one.scores for one in records)]
    if kind == "growth":
        return [str(number) for number in sorted({int(one.num_domains or 0) for one in records})]
    targets = targets_of(records)
    return [*targets, MEAN] if len(targets) > 1 else targets


def _growth(own: list[Record], _: list[Record]) -> dict[str, Any]:
    accuracies: dict[int, list[float]] = {}
    for one in own:
        accuracies.setdefault(int(one.num_domains or 0), []).append(one.scores["accuracy"])
    found = domain_growth(accuracies)
    cells = {str(number): _cell(accuracies[number]) for number in found.domains}
    share = found.relative_drop
    curve = Curve(
        peak=found.peak,
        peak_domains=found.peak_domains,
        last=found.last,
        drop=found.drop,
        relative_drop=share if np.isfinite(share) else None,
        average=found.average,
    )
    return {"cells": cells, "beside": {}, "lacks": (), "growth": curve}
