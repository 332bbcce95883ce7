"""The typed values that a bench keeps in the folder of each run: ``bench.json`` and ``failed.json``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from geomoe.errors import DataError, InputError
from geomoe.support.bounded import read_json
from geomoe.support.files import whole_file
from geomoe.support.plain import from_plain, to_plain

if TYPE_CHECKING:
    from pathlib import Path

    from geomoe.evaluation.reports.values import Confusion, Part, Scores

Drawn = str | int | float | bool | tuple[int, ...] | tuple[str, ...] | None
FILE = "bench.json"
FAILED = "failed.json"
REPORT = "report.json"
FORMAT = 1
WORST_CLASS = "worst_class"
#: Scores that are missing in records of earlier versions; they are read from the runs' reports.
LATER = (WORST_CLASS, f"source_{WORST_CLASS}")


@dataclass(frozen=True)
class Blocks:
    """The scored samples by spatial block (or camera, or site), as columns with a row for each.

    Attributes:
        block: id of the block.
        count: samples.
        correct: choice of experts -> correct answers.
    """

    block: tuple[int, ...]
    count: tuple[int, ...]
    correct: dict[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        """Check the columns against each other.

        Raises:
            InputError: they have different lengths, or impossible counts.
        """
        if len(self.count) != len(self.block) or min(self.count, default=0) < 1:
            raise InputError("blocks.count: expected a number of samples, 1 or more, for each block")
        for choice, column in self.correct.items():
            fits = len(column) == len(self.count)
            if not fits or not all(0 <= k <= n for k, n in zip(column, self.count, strict=True)):
                raise InputError(f"blocks.correct.{choice}: expected 0 to the count of each block")


@dataclass(frozen=True)
class Cost:
    """The cost of a run.

    Attributes:
        step_seconds: seconds of an update; None: the run, or its part after a resume, was too short.
        timed: number of timed updates.
        step_flops: floating-point operations of an update; None: not counted.
        parameters: number of parameters of the network that answers.
        answer_flops: choice of experts -> operations for one image.
        fit_seconds: seconds of training in the process that finished it, including set-up and validation.
        cpu_seconds: training in seconds of one core; None: the run was resumed.
        judge_seconds: seconds of the evaluation.
        device: device that it ran on.
    """

    step_seconds: float | None
    timed: int
    step_flops: float | None
    parameters: int
    answer_flops: dict[str, float]
    fit_seconds: float
    cpu_seconds: float | None
    judge_seconds: float
    device: str


@dataclass(frozen=True)
class Done:
    """A finished run.

    Attributes:
        selected_by: validation metric of the source domains, and rule.
        validation: its value at the selected epoch; what trials are chosen by.
        epoch: the selected epoch.
        drawn: key -> value that the trial changed.
        data_hash: hash of the data that it was judged on.
        split: the split that it was judged on.
        held_out: the domain left out.
        scores: choice of experts -> name -> share (docs/bench.md).
        blocks: the samples of the main score, by block.
        cost: the cost of the run.
    """

    selected_by: str
    validation: float
    epoch: int
    drawn: dict[str, Drawn]
    data_hash: str | None
    split: str
    held_out: str | None
    scores: dict[str, dict[str, float]]
    blocks: Blocks
    cost: Cost

    def __post_init__(self) -> None:
        """Check the scores: shares, and the accuracy that the blocks give.

        Raises:
            InputError: a score is not a share, or the accuracy differs from that of the blocks.
        """
        if self.scores.keys() != self.blocks.correct.keys():
            raise InputError(f"scores: expected those of {', '.join(self.blocks.correct)}")
        samples = sum(self.blocks.count)
        for choice, scores in self.scores.items():
            for name, value in scores.items():
                if not 0 <= value <= 1:
                    raise InputError(f"scores.{choice}.{name}: expected a share from 0 to 1; got {value}")
            accuracy = sum(self.blocks.correct[choice]) / samples
            if abs(scores.get("accuracy", -1.0) - accuracy) > 1e-9:
                found = scores.get("accuracy")
                raise InputError(
                    f"scores.{choice}.accuracy: expected {accuracy}, as in the blocks; got {found}"
                )


@dataclass(frozen=True)
class Failed:
    """A failed run.

    Attributes:
        error: message of the error, one line.
        kind: diverged: the loss became NaN or infinite, which counts as a result; error: anything else.
        attempts: number of attempts.
        time: time of the failure, in seconds since 1970.
        machine: name of the machine on which it failed.
    """

    error: str
    kind: Literal["diverged", "error"]
    attempts: int
    time: float
    machine: str


def scores_of(scores: Scores) -> dict[str, float]:
    """The scores of the tables: of the source domains and, if there is one, of the held-out domain.

    Reports without a confusion matrix give no worst class.
    """
    main = scores.overall if scores.source is None else scores.source
    worst = scores.worst if scores.source is None else scores.source_worst
    found = {**_part(main), **({} if worst is None else {"worst": scores.regions[worst].accuracy})}
    found |= _worst_class(scores.confusion, scores.held_out_confusion)
    if scores.held_out is None:
        return found
    sources = {f"source_{name}": value for name, value in found.items()}
    return {**_part(scores.held_out), **_worst_class(scores.held_out_confusion), **sources}


def _part(part: Part) -> dict[str, float]:
    names = ("accuracy", "macro_f1", "calibration_error")
    return {name: getattr(part, name) for name in names}


def _worst_class(whole: Confusion | None, without: Confusion | None = None) -> dict[str, float]:
    """The lowest recall of a class, for the samples of one confusion matrix without those of another."""
    if whole is None:
        return {}
    right, count = [one.correct for one in whole.classes], [one.count for one in whole.classes]
    if without is not None:
        right = [one - other.correct for one, other in zip(right, without.classes, strict=True)]
        count = [one - other.count for one, other in zip(count, without.classes, strict=True)]
    shares = [k / n for k, n in zip(right, count, strict=True) if n]
    return {WORST_CLASS: min(shares)} if shares else {}


def write_value(path: Path, value: Done | Failed) -> None:
    """Write one of these values completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    text = json.dumps({"format": FORMAT, **to_plain(value)}, indent=1, allow_nan=False) + "\n"
    with whole_file(path, "make space, and start the bench again") as scratch:
        scratch.write_text(text, encoding="utf-8")


def read_done(folder: Path) -> Done | None:
    """The results of a finished run from its folder; None if it has not been judged.

    Raises:
        DataError: the file is damaged or of another format.
    """
    return _read(folder / FILE, Done)


def read_failed(folder: Path) -> Failed | None:
    """The failure of a run from its folder; None if it has not failed.

    Raises:
        DataError: as in :func:`read_done`.
    """
    return _read(folder / FAILED, Failed)


def _read(path: Path, kind: Any) -> Any:  # noqa: ANN401 - one of the two types
    if not path.exists():
        return None
    try:
        found = read_json(path)
    except DataError as error:
        raise DataError(f"{error}; remove it, and the bench judges the run again") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise DataError(f"{path}: not of format {FORMAT}; remove it, and the bench judges the run again")
    try:
        return from_plain(kind, found)
    except InputError as error:
        raise DataError(f"{path}: damaged: {error}; remove it, and the bench judges the run again") from error
