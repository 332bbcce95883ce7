"""The files of a bench: ``results.json``, tables in Markdown, CSV and LaTeX, and one offline page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.bench.results.latex import latex
from geomoe.bench.results.tables import (
    NAMES,
    PAGE,
    csv_text,
    growth_table,
    main_table,
    markdown,
    run_table,
    runs_of,
)
from geomoe.bench.results.values import FILE
from geomoe.pages.document import Section, render_document
from geomoe.support.files import Workplace
from geomoe.support.text import counted

if TYPE_CHECKING:
    from geomoe.bench.results.values import Results


def write_results(results: Results, folder: Path, *, safe_csv: bool = False) -> tuple[Path, ...]:
    """Write all files, or none; ``safe_csv`` quotes text in table.csv that a spreadsheet would run.

    Raises:
        OutputError: the folder cannot be written.
    """
    table = main_table(results)
    texts = {
        FILE: results.text(),
        "table.md": markdown_page(results),
        "table.csv": csv_text(results, safe_csv=safe_csv),
        "table.tex": latex(table, results),
        PAGE: page(results),
    }
    with Workplace(folder, "the results") as place:
        for name, text in texts.items():
            place.write(name, partial(Path.write_text, data=text, encoding="utf-8"))
        return place.finish()


def markdown_page(results: Results) -> str:
    """The main table, and every run."""
    parts = [f"# {_title(results)}", markdown(main_table(results)).rstrip()]
    if results.growth:
        parts += ["## Growth", markdown(growth_table(results)).rstrip()]
    for row in results.rows:
        if row.runs:
            table = runs_of(results, row)
            parts += [f'<a id="{table.anchor}"></a>', markdown(table).rstrip()]
    parts += ["## Runs", markdown(run_table(results)).rstrip()]
    return "\n\n".join(parts) + "\n"


def page(results: Results) -> str:
    """The offline page: table, figure, chosen runs by row, all runs."""
    from geomoe.bench.results.figure import cost_drawing, cost_figure  # matplotlib takes a second

    figure = cost_figure(results)
    sections = [Section("Comparison", parts=(main_table(results),))]
    if results.growth:
        sections.append(Section("Growth of the number of source domains", parts=(growth_table(results),)))
    if figure is not None:
        sections.append(Section("Score against cost", (_MARKS,), (cost_drawing(figure),)))
    tables = tuple(runs_of(results, row) for row in results.rows if row.runs)
    if tables:
        sections.append(Section("The runs behind the numbers", parts=tables))
    sections.append(Section("All runs", parts=(run_table(results),)))
    return render_document(_title(results), _facts(results), sections)


_MARKS = (
    "Named: the rows that no other beats in both cost and score, and the best. Rest the pointer on a mark "
    "for its name and numbers. Bars: one deviation."
)


def _title(results: Results) -> str:
    targets = [target for target in results.held_out if target is not None]
    what = f", held out: {', '.join(targets)}" if targets else ""
    return f"Bench on {results.data}{what}"


def _facts(results: Results) -> list[tuple[str, str]]:
    return [
        ("data", results.data + ("" if results.data_hash is None else f", {results.data_hash[:12]}")),
        ("budget", f"{counted(results.steps, 'update')}, {counted(results.images, 'image')} a run"),
        ("seeds", ", ".join(map(str, results.seeds))),
        ("trials", f"{results.trials} ({results.sampler})" if results.trials > 1 else "1: as configured"),
        ("ranked by", NAMES[results.score]),
        ("selection", f"{results.selection} on the validation part of the source domains"),
        ("geomoe", results.geomoe),
    ]
