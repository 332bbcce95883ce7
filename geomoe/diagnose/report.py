"""The report of a diagnosis: typed values, text and files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.diagnose.text import diagnosis_text
from geomoe.diagnose.values import Diagnosed
from geomoe.errors import DataError, InputError, one_line
from geomoe.support.bounded import read_json
from geomoe.support.files import Workplace
from geomoe.support.plain import from_plain, to_plain

if TYPE_CHECKING:
    import os

FORMAT = 1
FILE = "diagnosis.json"
PAGE = "diagnosis.html"


@dataclass(frozen=True, kw_only=True)
class Diagnosis(Diagnosed):
    """The results of :func:`geomoe.diagnose.diagnose`; its fields are the keys of ``diagnosis.json``."""

    def as_dict(self) -> dict[str, Any]:
        """Return a copy of all results as plain JSON values."""
        return {"format": FORMAT, **to_plain(self)}

    def table(self, width: int = 100) -> str:
        """Return the diagnosis as text, at most ``width`` columns wide."""
        return diagnosis_text(self, width)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``diagnosis.json`` and ``diagnosis.html``, one offline page, to a folder: both or neither.

        Raises:
            OutputError: the folder cannot be created or written.
        """
        from geomoe.diagnose.page import render_diagnosis  # matplotlib takes a second; only figures need it

        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        with Workplace(Path(folder), "the diagnosis") as place:
            page = render_diagnosis(self)
            place.write(FILE, lambda path: path.write_text(text, encoding="utf-8"))
            place.write(PAGE, lambda path: path.write_text(page, encoding="utf-8"))
            place.finish()
        return Path(folder)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Diagnosis:
        """Read a saved diagnosis: its folder, or the ``diagnosis.json`` in it.

        Raises:
            DataError: there is none, it has another format, or a field is missing or wrong.
        """
        file = Path(path)
        file = file / FILE if file.is_dir() else file
        data = read_json(file)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise DataError(
                f"{file}: not a diagnosis of format {FORMAT}; write it again with `geomoe diagnose`"
            )
        try:
            return from_plain(cls, data)
        except InputError as error:
            raise DataError(f"{file}: not a diagnosis of geomoe: {one_line(error, 300)}") from error
