"""Check labels, splits, places and images of a data set on disk; faults are listed, not raised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from geomoe.checking.copies import look_at_copies
from geomoe.checking.countries import (
    BORDER_KM,
    Countries,
    has_codes,
    km_outside,
    look_at_countries,
    read_outlines,
    summarise,
)
from geomoe.checking.images import open_images
from geomoe.checking.leakage import Pair, compare, different_places, known_places, measure
from geomoe.checking.neighbours import look_at_neighbours
from geomoe.checking.places import Finding, Odd, look_at_places
from geomoe.config.limits import MOST_WORKERS
from geomoe.earth.countries import country_outlines
from geomoe.support.options import call_options, within
from geomoe.support.text import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from geomoe.datasets.base import LabelledImages
    from geomoe.datasets.cache.pixels import Unreadable


SEVERITIES = ("fault", "warning", "note")


class Split(NamedTuple):
    """One split in numbers.

    Attributes:
        samples: number of samples.
        classes: number of classes with samples.
        domains: number of domains with samples.
        known_places: number of samples whose place is known.
        places: number of distinct known places.
    """

    samples: int
    classes: int
    domains: int
    known_places: int
    places: int


class Check(NamedTuple):
    """The result of a check.

    Attributes:
        splits: split name -> numbers.
        classes: number of classes of the data set.
        pairs: comparison of every pair of splits.
        near_km: distance below which places count as near.
        countries: split -> its country codes, if it has any.
        border_km: distance beyond which a sample counts as outside the country of its code.
        looked_at: number of opened images.
        shapes: ``bands x height x width type`` -> number of images.
        unreadable: images that cannot be opened: row and problem.
        findings: faults, warnings and notes, faults first.
        odd: samples with a suspicious place.
    """

    splits: dict[str, Split]
    classes: int
    pairs: list[Pair]
    near_km: float
    countries: dict[str, Countries]
    border_km: float
    looked_at: int
    shapes: dict[str, int]
    unreadable: list[Unreadable]
    findings: list[Finding]
    odd: list[Odd]

    @property
    def sound(self) -> bool:
        """Return whether there is no fault."""
        return not any(finding.severity == "fault" for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """What a check covers.

    Args:
        near_km: distance below which places of two splits are near-duplicates.
        images: number of images to open, evenly spaced; None: all; 0: none.
        workers: number of processes that open images.
        countries: file of country outlines for the check of codes; None: the outlines of the package.
    """

    near_km: float = within(1.0, at_least=0, at_most=20_100)
    images: int | None = within(None, at_least=0, at_most=10**12)
    workers: int = within(0, at_least=0, at_most=MOST_WORKERS)
    countries: str | os.PathLike[str] | None = None


def check(
    parts: Mapping[str, LabelledImages],
    options: CheckOptions | None = None,
    *,
    expected: Mapping[str, int] | None = None,
    unnoticed: Sequence[str] = (),
    tell: Callable[[int, int], None] = lambda done, total: None,
    **changes: Any,  # noqa: ANN401 - fields of CheckOptions
) -> Check:
    """Check the splits of one data set.

    Args:
        parts: name -> split; all of one data set.
        options: what to check.
        expected: split (or ``all``) -> number of samples of the full data set.
        unnoticed: changes of files that earlier runs did not notice.
        tell: called with the number of opened images and the total.
        **changes: fields of :class:`CheckOptions` by name: ``check(parts, images=0)``.

    Raises:
        DataError: the outlines cannot be read.
    """
    asked = call_options(CheckOptions, options, changes)
    outside = _outside(parts, asked.countries)
    codes = {name: summarise(parts[name], km) for name, km in outside.items()}
    measured = measure(parts)
    pairs = compare(parts, asked.near_km, measured)
    findings = [finding for name, data in parts.items() for finding in look_at(name, data)]
    findings += [one for name, found in codes.items() for one in look_at_countries(name, found)]
    findings += [
        *look_at_neighbours(parts),
        *look_at_copies(parts),
        *_overlaps(pairs),
        *_counts(parts, expected or {}),
        *_remarks(parts),
    ]
    findings += [Finding("warning", "files", text) for text in unnoticed]
    looked_at, shapes, unreadable = open_images(parts, asked.images, asked.workers, tell)
    findings += _images(looked_at, shapes, unreadable)
    return Check(
        splits={name: _numbers(data) for name, data in parts.items()},
        classes=len(next(iter(parts.values())).classes),
        pairs=pairs,
        near_km=asked.near_km,
        countries=codes,
        border_km=BORDER_KM,
        looked_at=looked_at,
        shapes=shapes,
        unreadable=unreadable,
        findings=by_severity(findings),
        odd=_odd(parts, measured, outside, asked.near_km),
    )


def by_severity(findings: Sequence[Finding]) -> list[Finding]:
    """Faults first, then warnings and notes, each kind in its order."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def _remarks(parts: Mapping[str, LabelledImages]) -> list[Finding]:
    """Return each remark and each doubt of the readers once."""
    remarks = dict.fromkeys(remark for data in parts.values() for remark in data.remarks)
    doubts = dict.fromkeys(doubt for data in parts.values() for doubt in data.doubts)
    notes = [Finding("note", "data", remark) for remark in remarks]
    return [*(Finding("warning", "data", doubt) for doubt in doubts), *notes]


