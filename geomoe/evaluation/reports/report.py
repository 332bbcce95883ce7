"""A finished evaluation: plain data, its text, its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError
from geomoe.evaluation.reports.text import report_text
from geomoe.support.files import Workplace, read_text

if TYPE_CHECKING:
    import os

FORMAT = 1


@dataclass(frozen=True)
class Report:
    """What was measured for one checkpoint on one split. See :func:`geomoe.evaluation.evaluate`.

    Attributes:
        data: plain JSON values only (keys: docs/formats.md), so that a saved report is the report.
    """

    data: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Everything measured, as plain JSON values; a copy."""
        return json.loads(json.dumps(self.data))

    def scores(self, experts: str | int | None = None) -> dict[str, Any]:
        """Scores for one choice of experts; default: the choice that was evaluated."""
        return self.data["scores"][str(self.data["experts"] if experts is None else experts)]

    def table(self, width: int = 100) -> str:
        """The report as text, at most ``width`` columns wide."""
        return report_text(self.data, width)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``report.json``, the figures and, where places are known, the map into a folder.

        Together or not at all.

        Raises:
            OutputError: the folder cannot be made or written.
        """
        from geomoe.evaluation.reports.figures import draw  # matplotlib takes a second; only figures need it
        from geomoe.evaluation.reports.score_map import score_figure, score_layers, score_page

        text = json.dumps(self.data, indent=1, allow_nan=False) + "\n"
        with Workplace(Path(folder), "the report") as place:
            place.write("report.json", lambda path: path.write_text(text, encoding="utf-8"))
            figures, layers = draw(self.data), score_layers(self.data)
            if layers:
                figures["map"] = score_figure(self.data, layers)
                page = score_page(self.data, layers)
                place.write("map.html", lambda path: path.write_text(page, encoding="utf-8"))
            for name, figure in figures.items():
                place.write(f"{name}.png", partial(figure.savefig, dpi=120))
            place.finish()
        return Path(folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """Read a saved report: its folder, or the ``report.json`` in it.

        Raises:
            DataError: no report there, or one of another format.
        """
        file = Path(path)
        file = file / "report.json" if file.is_dir() else file
        try:
            data = json.loads(read_text(file, DataError))
        except DataError:
            raise
        except (OSError, ValueError, RecursionError) as error:
            msg = f"{file}: cannot read a report ({error}); write one with `geomoe evaluate`"
            raise DataError(msg) from error
        if not isinstance(data, dict) or data.get("format") != FORMAT or "scores" not in data:
            msg = f"{file}: not a report of format {FORMAT}; write it again with `geomoe evaluate`"
            raise DataError(msg)
        return cls(data)
