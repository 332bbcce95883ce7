"""Records of many reports: method, target, seed and scores of each run."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geomoe.errors import DataError
from geomoe.evaluation.reports.report import FILE, Report
from geomoe.support.walking import walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

log = logging.getLogger(__name__)

_SUFFIX = {"shared": "-SE"}  # MoGE-SE: only the shared expert


class Record(NamedTuple):
    """One method of one run on one split.

    Attributes:
        data: name of the data set.
        split: the evaluated split.
        protocol: the data set's protocol options except ``num_domains``, as text.
        method: algorithm, with -SE for only its shared expert.
        backbone: backbone of the network.
        held_out: the domain left out of training; None: none.
        num_domains: number of source domains, if the protocol varies it.
        seed: training seed.
        split_seed: seed of the split.
        scores: name -> share: ``accuracy`` (of the held-out domain, if there is one), ``macro_f1``,
            ``calibration_error``, ``worst`` (the lowest accuracy of a domain), and the accuracy on each
            additional split, by its name.
        unit: word for a domain.
        domains: names of all domains.
        data_hash: hash of the evaluated data.
        file: the report file.
    """

    data: str
    split: str
    protocol: str
    method: str
    backbone: str
    held_out: str | None
    num_domains: int | None
    seed: int
    split_seed: int
    scores: dict[str, float]
    unit: str
    domains: tuple[str, ...]
    data_hash: str
    file: str

    @property
    def run(self) -> tuple[int, int]:
        """The identity of a repeated run: split seed and seed."""
        return self.split_seed, self.seed


def read_records(paths: Iterable[str | os.PathLike[str]]) -> list[Record]:
    """Read the records of all reports under some paths.

    Args:
        paths: reports, their folders, or folders that are searched recursively.

    Raises:
        DataError: a path has no report, a report cannot be read or is from an older geomoe, a run occurs
            twice, or runs with the same conditions used different data.
    """
    files: dict[str, Path] = {}
    for path in paths:
        for file in _files(Path(path)):  # once, although a link may lead to it too
            files.setdefault(os.path.realpath(file), file)
    found = [record for file in files.values() for record in _records(file)]
    _check(found)
    return found


def _files(path: Path) -> list[Path]:
    files = [path]
    if path.is_dir():
        found = walk(path, lambda name: name == FILE)
        files = found.files
        for other, reason in found.left_out:
            log.warning("%s: left out: %s", other, reason)
    if not files:
        raise DataError(f"{path}: no {FILE} in it; geomoe evaluate --output DIR writes one")
    return files


def _records(file: Path) -> Iterator[Record]:
    report = Report.load(file)
    if report.options is None or report.backbone is None:
        raise DataError(f"{file}: was written by an older geomoe; judge its checkpoint again")
    options = dict(report.options)
    num_domains = _whole(options.pop("num_domains", None), file)
    protocol = ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
    for choice in report.scores:
        suffix = _SUFFIX.get(choice, "" if choice == "all" else f" expert {choice}")
        yield Record(
            data=report.data,
            split=report.split,
            protocol=protocol,
            method=report.algorithm + suffix,
            backbone=report.backbone,
            held_out=report.held_out,
            num_domains=num_domains,
            seed=report.seed,
            split_seed=report.split_seed,
            scores=_scores(report, choice),
            unit=report.domain_unit,
            domains=report.regions,
            data_hash=str(report.data_hash),
            file=file.as_posix(),
        )


def _whole(value: str | int | float | None, file: Path) -> int | None:
    if value is None or isinstance(value, int):
        return value
    raise DataError(f"{file}: options.num_domains: expected a whole number; got {value!r}")


def _scores(report: Report, choice: str) -> dict[str, float]:
    scores = report.scores[choice]
    main, worst = scores.overall, scores.worst
    if report.held_out is not None:
        main, worst = scores.held_out or scores.overall, None
    found = {key: getattr(main, key) for key in ("accuracy", "macro_f1", "calibration_error")}
    if worst is not None:
        found["worst"] = scores.regions[worst].accuracy
    return found | {name: parts[choice].accuracy for name, parts in report.beside.items()}


def _check(records: list[Record]) -> None:
    seen: dict[tuple[Any, ...], Record] = {}
    judged: dict[tuple[Any, ...], Record] = {}
    for one in records:
        where = (one.data, one.split, one.protocol, one.held_out, one.num_domains, one.split_seed)
        twin = seen.setdefault((*where, one.method, one.backbone, one.seed), one)
        if twin is not one:
            run = f"{one.method} run (seed {one.seed})"
            msg = f"{one.file}: the same {run} as {twin.file}; leave one of them out"
            raise DataError(msg)
        other = judged.setdefault(where, one)
        if other.data_hash != one.data_hash:
            msg = f"{one.file}: was judged on other data than {other.file}; compare the same samples only"
            raise DataError(msg)
