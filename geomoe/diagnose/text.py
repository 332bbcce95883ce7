"""A diagnosis as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.support.tables import new_table, render
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from geomoe.diagnose.layer_values import Layer, Row
    from geomoe.diagnose.values import Diagnosed, Found, Pair, SlotEnergy, Subject

MANY = 20  # domains; if there are more, tables by domain are only in diagnosis.json


def diagnosis_text(report: Diagnosed, width: int) -> str:
    """Return the text of a diagnosis: red flags first."""
    parts: list[str | Table] = [heading(report), *flag_lines(report)]
    for subject, found in zip(report.subjects, report.found, strict=True):
        parts += _subject(subject, found, report)
    for pair in report.pairs:
        parts += _pair(pair)
    return render(parts, width)


def heading(report: Diagnosed) -> str:
    """Return which checkpoints and samples were diagnosed, and the cost."""
    lines = [f"{report.data}, {samples_text(report)}"]
    subjects = zip(report.subjects, report.found, strict=True)
    lines += [f"{one.name}: {subject_text(one, found)}; {one.checkpoint}" for one, found in subjects]
    return "\n".join([*lines, cost_text(report)])


def samples_text(report: Diagnosed) -> str:
    """Return which samples were used."""
    counts = {one.name: one.split_samples for one in report.subjects}
    said = f"split {report.settings.split}: {report.samples:,} of {report.of:,} samples"
    if report.settings.split_of == "first" and len(counts) > 1:
        trained = ", ".join(f"{one.name} on {one.trained_on or 0:,}" for one in report.subjects)
        return f"{said} of A's split (trained: {trained} of them)"
    if set(counts.values()) == {report.of}:
        return said
    return f"{said} in common ({', '.join(f'{name} has {count:,}' for name, count in counts.items())})"


def subject_text(one: Subject, found: Found) -> str:
    """Describe a checkpoint; for layers with spare slots, with the number of slots that hold an expert."""
    what = f"{counted(one.experts, 'expert')} in {', '.join(one.layers)}" if one.layers else "no experts"
    if any(layer.routing.spare for layer in found.layers):
        counts = (f"{len(layer.routing.experts)} in {layer.name}" for layer in found.layers)
        what = f"experts in some of {one.experts} slots: {', '.join(counts)}"
    encoder = f" (encoder {one.encoder})" if one.encoder else ""
    held_out = f"{one.held_out} held out" if one.held_out else "nothing held out"
    return f"{one.algorithm}{encoder}, seed {one.seed}, {held_out}, {what}"


def cost_text(report: Diagnosed) -> str:
    """Return the cost of the diagnosis: answers for each image."""
    answers = ", ".join(f"{one.name} {one.answers}" for one in report.subjects)
    return f"each image was read once; answers asked for each image: {answers}"


def flag_lines(report: Diagnosed) -> list[str]:
    """Return the red flags as lines."""
    if not report.flags:
        return ["no red flags"]
    return [f"RED FLAG {flag.where}: {flag.text}" for flag in report.flags]


def decimal(value: float | None, places: int = 3) -> str:
    """Format a number; a dash if it is undefined."""
    return "-" if value is None else f"{value:.{places}f}"


def short(value: float | None) -> str:
    """Format a number of any size with three digits; a dash if it is undefined."""
    return "-" if value is None else f"{value:.3g}"


def percent(value: float | None) -> str:
    """Format a share as a percentage with one decimal; a dash if it is undefined."""
    return "-" if value is None else f"{100 * value:.1f}"


def _subject(subject: Subject, found: Found, report: Diagnosed) -> list[str | Table]:
    parts: list[str | Table] = [f"\n{subject.name}: accuracy {percent(found.accuracy)} %"]
    parts += [f"left out: {line}" for line in found.left_out]
    if found.probe is not None:
        probe = found.probe
        parts.append(
            f"domain probe within classes: {percent(probe.accuracy)} % (most frequent domain "
            f"{percent(probe.chance)} %); energy distance of the features {short(found.discrepancy)}"
        )
    for layer in found.layers:
        parts += _layer(subject.name, layer, report)
    if found.geography:
        parts.append(_geography(subject, found))
    return parts


def layer_rows(layer: Layer) -> list[tuple[str, str]]:
    """Return the single numbers of a layer: name and value."""
    routing, outputs, slots = layer.routing, layer.outputs, layer.alignment
    return [
        ("routing entropy (nats)", f"{routing.entropy:.3f}"),
        ("routing entropy over ln E", f"{routing.entropy_share:.3f}"),
        ("load deviation", f"{routing.load_deviation:.3f} (at most {routing.most_deviation:.3f})"),
        ("largest load", f"{routing.most_load:.3f}"),
        ("dead experts", f"{len(routing.dead)} of {len(routing.experts)}"),
        ("routing JS, cells from class templates", short(routing.class_divergence)),
        ("routing JS, between domains", short(routing.domain_divergence)),
        ("mean off-diagonal cosine", decimal(outputs.cosine_mean)),
        ("effective rank", decimal(outputs.effective_rank, 2)),
        (f"mean off-diagonal CKA ({outputs.cka_rows:,} rows)", decimal(outputs.cka_mean)),
        ("slots, selected", f"{slots.slots:,}, {slots.selected:,}"),
        ("energy distance, selected slots", short(slots.energy_selected)),
        ("energy distance, all slots", short(slots.energy_all)),
        ("selected slots, features of length 1", short(slots.unit_selected)),
        ("all slots, features of length 1", short(slots.unit_all)),
    ]


def of_experts(row: Row, experts: Sequence[int]) -> Row:
    """The values of some slots of a row, such as those that hold an expert."""
    return tuple(row[expert] for expert in experts)


def _layer(name: str, layer: Layer, report: Diagnosed) -> list[str | Table]:
    experts = layer.routing.experts
    heads = list(map(str, experts))
    numbers = new_table(f"{name}, {layer.name}", "", "value")
    for what, value in layer_rows(layer):
        numbers.add_row(what, value)
    load = new_table(f"{name}, {layer.name}: routing (percent)", "", *heads)
    load.add_row("mean weight", *map(percent, of_experts(layer.routing.load, experts)))
    load.add_row("top-1 share", *map(percent, of_experts(layer.routing.top1_share, experts)))
    parts: list[str | Table] = [numbers, load]
    if len(report.domains) <= MANY:
        for domain, row in layer.routing.by_domain.items():
            load.add_row(f"  weight in {domain}", *map(percent, of_experts(row, experts)))
        forced = new_table(
            f"{name}, {layer.name}: accuracy, one expert forced", report.domain_unit, "all", "shared", *heads
        )
        for domain, row in layer.forced.by_domain.items():
            routed, shared = layer.forced.routed[domain], layer.forced.shared.get(domain)
            forced.add_row(domain, percent(routed), percent(shared), *map(percent, of_experts(row, experts)))
        parts.append(forced)
    if layer.information:
        parts.append(_information(name, layer))
    return parts


def _information(name: str, layer: Layer) -> Table:
    kinds = list(dict.fromkeys(kind for one in layer.information.values() for kind in one.chance))
    title = f"{name}, {layer.name}: what the dominant expert shares (nats; mean and p if permuted)"
    table = new_table(title, "", "nats", "share", *kinds)
    for what, one in layer.information.items():
        chance = [one.chance.get(kind) for kind in kinds]
        said = ["-" if part is None else f"{part.mean:.3f}, p {part.p:.3f}" for part in chance]
        table.add_row(what, f"{one.nats:.3f}", percent(one.normalized), *said)
    return table


def geography_rows(subject: Subject, found: Found) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return the head and the rows of the table of other places; percent and points."""
    head = ("places", "km", "acc.", "loss", "95 %", "changed", *(f"→ {one}" for one in subject.layers))
    rows = []
    for one in found.geography:
        ends = one.loss_interval
        interval = "-" if ends is None else f"{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}"
        km = "-" if one.distance_km is None else f"{one.distance_km:,.0f}"
        numbers = [percent(one.accuracy), f"{100 * one.loss:+.1f}", interval, percent(one.changed)]
        rows.append([one.what, km, *numbers, *map(percent, one.rerouted)])
    return head, rows


