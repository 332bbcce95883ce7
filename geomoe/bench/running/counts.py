"""Counts of a run, by block and domain or class, for intervals of scores other than accuracy.

They are in a file of their own, ``counts.json``, because only benches that rank by such a score read them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from geomoe.errors import InputError
from geomoe.support.files import whole_file
from geomoe.support.plain import to_plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from geomoe.inference import Predictions

FILE = "counts.json"
FORMAT = 1
NEEDING = ("worst", "worst_class", "macro_f1")  # the scores whose intervals need these counts


@dataclass(frozen=True)
class GroupCounts:
    """Samples by block and group, as columns with a row for each pair that occurs.

    Attributes:
        block: id of the block.
        group: id of the domain or class.
        count: samples of the group in the block.
        correct: choice of experts -> correct answers among them.
        answered: choice of experts -> samples of the block that were given this class; empty for domains.
    """

    block: tuple[int, ...]
    group: tuple[int, ...]
    count: tuple[int, ...]
    correct: dict[str, tuple[int, ...]]
    answered: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the columns against each other.

        Raises:
            InputError: they have different lengths, or impossible counts.
        """
        columns = {"group": self.group, "count": self.count}
        columns |= {f"correct.{choice}": column for choice, column in self.correct.items()}
        columns |= {f"answered.{choice}": column for choice, column in self.answered.items()}
        for name, column in columns.items():
            if len(column) != len(self.block):
                raise InputError(f"{name}: expected {len(self.block)} numbers; got {len(column)}")
            if min(column, default=0) < 0:
                raise InputError(f"{name}: expected numbers of 0 or more; got {min(column)}")
        for choice, column in self.correct.items():
            for name, limit in (("count", self.count), (f"answered.{choice}", self.answered.get(choice))):
                if limit is not None and any(k > n for k, n in zip(column, limit, strict=True)):
                    raise InputError(f"correct.{choice}: expected at most {name}")


@dataclass(frozen=True)
class Counts:
    """The samples of the main score of a run, counted for its scores.

    Attributes:
        domains: by block and domain, of the domains that can be the worst.
        classes: by block and class, of the classes that occur among the labels.
    """

    domains: GroupCounts
    classes: GroupCounts


def count(judged: Mapping[str, Predictions], domains: Sequence[str], uncounted: Collection[str]) -> Counts:
    """Count predictions.

    Args:
        judged: choice of experts -> predictions on the same samples.
        domains: names, by domain id.
        uncounted: names of domains that never count as the worst.
    """
    some = next(iter(judged.values()))
    of = [number for number, name in enumerate(domains) if name not in uncounted]
    correct = {choice: one.correct for choice, one in judged.items()}
    proper = np.isin(some.domain, of)  # without samples of unknown domain
    by_domain = _counted(
        some.block[proper],
        some.domain[proper],
        {choice: column[proper] for choice, column in correct.items()},
    )
    answers = {choice: one.predicted for choice, one in judged.items()}
    return Counts(by_domain, _counted(some.block, some.label, correct, answers))


def _counted(
    block: NDArray[np.int64],
    group: NDArray[np.int64],
    correct: Mapping[str, NDArray[np.bool_]],
    answers: Mapping[str, NDArray[np.int64]] | None = None,
) -> GroupCounts:
    """Count samples by block and group, and by block and answer where the answer is one of the groups."""
    answers = answers or {}
    inside = {choice: np.isin(answer, group) for choice, answer in answers.items()}
    own = np.stack([block, group], axis=1)
    given = {choice: np.stack([block, answer], axis=1)[inside[choice]] for choice, answer in answers.items()}
    pairs, which = np.unique(np.concatenate([own, *given.values()]), axis=0, return_inverse=True)
    which = which.reshape(-1)

    def column(rows: NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(np.bincount(rows, minlength=len(pairs)).tolist())

    starts = np.cumsum([len(own), *map(len, given.values())])
    ends = dict(zip(given, pairwise(starts), strict=True))
    labelled = which[: len(own)]
    return GroupCounts(
        tuple(pairs[:, 0].tolist()),
        tuple(pairs[:, 1].tolist()),
        column(labelled),
        {choice: column(labelled[right]) for choice, right in correct.items()},
        {choice: column(which[slice(*ends[choice])]) for choice in answers},
    )


def write_counts(folder: Path, counts: Counts) -> None:
    """Write the counts of a run completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    text = json.dumps({"format": FORMAT, **to_plain(counts)}, separators=(",", ":"))
    with whole_file(folder / FILE, "make space, and start the bench again") as scratch:
        scratch.write_text(text + "\n", encoding="utf-8")
