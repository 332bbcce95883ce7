"""Reports as plain text, through rich."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection

MANY = 20  # domains; of more a table has the LOWEST only, report.json has all
LOWEST = 10
NAMES = {"all": "all experts", "shared": "shared expert alone"}


def report_text(data: dict[str, Any], width: int) -> str:
    """Text of one report (its plain data)."""
    parts: list[str | Table] = [_heading(data), *data.get("notes", ())]
    for choice, scores in data["scores"].items():
        parts.append(_scores(data, choice))
        parts += [_beside(name, found[choice]) for name, found in data.get("beside", {}).items()]
        parts += [_groups(what, groups) for what, groups in scores.get("groups", {}).items()]
    if data.get("official") is not None:
        parts += _official(data["official"], data["scores"])
    if data["experts_report"] is not None:
        parts += _experts(data["experts_report"])
    return render(parts, width)


def render(parts: list[str | Table], width: int) -> str:
    """Strings and tables, one below the other, without colours or trailing blanks."""
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False)
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False)
            continue
        title, part.title = part.title, None  # rich would wrap it to the width of the table
        console.print("", title, part, sep="\n", markup=False)
        part.title = title
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n") + "\n"


def new_table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are numbers."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal; a dash where there is nothing to divide by."""
    return "-" if value is None else f"{100 * value:.1f}"


def interval(pair: list[float] | None) -> str:
    """An interval of shares, in percent."""
    return "-" if pair is None else f"{100 * pair[0]:.1f} to {100 * pair[1]:.1f}"


def plural(unit: str) -> str:
    """Several of what a domain is."""
    return f"{unit[:-1]}ies" if unit.endswith("y") else f"{unit}s"


def protocol_text(data: dict[str, Any]) -> str:
    """What a report's run left out of training, and which rules made its samples."""
    options = {key: value for key, value in data.get("options", {}).items() if value is not None}
    if data.get("protocol") is not None:
        options = {"protocol": data["protocol"], **options}
    parts = [f"{data['held_out']} held out" if data["held_out"] else "nothing held out"]
    return ", ".join(parts + [f"{key} {value}" for key, value in options.items()])


def _heading(data: dict[str, Any]) -> str:
    protocol = protocol_text(data)
    boot = data["bootstrap"]
    how = f"{boot['samples']} resamples of {plural(boot['unit'])}" if boot["samples"] else "not computed"
    method = data["algorithm"] + (f" (encoder {data['encoder']})" if data.get("encoder") else "")
    return (
        f"{method} on {data['data']}, split {data['split']}, {protocol}, seed {data['seed']}\n"
        f"{data['checkpoint']}\n"
        f"percent; intervals: {100 * boot['confidence']:g} %, {how}"
    )


def choice_name(data: dict[str, Any], choice: str) -> str:
    """What a choice of experts is called in a report; of a network without experts, the method."""
    return NAMES.get(choice, f"expert {choice} alone") if data["algorithm"] == "moge" else data["algorithm"]


def _scores(data: dict[str, Any], choice: str) -> Table:
    scores, name = data["scores"][choice], choice_name(data, choice)
    unit, count = data.get("domain_unit", "region"), len(scores["regions"])
    if count > MANY:
        name += f"; the {LOWEST} lowest of {count} {plural(unit)}, report.json has all"
    return _parts(name, score_rows(scores, data["held_out"], data.get("uncounted", ()), unit))


def _beside(name: str, part: dict[str, Any]) -> Table:
    return _parts(f"beside it: split {name}", [(name, part)])


def _groups(what: str, groups: dict[str, Any]) -> Table:
    parts, worst = groups["parts"], groups["worst"]
    rows = [(f"worst {what} ({worst})", parts[worst])] if worst is not None else []
    return _parts(f"by {what}", rows + [(f"  {name}", part) for name, part in parts.items()])


