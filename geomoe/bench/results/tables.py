"""The tables of a bench: one typed table for Markdown, LaTeX and the page; CSV has the plain numbers."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from geomoe.pages.document import Cell, Table
from geomoe.support.cells import safe_cell
from geomoe.support.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomoe.bench.results.values import Difference, Interval, Number, Results, RowResult, RunEntry

NAMES = {
    "accuracy": "accuracy",
    "worst": "worst domain",
    "worst_class": "worst class",
    "macro_f1": "macro F1",
    "calibration_error": "ECE",
    "source_accuracy": "source accuracy",
    "source_worst": "worst source",
    "source_worst_class": "worst source class",
    "source_macro_f1": "source macro F1",
    "source_calibration_error": "source ECE",
}
LESS_IS_BETTER = ("calibration_error", "source_calibration_error")
PAGE = "bench.html"
_NONE = "-"


def main_table(results: Results) -> Table:
    """Rows by scores, difference to the baseline, rank and cost; numbers link to the runs of the row."""
    names = [name for name in _in_order(results) if any(name in row.scores for row in results.rows)]
    base = results.baseline
    versus = [f"vs {base}", "95 % interval", "p", "p (Holm)"] if base is not None else []
    targets = list(dict.fromkeys(target for row in results.rows for target in row.targets))
    heads = [
        "method", "runs", main_name(results), "95 % interval", *targets, *(NAMES[name] for name in names[1:]),
        *versus, "rank", "s / update", "parameters", "GFLOP / update", "MFLOP / image",
    ]  # fmt: skip
    best = {name: _best(results, name) for name in names}
    rows = []
    for row in results.rows:
        link = f"#{anchor(row.label)}" if row.runs else None
        main, *others = names or [""]
        cells = [
            spread(row.scores.get(main)),
            interval(row.interval),
            *(spread(row.targets.get(target)) for target in targets),
            *(spread(row.scores.get(name)) for name in others),
            *(_versus(row.difference) if base is not None else []),
            _NONE if row.rank is None else f"{row.rank:.2f}",
            *_cost(row),
        ]
        marked = dict.fromkeys(range(len(cells)), False)
        marked[0] = row.label in best.get(main, ())
        for number, name in enumerate(others, start=2 + len(targets)):
            marked[number] = row.label in best[name]
        rows.append(
            (
                Cell(row.label),
                Cell(_finished(row), link),
                *(Cell(text, link if text != _NONE else None, marked[k]) for k, text in enumerate(cells)),
            )
        )
    return Table(tuple(heads), tuple(rows), note(results))


def _in_order(results: Results) -> list[str]:
    """Names of scores; the one by which rows are ranked comes first."""
    return sorted(NAMES, key=lambda name: name != results.score)


def run_table(results: Results) -> Table:
    """Every run with its scores, which link to its folder; with several trials, also the drawn settings."""
    names = [n for n in NAMES if any(n in some for run in results.runs for some in run.scores.values())]
    tuned = ("chosen", "drawn") if results.trials > 1 else ()
    heads = ("run", "state", "validation", *(NAMES[name] for name in names), *tuned)
    rows = []
    for run in results.runs:
        link = f"{run.folder}/" if run.state != "open" else None
        scores = run.scores.get("all", {})
        numbers = [run.validation, *(scores.get(name) for name in names)]
        rows.append(
            (
                Cell(run.name, link),
                Cell(_state(run)),
                *(Cell(_NONE if n is None else percent(n), None if n is None else link) for n in numbers),
                *((Cell("yes" if run.chosen else ""), Cell(_drawn(run))) if tuned else ()),
            )
        )
    return Table(heads, tuple(rows))


def _drawn(run: RunEntry) -> str:
    return ", ".join(f"{key} {value}" for key, value in run.drawn.items())


def runs_of(results: Results, row: RowResult) -> Table:
    """The chosen runs of one row, with the scores of its choice of experts."""
    chosen = [run for run in results.runs if run.name in row.runs]
    names = [name for name in NAMES if any(name in run.scores.get(row.experts, {}) for run in chosen)]
    rows = []
    for run in chosen:
        link = f"{run.folder}/"
        scores = run.scores.get(row.experts, {})
        rows.append((Cell(run.name, link), *(Cell(percent(scores[name]), link) for name in names)))
    return Table((row.label, *(NAMES[name] for name in names)), tuple(rows), anchor=anchor(row.label))


def note(results: Results) -> str:
    """The note below a table: how its numbers were computed."""
    seeds = len(results.seeds)
    images = f", {results.images:,} images" if results.images else ""
    over = f"mean ± sample standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    text = (
        f"Percent, {over}. "
        f"{counted(results.steps, 'update')} of each run{images}; {counted(results.trials, 'trial')} each; "
        f"selected by {results.selection} on the source domains' validation."
    )
    if results.score != "accuracy":
        text += f" Ranks, differences and intervals: {NAMES[results.score]}."
    if results.resamples:
        resamples = counted(results.resamples, "resample")
        text += f" Intervals: {100 * results.confidence:.0f} % of {resamples} of whole blocks."
    if results.baseline is not None:
        name = {"t": "paired t-test", "wilcoxon": "Wilcoxon's signed-rank test"}[results.test]
        text += f" p: {name} over seeds against {results.baseline}"
        text += f"; Holm over {results.compared}." if seeds > 1 else ", which needs two seeds or more."
    for label, width in results.widths.items():
        text += f" {label}: mlp_ratio {width.mlp_ratio:g}, {100 * width.rest:+.2f} %."
    return text


def growth_table(results: Results) -> Table:
    """The main score by number of source domains, with peak and drop."""
    numbers = sorted({int(number) for row in results.growth for number in row.scores})
    heads = ("source domains", *map(str, numbers), "peak", "at", "last", "drop", "relative drop", "average")
    rows = []
    for row in results.growth:
        cells = [spread(row.scores.get(str(number))) for number in numbers]
        cells += [percent(row.peak), str(row.peak_domains), percent(row.last), percent(row.drop)]
        cells += [_NONE if row.relative_drop is None else percent(row.relative_drop), percent(row.average)]
        rows.append((Cell(row.label), *map(Cell, cells)))
    name = main_name(results)
    told = "percent. Peak: highest mean; last: with the most domains; drop: peak minus last."
    return Table(heads, tuple(rows), f"{name[0].upper()}{name[1:]}, {told}")


def markdown(table: Table) -> str:
    """A table in Markdown; the first column is aligned left, the others right."""
    lines = [list(table.heads), ["---", *["--:"] * (len(table.heads) - 1)]]
    lines += [[_markdown(cell) for cell in row] for row in table.rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{text}\n\n{table.note}\n" if table.note else f"{text}\n"


def csv_text(results: Results, *, safe_csv: bool = False) -> str:
    """One line for each row with plain numbers (shares, not percent), and the folders of its runs.

    ``safe_csv`` quotes labels and names of domains that a spreadsheet would run.
    """
    stream = io.StringIO()
    cell = safe_cell if safe_csv else lambda value: value
    lines = [{cell(name): cell(value) for name, value in _plain(results, row)} for row in results.rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _plain(results: Results, row: RowResult) -> Iterator[tuple[str, object]]:
    yield from {"method": row.label, "algorithm": row.algorithm, "experts": row.experts}.items()
    yield from {"twin": row.twin or "", "finished": row.finished, "planned": row.planned}.items()
    for name, number in {**row.scores, **row.targets}.items():
        yield name, number.mean
        yield f"{name}_sd", "" if number.sd is None else number.sd
    yield from zip((f"{results.score}_low", f"{results.score}_high"), row.interval or ("", ""), strict=True)
    if (found := row.difference) is not None:
        yield "difference", found.mean
        yield from zip(("difference_low", "difference_high"), found.interval or ("", ""), strict=True)
        yield from {"p": found.p, "p_holm": found.p_holm}.items()
    yield "rank", row.rank
    if row.cost is not None:
        yield from vars(row.cost).items()
    folders = {run.name: run.folder for run in results.runs}
    yield "runs", " ".join(folders[name] for name in row.runs)


def anchor(label: str) -> str:
    """The HTML id of the section with the runs of a row."""
    return f"runs-of-{label}"


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}"


def spread(number: Number | None) -> str:
    """Mean and deviation in percent."""
    if number is None:
        return _NONE
    return percent(number.mean) + ("" if number.sd is None else f" ± {percent(number.sd)}")


def interval(ends: Interval | None) -> str:
    """An interval in percent."""
    return _NONE if ends is None else f"{percent(ends[0])} to {percent(ends[1])}"


def main_name(results: Results) -> str:
    """Name of the main score."""
    targets = [target for target in results.held_out if target is not None]
    name = NAMES[results.score]
    if not targets:
        return name
    of = "" if results.score == "accuracy" else f", {name}"
    return f"{targets[0]} (held out{of})" if len(targets) == 1 else f"held-out {name}"


def _versus(found: Difference | None) -> list[str]:
    if found is None:
        return [_NONE] * 4
    return [f"{100 * found.mean:+.1f}", interval(found.interval), _p(found.p), _p(found.p_holm)]


def _p(value: float | None) -> str:
    return _NONE if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _cost(row: RowResult) -> list[str]:
    cost = row.cost
    if cost is None:
        return [_NONE] * 4
    return [
        _NONE if cost.step_seconds is None else f"{cost.step_seconds:.3g}",
        f"{cost.parameters:,.0f}",
        _NONE if cost.step_flops is None else f"{cost.step_flops / 1e9:.3g}",
        f"{cost.answer_flops / 1e6:.4g}",
    ]


def _finished(row: RowResult) -> str:
    text = str(row.planned) if row.finished == row.planned else f"{row.finished} of {row.planned}"
    return f"{text} ({row.failed} failed)" if row.failed else text


def _state(run: RunEntry) -> str:
    return run.state if run.error is None else f"failed, {run.attempts} x: {run.error}"


def _best(results: Results, name: str) -> set[str]:
    """The finished rows with the best mean; none if all rows are equal."""
    means = {
        row.label: row.scores[name].mean
        for row in results.rows
        if row.finished == row.planned and name in row.scores
    }
    if len(set(means.values())) < 2:
        return set()
    top = min(means.values()) if name in LESS_IS_BETTER else max(means.values())
    return {label for label, mean in means.items() if mean == top}


def _markdown(cell: Cell) -> str:
    text = cell.text.replace("|", "\\|").replace("\n", " ")
    text = f"**{text}**" if cell.best else text
    return f"[{text}]({cell.link.replace(' ', '%20')})" if cell.link is not None else text
