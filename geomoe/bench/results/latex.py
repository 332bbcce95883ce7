"""A table of a bench in LaTeX, whose numbers link to their runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from geomoe.bench.results.tables import PAGE, anchor
from geomoe.bench.running.run_values import REPORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geomoe.bench.results.values import Results
    from geomoe.pages.document import Cell, Table

_SIGNS = {"\\": r"\textbackslash{}", "%": r"\%", "_": r"\_", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{"}
_SIGNS |= {"}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
_SIGNS |= {"<": "$<$", ">": "$>$", "|": r"\textbar{}"}
_MINUS = re.compile(r"(?<!\S)-(?=\d)")
_HEAD = r"""% \usepackage{booktabs}. With \usepackage{hyperref} the numbers link to their runs.
% Elsewhere than in the folder of the bench: \newcommand{\benchfolder}{path/to/it} before this file.
% Too wide: \resizebox{\textwidth}{!}{\input{table.tex}} with \usepackage{graphicx}.
\providecommand{\href}[2]{#2}%
\providecommand{\benchfolder}{.}%"""


def latex(table: Table, results: Results) -> str:
    """A table in LaTeX, to be included by a document (packages booktabs and hyperref).

    A number of one run links to its report; one of several links to the place of the page that lists them.
    Comments name the folder of each run.
    """
    lines = [_HEAD, f"\\begin{{tabular}}{{l{'r' * (len(table.heads) - 1)}}}", "\\toprule"]
    lines += [" & ".join(map(_text, table.heads)) + r" \\", r"\midrule"]
    targets = dict(_targets(results))
    lines += [" & ".join(_cell(cell, targets) for cell in row) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}%"]
    lines += [f"% {line}" for line in table.note.splitlines()]
    lines += [f"% {run.name}: {run.folder}" for run in results.runs if run.chosen]
    return "\n".join(lines) + "\n"


def _targets(results: Results) -> Iterator[tuple[str, str]]:
    """Link of the table -> URL relative to the folder of the bench.

    Not to a folder: hyperref takes a path without an ending for a PDF.
    """
    folders = {run.name: run.folder for run in results.runs}
    for row in results.rows:
        link = f"#{anchor(row.label)}"
        if len(row.runs) == 1:
            yield link, quote(f"{folders[row.runs[0]]}/{REPORT}")
        else:
            yield link, f"{PAGE}#{quote(link[1:], safe='')}"


def _cell(cell: Cell, targets: dict[str, str]) -> str:
    text = _text(cell.text)
    text = f"\\textbf{{{text}}}" if cell.best else text
    return text if cell.link is None else f"\\href{{\\benchfolder/{_url(targets[cell.link])}}}{{{text}}}"


def _url(quoted: str) -> str:
    r"""A quoted URL for \href, with the characters escaped that are special in TeX."""
    return re.sub(r"[%#_]", r"\\\g<0>", quoted.replace("~", "%7E"))


def _text(text: str) -> str:
    """Plain text in TeX, with a proper minus sign, and a dash for a missing number."""
    if text == "-":
        return "--"
    return "$-$".join("".join(_SIGNS.get(letter, letter) for letter in part) for part in _MINUS.split(text))