def _geography(subject: Subject, found: Found) -> Table:
    head, rows = geography_rows(subject, found)
    title = f"{subject.name}: other places, percent (→: another first expert)"
    table = new_table(title, *head)
    for row in rows:
        table.add_row(*row)
    return table


def pair_rows(pair: Pair) -> list[tuple[str, list[str]]]:
    """Return the numbers of a pair: name, and a value for each layer."""
    layers = pair.layers
    return [
        ("responsibility correlation r", [decimal(one.r) for one in layers]),
        ("r, matched experts", [decimal(one.r_matched) for one in layers]),
        ("r, mean of all renumberings", [decimal(one.r_mean) for one in layers]),
        ("slot overlap J", [decimal(one.overlap) for one in layers]),
        ("J, matched experts", [decimal(one.overlap_matched) for one in layers]),
        *_energy_rows(pair.first, pair.second, [one.on_first for one in layers]),
        *_energy_rows(pair.second, pair.first, [one.on_second for one in layers]),
        ("samples: same expert", [decimal(one.samples.same) for one in layers]),
        ("samples: same, matched", [decimal(one.samples.matched) for one in layers]),
        ("samples: adjusted Rand index", [decimal(one.samples.adjusted_rand) for one in layers]),
        ("land: same expert", [decimal(one.map.same if one.map else None) for one in layers]),
        ("land: same, matched", [decimal(one.map.matched if one.map else None) for one in layers]),
        (
            "land: adjusted Rand index",
            [decimal(one.map.adjusted_rand if one.map else None) for one in layers],
        ),
    ]


def _energy_rows(own: str, other: str, energies: list[SlotEnergy]) -> list[tuple[str, list[str]]]:
    """Rows about the slots of one checkpoint; in brackets the number for features of length 1."""
    return [
        (f"energy on {own}'s slots: {own}", [_both(one.own, one.unit_own) for one in energies]),
        (f"energy on {own}'s slots: {other}", [_both(one.other, one.unit_other) for one in energies]),
        (
            f"energy on {own}'s slots: {other}, matched",
            [_both(one.other_matched, one.unit_other_matched) for one in energies],
        ),
    ]


def _both(value: float | None, unit: float | None) -> str:
    return f"{short(value)} ({short(unit)})"


def _pair(pair: Pair) -> list[str | Table]:
    title = f"{pair.first} and {pair.second}"
    same = f"\n{title}: {percent(pair.same_answers)} % of the answers are the same"
    if not pair.layers:
        return [same]
    table = new_table(
        f"{title}: routers (in brackets: features of length 1)", "", *(one.name for one in pair.layers)
    )
    for name, values in pair_rows(pair):
        table.add_row(name, *values)
    return [same, table]