def _parts(title: str, rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = new_table(title, "", "accuracy", "interval", "macro F1", "ECE", "samples", "blocks")
    for label, part in rows:
        table.add_row(
            label, percent(part["accuracy"]), interval(part["accuracy_interval"]), percent(part["macro_f1"]),
            percent(part["calibration_error"]), str(part["count"]), str(part["blocks"]),
        )  # fmt: skip
    return table


def score_rows(
    scores: dict[str, Any], held_out: str | None, uncounted: Collection[str] = (), unit: str = "region"
) -> list[tuple[str, dict[str, Any]]]:
    """Label and score of each line: with a domain held out, source and held-out are told apart.

    Domains that never are the worst one are marked. ``unit`` is what a domain is.
    """
    kind = unit if held_out is None else f"source {unit}"
    main, worst = (
        (scores["overall"], scores["worst"])
        if held_out is None
        else (scores["source"], scores["source_worst"])
    )
    rows = []
    if main is not None:
        rows.append(("overall" if held_out is None else f"source {plural(unit)}", main))
    if worst is not None:
        rows.append((f"worst {kind} ({worst})", scores["regions"][worst]))
    if scores["held_out"] is not None:
        rows.append((f"held-out {unit} ({held_out})", scores["held_out"]))
    marks = dict.fromkeys(uncounted, " (never worst)")
    listed = list(scores["regions"].items())
    if len(listed) > MANY:
        listed = sorted(listed, key=lambda item: item[1]["accuracy"])[:LOWEST]
    return rows + [(f"  {name}{marks.get(name, '')}", part) for name, part in listed]


def _official(official: dict[str, Any], scores: dict[str, Any]) -> list[str | Table]:
    if official["problem"]:
        return [f"wilds' own eval() cannot be had: {official['problem']}"]
    table = new_table("wilds' own eval() beside ours", "metric", "experts", "wilds", "geomoe", "")
    for row in official["rows"]:
        verdict = "same" if row["equal"] else "DIFFERENT"
        numbers = (f"{row[who]:.7f}" for who in ("wilds", "geomoe"))
        table.add_row(row["metric"], row["experts"] if len(scores) > 1 else "", *numbers, verdict)
    return [table]


def _experts(report: dict[str, Any]) -> list[str | Table]:
    count = report["num_experts"]
    heads = [str(expert) for expert in range(count)]
    parts: list[str | Table] = []
    for forced in report["forced"]:
        title = f"forced experts of block {forced['block']}: rows by its top-1; a column forces one expert"
        table = new_table(title, "top-1", "samples", "all", "shared", *heads)
        for row in range(count):
            cells = [percent(value) for value in forced["accuracy"][row]]
            routed, shared = percent(forced["routed"][row]), percent(forced["shared"][row])
            table.add_row(str(row), str(forced["counts"][row]), routed, shared, *cells)
        parts.append(table)
    for routing in report["routing"]:
        title = f"block {routing['block']}: routing (percent); entropy {routing['entropy']:.2f} nats"
        table = new_table(f"{title}, {routing['effective_experts']:.1f} experts in effect", "", *heads)
        table.add_row("mean weight", *map(percent, routing["load"]))
        table.add_row("top-1 share", *map(percent, routing["top1_share"]))
        loads = routing["load_by_region"] if len(routing["load_by_region"]) <= MANY else {}
        for region, load in loads.items():
            table.add_row(f"  weight in {region}", *map(percent, load))
        parts.append(table)
        parts += [
            f"block {routing['block']}: expert {dead} is dead (mean weight of 0.1 percent at most)"
            for dead in routing["dead"]
        ]
    for cka in report["cka"]:
        title = f"block {cka['block']}: linear CKA of the experts ({cka['estimator']}, {cka['rows']} tokens)"
        table = new_table(title, "expert", *heads)
        for row in range(count):
            table.add_row(
                str(row), *("-" if value is None else f"{value:.2f}" for value in cka["matrix"][row])
            )
        parts.append(table)
    return parts
