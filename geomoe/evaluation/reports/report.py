"""The report of an evaluation: typed values, text and files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError, InputError, one_line
from geomoe.evaluation.reports.consistent import check_consistent
from geomoe.evaluation.reports.text import report_text
from geomoe.evaluation.reports.values import Judged
from geomoe.support.bounded import read_json
from geomoe.support.figures import FORMATS, check_format, save_figure
from geomoe.support.files import Workplace
from geomoe.support.plain import from_plain, to_plain

if TYPE_CHECKING:
    import os

FORMAT = 1
FILE = "report.json"


@dataclass(frozen=True, kw_only=True)
class Report(Judged):
    """The results of one checkpoint on one split. See :func:`geomoe.evaluation.evaluate`.

    Its fields are the keys of ``report.json``; loading a saved report gives an equal report.
    """

    def as_dict(self) -> dict[str, Any]:
        """Return a copy of all results as plain JSON values."""
        return {"format": FORMAT, **to_plain(self)}

    def table(self, width: int = 100) -> str:
        """Return the report as text, at most ``width`` columns wide."""
        return report_text(self, width)

    def save(
        self, folder: str | os.PathLike[str], figure_format: str = "png", cell: float | None = None
    ) -> Path:
        """Write ``report.json``, the figures and, if places are known, the map to a folder.

        Either all files are written or none.

        Args:
            folder: made if it is not there.
            figure_format: png, pdf or svg.
            cell: degrees on a side of the map's cells; None: fitted to the samples.

        Raises:
            InputError: an unknown format of figures, or a side of cells that does not divide 180 degrees.
            OutputError: the folder cannot be created or written.
        """
        from geomoe.evaluation.reports.figures import draw  # matplotlib takes a second; only figures need it
        from geomoe.evaluation.reports.score_map import score_figure, score_layers, score_page

        check_format(figure_format)
        text = json.dumps(self.as_dict(), indent=1, allow_nan=False) + "\n"
        with Workplace(Path(folder), "the report") as place:
            place.write(FILE, lambda path: path.write_text(text, encoding="utf-8"))
            figures, layers = draw(self), score_layers(self, cell)
            if layers:
                figures["map"] = score_figure(self, layers)
                page = score_page(self, layers)
                place.write("map.html", lambda path: path.write_text(page, encoding="utf-8"))
            for name, figure in figures.items():
                writer = partial(save_figure, figure, name=figure_format, dpi=120)
                place.write(f"{name}.{figure_format}", writer)
                for other in FORMATS:
                    place.outdates(f"{name}.{other}")
            place.finish()
        return Path(folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Read a saved report: its folder, or the ``report.json`` in it.

        Raises:
            DataError: there is no report, it has another format, or a field is missing or wrong.
        """
        file = Path(path)
        file = file / FILE if file.is_dir() else file
        try:
            data = read_json(file)
        except DataError as error:
            raise DataError(f"cannot read a report: {error}; write one with `geomoe evaluate`") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            msg = f"{file}: not a report of format {FORMAT}; write it again with `geomoe evaluate`"
            raise DataError(msg)
        try:
            report = from_plain(cls, data)
            check_consistent(report)
        except InputError as error:
            raise DataError(f"{file}: not a report of geomoe: {one_line(error, 300)}") from error
        return report
