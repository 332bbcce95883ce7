"""The results of a bench as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geomoe.bench.results.tables import main_name, main_table, note, percent, spread
from geomoe.support.tables import new_table, render

if TYPE_CHECKING:
    from geomoe.bench.results.values import Results


def results_text(results: Results, width: int = 100) -> str:
    """The main columns, the failed runs, and how the numbers were computed."""
    worst = "source_worst" if results.held_out != (None,) else "worst"
    other = "accuracy" if worst == results.score else worst
    heads = ["method", "runs", main_name(results), "accuracy" if other == "accuracy" else "worst"]
    table = new_table(f"bench on {results.data} (percent)", *heads, f"vs {results.baseline}", "p", "rank")
    made = main_table(results)
    for row, cells in zip(results.rows, made.rows, strict=True):
        found = row.difference
        p = None if found is None else found.p_holm
        table.add_row(
            row.label,
            cells[1].text,
            spread(row.scores.get(results.score)),
            spread(row.scores.get(other)),
            "-" if found is None else f"{'+' if found.mean >= 0 else ''}{percent(found.mean)}",
            "-" if p is None else f"{p:.3f}",
            "-" if row.rank is None else f"{row.rank:.2f}",
        )
    failed = [
        f"failed {run.attempts} x: {run.folder}: {run.error}" for run in results.runs if run.error is not None
    ]
    hint = ["try failed runs again with --retry-failed"] if failed else []
    width = max(width, 75 + max(len(row.label) for row in results.rows))  # a label is not cut
    return "\n".join([render([table], width), note(results), *failed, *hint])
