"""The typed values of a summary; field names are the keys of ``summary.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """Mean and sample deviation over runs; the deviation is None for a single run."""

    mean: float
    std: float | None
    runs: int


@dataclass(frozen=True)
class Curve:
    """A method's accuracy over the number of source domains (MESSI, D.3).

    Attributes:
        peak: highest mean accuracy.
        peak_domains: number of domains at the peak.
        last: accuracy at the largest number.
        drop: peak minus last.
        relative_drop: drop divided by peak; None: the peak is 0.
        average: mean over the curve.
    """

    peak: float
    peak_domains: int
    last: float
    drop: float
    relative_drop: float | None
    average: float


@dataclass(frozen=True)
class SummaryRow:
    """One method in one table.

    Attributes:
        method: method name.
        backbone: backbone of its network.
        cells: column -> mean and deviation.
        beside: additional split -> column -> mean and deviation.
        lacks: targets that a seed lacks, as text.
        growth: values of the curve, in tables of that kind.
    """

    method: str
    backbone: str
    cells: dict[str, Cell]
    beside: dict[str, dict[str, Cell]]
    lacks: tuple[str, ...]
    growth: Curve | None = None


@dataclass(frozen=True)
class SummaryTable:
    """Reports of one data set, split and protocol.

    Attributes:
        kind: columns are metrics, held-out domains, or numbers of source domains.
        data: name of the data set.
        split: the evaluated split.
        protocol: the data set's protocol options, as text.
        unit: word for a domain.
        columns: column names, in order.
        domains: number of domains of the data set.
        targets: held-out domains.
        rows: one for each method.
        reports: the report files in the table.
    """

    kind: Literal["metrics", "targets", "growth"]
    data: str
    split: str
    protocol: str
    unit: str
    columns: tuple[str, ...]
    domains: int
    targets: tuple[str, ...]
    rows: tuple[SummaryRow, ...]
    reports: tuple[str, ...]