def _images(looked_at: int, shapes: Mapping[str, int], unreadable: list[Unreadable]) -> Iterator[Finding]:
    """Yield findings on images of different shapes, and on unreadable images."""
    if len({shape.split(" x ")[0] for shape in shapes}) > 1:
        yield Finding("fault", "images", f"have different numbers of bands: {_listed(shapes)}")
    if unreadable:
        text = f"{len(unreadable)} of {looked_at} cannot be read; the first: {unreadable[0].problem}"
        yield Finding("fault", "images", text)


def _outside(
    parts: Mapping[str, LabelledImages], countries: str | os.PathLike[str] | None
) -> dict[str, NDArray[np.float64]]:
    """Return split -> km outside the countries of its codes, for splits with codes."""
    if countries is None and not any(map(has_codes, parts.values())):
        return {}  # read the package's outlines only if they are needed
    outlines = country_outlines() if countries is None else read_outlines(countries)
    return {name: km_outside(data, outlines) for name, data in parts.items() if has_codes(data)}


def _odd(
    parts: Mapping[str, LabelledImages],
    measured: Mapping[tuple[str, str], NDArray[np.float64]],
    outside: Mapping[str, NDArray[np.float64]],
    near_km: float,
) -> list[Odd]:
    """Return samples near the first split (the training split), and samples outside their country."""
    first = next(iter(parts))
    near = {second: km for (one, second), km in measured.items() if one == first}
    chosen = [(name, "near", km, km <= near_km) for name, km in near.items()]  # NaN is not near
    chosen += [(name, "country", km, km > BORDER_KM) for name, km in outside.items()]
    return [
        Odd(name, why, np.flatnonzero(wrong), parts[name].lonlat[wrong], km[wrong])
        for name, why, km, wrong in chosen
        if wrong.any()
    ]


def _numbers(data: LabelledImages) -> Split:
    places = known_places(data)
    return Split(
        samples=len(data),
        classes=len(np.unique(data.labels)),
        domains=len(np.unique(data.domains[data.domains >= 0])),
        known_places=len(places),
        places=len(different_places(places)[0]),
    )


def look_at(name: str, data: LabelledImages) -> Iterator[Finding]:
    """Yield findings on the columns of one split."""
    if not len(data):
        yield Finding("warning" if name == "held_out" else "fault", name, "has no samples")
        return
    for what, column, least, names in (
        ("labels", data.labels, 0, data.classes),
        ("domains", data.domains, -1, data.regions),
    ):
        wrong = (column < least) | (column >= len(names))
        if wrong.any():
            row = int(data.rows[wrong][0])
            text = f"{int(wrong.sum())} {what} are outside {least} to {len(names) - 1}; row {row} has "
            yield Finding("fault", name, f"{text}{int(column[wrong][0])}")
    again = len(data) - len(np.unique(data.rows))
    if again:
        yield Finding("fault", name, f"{counted(again, 'sample is', 'samples are')} in it twice")
    yield from look_at_places(name, data)


def _overlaps(pairs: list[Pair]) -> Iterator[Finding]:
    for pair in pairs:
        where = f"{pair.first}, {pair.second}"
        if pair.shared_rows:
            yield Finding("fault", where, f"{counted(pair.shared_rows, 'sample is', 'samples are')} in both")
        elif pair.same_place:
            are = counted(pair.same_place, f"sample of {pair.second} is", f"samples of {pair.second} are")
            text = f"{are} at a place where {pair.first} has one"
            yield Finding("warning", where, text)


def _counts(parts: Mapping[str, LabelledImages], expected: Mapping[str, int]) -> Iterator[Finding]:
    found = {name: len(data) for name, data in parts.items()}
    total = next(iter(parts.values())).total
    found["all"] = total or len(np.unique(np.concatenate([data.rows for data in parts.values()])))
    for name, count in expected.items():
        if name in found and found[name] != count:
            has = counted(found[name], "sample")
            yield Finding("warning", name, f"has {has}; the full data set has {count:,}")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} of {name}" for name, count in counts.items())
