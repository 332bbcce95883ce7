"""``geomoe summarize``: combine many reports in one."""

from __future__ import annotations

from argparse import Namespace

from geomoe.cli.console import Result, table_width
from geomoe.cli.parsing import Parser
from geomoe.support.files import check_folder

_DESCRIPTION = """\
Put reports of geomoe evaluate together: mean and deviation over seeds, a column for each held-out
domain and the mean over them, curves over the number of source domains with peak and drop."""

_EXAMPLE = "geomoe summarize runs/pacs --output summary"


def parser() -> Parser:
    """The parser of this verb."""
    made = Parser("summarize", _DESCRIPTION, _EXAMPLE)
    what = "report.json, its folder, or a folder that is searched with its subfolders"
    made.add_argument("reports", metavar="REPORT", nargs="+", help=what)
    made.add_argument("--output", metavar="DIR", help="also write summary.json and figures there")
    return made


def run(args: Namespace) -> Result:
    """Combine the reports."""
    if args.output:
        check_folder(args.output)
    from geomoe.evaluation import summarize

    found = summarize(args.reports)
    if args.output:
        found.save(args.output)
    return Result(found.as_dict(), found.table(table_width()))
