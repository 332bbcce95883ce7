"""Check that the parts of a loaded report are consistent; types are checked before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geomoe.errors import InputError
from geomoe.support.plain import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sized

    from geomoe.evaluation.reports.values import Confusion, ExpertsReport, Judged, Part, Places, Scores


def check_consistent(report: Judged) -> None:
    """Refuse a report with inconsistent names, row counts or shares.

    Raises:
        InputError: a part is inconsistent; the message has its path, the expected and the found value.
    """
    _expect(report.scores, "scores", "the choice that experts names", str(report.experts) in report.scores)
    first = report.scores[str(report.experts)]
    for choice, scores in report.scores.items():
        _scores(scores, f"scores.{choice}", first)
        for name in ("confusion", "held_out_confusion"):
            if (found := getattr(scores, name)) is not None:
                _confusion(found, f"scores.{choice}.{name}", len(report.classes))
    for name, parts in report.beside.items():
        _names(parts, f"beside.{name}", report.scores)
        for choice, part in parts.items():
            _part(part, f"beside.{name}.{choice}")
    if report.places is not None:
        _places(report.places, report)
    if report.experts_report is not None:
        _experts(report.experts_report)


def _scores(scores: Scores, where: str, first: Scores) -> None:
    singles = {"overall": scores.overall, "source": scores.source, "held_out": scores.held_out}
    for name, part in singles.items():
        if part is not None:
            _part(part, f"{where}.{name}")
    _names(scores.regions, f"{where}.regions", first.regions)
    for name in ("worst", "source_worst"):
        _among(getattr(scores, name), f"{where}.{name}", scores.regions)
    _names(scores.groups, f"{where}.groups", first.groups)
    for what, group in scores.groups.items():
        _names(group.parts, f"{where}.groups.{what}.parts", first.groups[what].parts)
        _among(group.worst, f"{where}.groups.{what}.worst", group.parts)
        for name, part in group.parts.items():
            _part(part, f"{where}.groups.{what}.parts.{name}")
    for name, part in scores.regions.items():
        _part(part, f"{where}.regions.{name}")
    bins = scores.reliability
    for name in ("count", "confidence", "accuracy"):
        _long(getattr(bins, name), f"{where}.reliability.{name}", len(bins.edges) - 1)


def _confusion(found: Confusion, where: str, classes: int) -> None:
    """Check that the matrix and the scores of its classes agree."""
    _long(found.classes, f"{where}.classes", classes)
    for name in ("label", "answer"):
        ids = getattr(found, name)
        _long(ids, f"{where}.{name}", len(found.count))
        _each(ids, f"{where}.{name}", f"0 to {classes - 1}", (0 <= one < classes for one in ids))
    _each(found.count, f"{where}.count", "1 or more", (one >= 1 for one in found.count))
    sums = {name: [0] * classes for name in ("count", "answered", "correct")}
    for label, answer, count in zip(found.label, found.answer, found.count, strict=True):
        sums["count"][label] += count
        sums["answered"][answer] += count
        sums["correct"][label] += count * (label == answer)
    for number, one in enumerate(found.classes):
        for name, values in sums.items():
            wanted, own = values[number], getattr(one, name)
            _expect(own, f"{where}.classes.{number}.{name}", f"{wanted}, as in the cells", own == wanted)
        parts = {"precision": one.answered, "recall": one.count, "f1": (one.count + one.answered) / 2}
        for name, part in parts.items():
            share = one.correct / part if part else None
            own = getattr(one, name)
            good = own == share or (None not in (own, share) and abs(own - share) < 1e-9)
            _expect(own, f"{where}.classes.{number}.{name}", f"{share}, as the counts give it", good)


def _part(part: Part, where: str) -> None:
    for name in ("accuracy", "macro_f1", "calibration_error"):
        value = getattr(part, name)
        _expect(value, f"{where}.{name}", "a share from 0 to 1", 0 <= value <= 1)
    _expect(part.count, f"{where}.count", "1 or more", part.count >= 1)


def _places(places: Places, report: Judged) -> None:
    rows = len(places.domain)
    _expect(places.step, "places.step", "0 to 90 degrees", 0 <= places.step <= 90)
    _names(places.correct, "places.correct", report.scores)
    columns = {name: getattr(places, name) for name in ("lon", "lat", "count")}
    columns |= {f"correct.{choice}": column for choice, column in places.correct.items()}
    for name, column in columns.items():
        _long(column, f"places.{name}", rows)
    known = range(-1, len(report.regions))
    _each(
        places.domain,
        "places.domain",
        f"-1 to {len(report.regions) - 1}",
        (one in known for one in places.domain),
    )
    _each(places.lon, "places.lon", "-180 to 180", (-180 <= one <= 180 for one in places.lon))
    _each(places.lat, "places.lat", "-90 to 90", (-90 <= one <= 90 for one in places.lat))
    _each(places.count, "places.count", "1 or more", (one >= 1 for one in places.count))
    for choice, column in places.correct.items():
        good = (0 <= right <= count for right, count in zip(column, places.count, strict=True))
        _each(column, f"places.correct.{choice}", "0 to the count of that row", good)


def _experts(found: ExpertsReport) -> None:
    count, blocks = found.num_experts, len(found.blocks)
    _expect(count, "experts_report.num_experts", "1 or more", count >= 1)
    _expect(blocks, "experts_report.blocks", "at least one", blocks >= 1)
    for name in ("forced", "routing", "cka"):
        _long(getattr(found, name), f"experts_report.{name}", blocks)
    for number in range(blocks):
        forced, routing = found.forced[number], found.routing[number]
        columns: dict[str, Sized] = {
            **{f"forced.{number}.{name}": getattr(forced, name) for name in ("counts", "routed", "shared")},
            **{f"routing.{number}.{name}": getattr(routing, name) for name in ("load", "top1_share")},
            **{
                f"routing.{number}.load_by_region.{name}": own for name, own in routing.load_by_region.items()
            },
        }
        for what, matrix in (("forced", forced.accuracy), ("cka", found.cka[number].matrix)):
            name = f"{what}.{number}.{'accuracy' if what == 'forced' else 'matrix'}"
            columns |= {name: matrix, **{f"{name}.{row}": own for row, own in enumerate(matrix)}}
        for name, column in columns.items():
            _long(column, f"experts_report.{name}", count)
        where = f"experts_report.routing.{number}.spare"
        _expect(
            routing.spare, where, f"slots 0 to {count - 1}", all(0 <= one < count for one in routing.spare)
        )


def _names(found: Collection[str], where: str, wanted: Collection[str]) -> None:
    _expect(found, where, f"exactly {', '.join(wanted) or 'nothing'}", set(found) == set(wanted))


def _among(name: str | None, where: str, known: Collection[str]) -> None:
    _expect(name, where, f"null, or one of {', '.join(known)}", name is None or name in known)


def _long(found: Sized, where: str, wanted: int) -> None:
    _expect(found, where, f"{wanted} values", len(found) == wanted)


def _each(values: tuple[Any, ...], where: str, wanted: str, good: Iterable[bool]) -> None:
    for row, one in enumerate(good):
        _expect(values[row], f"{where}.{row}", wanted, one)


def _expect(found: Any, where: str, wanted: str, good: bool) -> None:  # noqa: ANN401 - any value
    if not good:
        raise InputError(f"{where}: expected {wanted}; got {shown(found)}")
