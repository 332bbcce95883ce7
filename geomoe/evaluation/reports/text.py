"""Reports as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.evaluation.reports.classes import class_tables
from geomoe.support.tables import new_table, percent, render
from geomoe.support.text import counted, plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from rich.table import Table

    from geomoe.evaluation.reports.values import (
        BlockCKA,
        BlockRouting,
        ExpertsReport,
        Forced,
        Groups,
        Judged,
        Official,
        Part,
        Scores,
    )

MANY = 20  # domains; if there are more, a table shows only the LOWEST, and report.json has all
LOWEST = 10
NAMES = {"all": "all experts", "shared": "shared expert alone"}


def report_text(report: Judged, width: int) -> str:
    """Return the text of one report."""
    parts: list[str | Table] = [_heading(report), *report.notes]
    for choice, scores in report.scores.items():
        parts.append(_scores(report, choice))
        parts += [_beside(name, found[choice]) for name, found in report.beside.items()]
        parts += [_groups(what, groups) for what, groups in scores.groups.items()]
    parts += class_tables(report)
    if report.official is not None:
        parts += _official(report.official, several=len(report.scores) > 1)
    if report.experts_report is not None:
        parts += _experts(report.experts_report)
    return render(parts, width)


def interval(pair: tuple[float, float] | None) -> str:
    """Format an interval of shares in percent."""
    return "-" if pair is None else f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f}"


def protocol_text(report: Judged) -> str:
    """Describe what the run left out of training, and the rules that define its samples."""
    options = {key: value for key, value in (report.options or {}).items() if value is not None}
    if report.protocol is not None:
        options = {"protocol": report.protocol, **options}
    parts = [f"{report.held_out} held out" if report.held_out else "nothing held out"]
    return ", ".join(parts + [f"{key} {value}" for key, value in options.items()])


def _heading(report: Judged) -> str:
    boot = report.bootstrap
    how = f"{counted(boot.samples, 'resample')} of {plural(boot.unit)}" if boot.samples else "not computed"
    method = report.algorithm + (f" (encoder {report.encoder})" if report.encoder else "")
    return (
        f"{method} on {report.data}, split {report.split}, {protocol_text(report)}, seed {report.seed}\n"
        f"{report.checkpoint}\n"
        f"percent; intervals: {100 * boot.confidence:g} %, {how}"
    )


def choice_name(report: Judged, choice: str) -> str:
    """Return the name of a choice of experts in a report; without experts, the method name."""
    if choice == "all" and "shared" not in report.scores:  # a network without experts
        return report.algorithm
    return NAMES.get(choice, f"expert {choice} alone")


def _scores(report: Judged, choice: str) -> Table:
    scores, name = report.scores[choice], choice_name(report, choice)
    unit, count = report.domain_unit, len(scores.regions)
    if count > MANY:
        name += f"; the {LOWEST} lowest of {count} {plural(unit)}, report.json has all"
    return _parts(name, score_rows(scores, report.held_out, report.uncounted, unit))


def _beside(name: str, part: Part) -> Table:
    return _parts(f"beside it: split {name}", [(name, part)])


def _groups(what: str, groups: Groups) -> Table:
    parts, worst = groups.parts, groups.worst
    rows = [(f"worst {what} ({worst})", parts[worst])] if worst is not None else []
    return _parts(f"by {what}", rows + [(f"  {name}", part) for name, part in parts.items()])


def _parts(title: str, rows: list[tuple[str, Part]]) -> Table:
    table = new_table(title, "", "accuracy", "interval", "macro F1", "ECE", "samples", "blocks")
    for label, part in rows:
        table.add_row(
            label, percent(part.accuracy), interval(part.accuracy_interval), percent(part.macro_f1),
            percent(part.calibration_error), str(part.count), str(part.blocks),
        )  # fmt: skip
    return table


def score_rows(
    scores: Scores, held_out: str | None, uncounted: Collection[str] = (), unit: str = "region"
) -> list[tuple[str, Part]]:
    """Yield label and score of each line; source and held-out domains are listed separately.

    Domains that never count as the worst are marked. ``unit`` is the word for a domain.
    """
    kind = unit if held_out is None else f"source {unit}"
    main, worst = (scores.overall, scores.worst) if held_out is None else (scores.source, scores.source_worst)
    rows = []
    if main is not None:
        rows.append(("overall" if held_out is None else f"source {plural(unit)}", main))
    if worst is not None:
        rows.append((f"worst {kind} ({worst})", scores.regions[worst]))
    if scores.held_out is not None:
        rows.append((f"held-out {unit} ({held_out})", scores.held_out))
    marks = dict.fromkeys(uncounted, " (never worst)")
    listed = list(scores.regions.items())
    if len(listed) > MANY:
        listed = sorted(listed, key=lambda item: item[1].accuracy)[:LOWEST]
    return rows + [(f"  {name}{marks.get(name, '')}", part) for name, part in listed]


def _official(official: Official, *, several: bool) -> list[str | Table]:
    if official.problem:
        return [f"wilds' own eval() is not available: {official.problem}"]
    table = new_table("wilds' own eval() beside ours", "metric", "experts", "wilds", "geomoe", "")
    for row in official.rows:
        verdict = "same" if row.equal else "DIFFERENT"
        numbers = (f"{row.wilds:.7f}", f"{row.geomoe:.7f}")
        table.add_row(row.metric, row.experts if several else "", *numbers, verdict)
    return [table]


def _experts(report: ExpertsReport) -> list[str | Table]:
    experts = [[k for k in range(report.num_experts) if k not in routing.spare] for routing in report.routing]
    parts: list[str | Table] = [_forced(*one) for one in zip(report.forced, experts, strict=True)]
    for routing, there in zip(report.routing, experts, strict=True):
        parts += _routing(routing, there)
    return [*parts, *(_cka(*one) for one in zip(report.cka, experts, strict=True))]


def _cells(row: Sequence[float | None], experts: Sequence[int]) -> Iterator[str]:
    """The shares of the slots that hold an expert; spare slots are left out."""
    return (percent(row[expert]) for expert in experts)


def _forced(forced: Forced, experts: Sequence[int]) -> Table:
    title = f"forced experts of block {forced.block}: rows by its top-1; a column forces one expert"
    table = new_table(title, "top-1", "samples", "all", "shared", *map(str, experts))
    for row in experts:
        routed, shared = percent(forced.routed[row]), percent(forced.shared[row])
        accuracy = _cells(forced.accuracy[row], experts)
        table.add_row(str(row), str(forced.counts[row]), routed, shared, *accuracy)
    return table


def _routing(routing: BlockRouting, experts: Sequence[int]) -> list[str | Table]:
    title = f"block {routing.block}: routing (percent); entropy {routing.entropy:.2f} nats"
    table = new_table(f"{title}, {routing.effective_experts:.1f} experts in effect", "", *map(str, experts))
    table.add_row("mean weight", *_cells(routing.load, experts))
    table.add_row("top-1 share", *_cells(routing.top1_share, experts))
    if len(routing.load_by_region) <= MANY:
        for region, load in routing.load_by_region.items():
            table.add_row(f"  weight in {region}", *_cells(load, experts))
    said = [
        f"block {routing.block}: expert {dead} is dead (less than 5 % of its fair share of the gate weight)"
        for dead in routing.dead
    ]
    return [table, *said]


def _cka(cka: BlockCKA, experts: Sequence[int]) -> Table:
    title = f"block {cka.block}: linear CKA of the experts ({cka.estimator}, {cka.rows} tokens)"
    table = new_table(title, "expert", *map(str, experts))
    for own in experts:
        values = (cka.matrix[own][other] for other in experts)
        table.add_row(str(own), *("-" if value is None else f"{value:.2f}" for value in values))
    return table
