"""What a summary of many reports holds, as typed values; the names are the keys of ``summary.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Cell:
    """Mean and sample deviation over runs; None where a single run has none."""

    mean: float
    std: float | None
    runs: int


@dataclass(frozen=True)
class Curve:
    """A method's accuracy over the number of source domains (MESSI, D.3).

    Attributes:
        peak: highest mean accuracy.
        peak_domains: number of domains there.
        last: accuracy at the largest number.
        drop: peak minus last.
        relative_drop: its share of the peak; None: the peak is 0.
        average: over the curve.
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
        method: its name.
        backbone: of its network.
        cells: column -> mean and deviation.
        beside: split beside the judged one -> the same.
        lacks: targets that a seed lacks, in words.
        growth: numbers of the curve, in tables of that kind.
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
        split: what was judged.
        protocol: of the data set's options, as text.
        unit: what a domain is.
        columns: in their order.
        domains: how many the data set has.
        targets: those that were held out.
        rows: one for each method.
        reports: the files that are in it.
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
