"""The typed results of a bench; field names are the keys of ``results.json`` (docs/bench.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geomoe.bench.running.run_values import Drawn
from geomoe.errors import DataError, InputError
from geomoe.support.bounded import read_json
from geomoe.support.plain import from_plain, to_plain

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 2  # 1: curves of growth were of the accuracy alone
FILE = "results.json"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Number:
    """A mean over seeds, the sample standard deviation (None: one seed), and how many seeds."""

    mean: float
    sd: float | None
    count: int


@dataclass(frozen=True)
class Difference:
    """The score of a row that the bench ranks by minus that of the baseline, paired by seed.

    Attributes:
        mean: mean over the seeds.
        interval: block-bootstrap interval; None: no resamples, or a single block.
        p: p-value of the paired test; None: too few seeds, or no deviation.
        p_holm: the same after Holm's correction for all rows that are compared.
    """

    mean: float
    interval: Interval | None
    p: float | None
    p_holm: float | None


@dataclass(frozen=True)
class RowCost:
    """The cost of a row, as means over its runs; None: not measured."""

    step_seconds: float | None
    step_flops: float | None
    parameters: float
    answer_flops: float
    fit_seconds: float


@dataclass(frozen=True)
class RowResult:
    """One row of the tables.

    Attributes:
        label: its name.
        algorithm: training method, with its wrappers.
        experts: all, or shared for the shared expert alone (MoGE-SE).
        twin: the cost that a dense twin matches; None: the row is not a twin.
        of: labels of the rows that it is a twin of.
        finished: pairs of seed and held-out domain whose runs have all ended.
        planned: all pairs.
        failed: runs that failed.
        scores: name -> mean over seeds; within a seed the mean over held-out domains is taken first.
        targets: held-out domain -> its score; empty with fewer than two.
        interval: block-bootstrap interval of the score; None: no resamples, one block, or no such score.
        difference: difference to the baseline; None: the row is the baseline, or either is not finished.
        rank: mean rank over seeds and held-out domains; None: not finished.
        cost: mean cost of its chosen runs.
        runs: names of its chosen runs.
    """

    label: str
    algorithm: str
    experts: str
    twin: str | None
    of: tuple[str, ...]
    finished: int
    planned: int
    failed: int
    scores: dict[str, Number]
    targets: dict[str, Number]
    interval: Interval | None
    difference: Difference | None
    rank: float | None
    cost: RowCost | None
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Width:
    """How wide the MLPs of a dense twin are.

    Attributes:
        mlp_ratio: width of its MLPs divided by that of its tokens.
        rest: remaining relative difference in the matched cost; above 0 if the twin costs more.
    """

    mlp_ratio: float
    rest: float


@dataclass(frozen=True)
class GrowthRow:
    """The score that the bench ranks by against the number of source domains (MESSI, D.3).

    Attributes:
        label: row without its number of domains; NAME-SE: the shared expert alone.
        scores: number of source domains -> score.
        peak: highest mean score.
        peak_domains: number of domains at the peak.
        last: mean score with the most domains.
        drop: peak minus last.
        relative_drop: drop divided by peak; None: the peak is 0.
        average: mean over the numbers of domains.
    """

    label: str
    scores: dict[str, Number]
    peak: float
    peak_domains: int
    last: float
    drop: float
    relative_drop: float | None
    average: float


@dataclass(frozen=True)
class RunEntry:
    """One run.

    Attributes:
        name: name of its folder.
        label: its row.
        held_out: the domain left out.
        seed: its seed.
        trial: its trial.
        state: done, failed, begun or open.
        folder: relative to the folder of the bench.
        chosen: whether its trial was chosen by validation.
        validation: value of the validation metric by which trials are chosen.
        scores: choice of experts -> name -> share.
        error: message of the error with which it failed.
        attempts: number of failed attempts.
        drawn: settings that its trial changed.
    """

    name: str
    label: str
    held_out: str | None
    seed: int
    trial: int
    state: str
    folder: str
    chosen: bool
    validation: float | None
    scores: dict[str, dict[str, float]]
    error: str | None
    attempts: int
    drawn: dict[str, Drawn]


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results of a bench.

    Attributes:
        data: data set.
        data_hash: hash of the data that all runs were judged on.
        held_out: domains left out, one run for each.
        seeds: seeds of training, one run for each.
        steps: updates of each run.
        images: images of each run; 0: a batch has as many as fit the training split.
        trials: configurations tried for each row, seed and held-out domain.
        sampler: sampler that drew them.
        selection: rule that selected epoch and trial.
        score: score by which rows are ranked and compared.
        baseline: row that the others are compared with.
        test: paired test.
        compared: number of rows that Holm's correction counts.
        resamples: number of resamples for each interval.
        confidence: confidence level of each interval.
        rows: lines of the tables.
        runs: all runs.
        growth: curves over the number of source domains; empty if it does not vary.
        widths: label of a dense twin -> its width.
        geomoe: version of geomoe.
    """

    data: str
    data_hash: str | None
    held_out: tuple[str | None, ...]
    seeds: tuple[int, ...]
    steps: int
    images: int
    trials: int
    sampler: str
    selection: str
    baseline: str | None
    test: str
    compared: int
    resamples: int
    confidence: float
    rows: tuple[RowResult, ...]
    runs: tuple[RunEntry, ...]
    growth: tuple[GrowthRow, ...]
    widths: dict[str, Width]
    geomoe: str
    score: str = "accuracy"

    def as_dict(self) -> dict[str, Any]:
        """All results as plain JSON values."""
        return {"format": FORMAT, **to_plain(self)}

    def text(self) -> str:
        """The content of ``results.json``."""
        return json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a ``results.json`` file, or the one in a folder.

        Raises:
            DataError: there is no such file, or it is damaged or of another format.
        """
        file = path / FILE if path.is_dir() else path
        found = read_json(file)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise DataError(f"{file}: not results of format {FORMAT}; write them again with geomoe bench")
        try:
            return from_plain(cls, found)
        except InputError as error:
            raise DataError(f"{file}: damaged: {error}; write it again with geomoe bench") from error
