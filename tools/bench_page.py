"""Put the table of a finished bench of a shipped spec into docs/bench.md, with the command that made it.

geomoe bench bluemarble-methods --output DIR --workers 2
python -m tools.bench_page DIR [--spec bluemarble-methods] [--page docs/bench.md]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.bench.planning.plan import make_plan
from geomoe.bench.planning.shipped import shipped_specs
from geomoe.bench.planning.spec import read_spec
from geomoe.bench.results.tables import main_table, markdown
from geomoe.bench.results.values import Results
from geomoe.pages.document import Table

if TYPE_CHECKING:
    from geomoe.pages.document import Cell

PAGE = Path(__file__).parents[1] / "docs" / "bench.md"
SPEC = "bluemarble-methods"
HEADING = "## Every method, recorded"
#: Columns of the main table that the page leaves out: they mean nothing for one seed, or depend on the
#: machine.
LEFT_OUT = {"runs", "p", "p (Holm)", "rank", "s / update", "ECE", "source ECE", "macro F1", "source macro F1"}
LEFT_OUT |= {"worst class", "worst source class"}


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the bench")
    parser.add_argument("--spec", default=SPEC, choices=list(shipped_specs()), help="default: %(default)s")
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write (default: %(default)s)")
    args = parser.parse_args()
    results = Results.load(args.folder)
    try:
        check(results, args.spec)
        text = filled(args.page.read_text(encoding="utf-8"), results, args.spec)
    except ValueError as error:
        parser.error(str(error))
    args.page.write_text(text, encoding="utf-8")
    print(args.page)


def check(results: Results, spec: str) -> None:
    """Refuse results that the command on the page would not give.

    Raises:
        ValueError: the results are of another spec or budget, or a run is missing.
    """
    plan = make_plan(read_spec(shipped_specs()[spec]), Path("bench"))
    told = plan.spec
    wanted = {"budget": told.budget, "seeds": told.seeds, "held_out": told.held_out, "trials": told.trials}
    found = {"budget": results.steps, "seeds": results.seeds, "held_out": results.held_out}
    found["trials"] = results.trials
    for key, value in wanted.items():
        if found[key] != value:
            raise ValueError(f"{spec} has {key} {value}; these results have {found[key]}")
    labels = {row.label for row in results.rows if row.experts == "all"}
    if labels != set(plan.rows):
        odd = sorted(labels ^ set(plan.rows))
        raise ValueError(f"{spec}: these results have other rows: {', '.join(odd)}")
    left = [row.label for row in results.rows if row.finished < row.planned]
    if left:
        raise ValueError(f"not finished: {', '.join(left)}; give the command of the bench again")


def filled(text: str, results: Results, spec: str) -> str:
    """The page with the table between its marks; without marks the section is added at the end.

    Raises:
        ValueError: the page has one mark without the other, or several of one.
    """
    first, last = marks()
    block = f"{first}\n\n{section(results, spec)}\n{last}"
    if first not in text and last not in text:
        return f"{text.rstrip()}\n\n{HEADING}\n\n{block}\n"
    found = re.compile(f"{re.escape(first)}.*?{re.escape(last)}", flags=re.DOTALL)
    replaced, count = found.subn(lambda _: block, text)
    if count != 1 or text.count(first) != 1 or text.count(last) != 1:
        raise ValueError(f"expected the marks {first} and {last} once each")
    return replaced


def marks() -> tuple[str, str]:
    """The lines before and after the section."""
    return "<!-- bench: begin (written by tools.bench_page) -->", "<!-- bench: end -->"


def section(results: Results, spec: str) -> str:
    """The command and its table, as Markdown."""
    command = f"geomoe bench {spec} --output DIR\npython -m tools.bench_page DIR"
    whole = main_table(results)
    kept = [number for number, head in enumerate(whole.heads) if head not in LEFT_OUT]
    rows = tuple(tuple(_plain(row[number]) for number in kept) for row in whole.rows)
    table = Table(tuple(whole.heads[number] for number in kept), rows, _note(results))
    return f"```\n{command}\n```\n\n{markdown(table)}"


def _plain(cell: Cell) -> Cell:
    """A cell without its link, which leads into the folder of the bench."""
    return cell._replace(link=None)


def _note(results: Results) -> str:
    seeds = len(results.seeds)
    over = f"{seeds} seeds" if seeds > 1 else "one seed, so that differences of a few points mean nothing"
    digest = "" if results.data_hash is None else f", data {results.data_hash[:12]}"
    return (
        f"Percent; {over}. {results.steps:,} updates, {results.images:,} images of each run{digest}, geomoe "
        f"{results.geomoe}. Intervals: {100 * results.confidence:.0f} % of {results.resamples:,} resamples "
        "of whole blocks. NAME-SE: the shared expert alone."
    )


if __name__ == "__main__":
    main()
