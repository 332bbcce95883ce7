"""Side files of an image table that are made once and reused: split, statistics, headers."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError, OutputError
from geomoe.support.bounded import read_json
from geomoe.support.cells import safe_cell
from geomoe.support.files import cache_folder, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomoe.reading.skips import Skip


class SideFiles:
    """The folder ``TABLE.geomoe`` next to a table, or in the cache folder if that cannot be written.

    Every file in it is written atomically. A file next to the table takes precedence.

    Args:
        table: the table of images.
        safe_csv: whether text that a spreadsheet would run is quoted.
    """

    def __init__(self, table: Path, *, safe_csv: bool = False) -> None:
        self.safe_csv = safe_csv
        table = table.absolute()
        key = hashlib.sha256(str(table).encode()).hexdigest()[:12]
        self.folders = (
            table.with_name(table.name + ".geomoe"),
            cache_folder() / "folder" / f"{table.stem}-{key}",
        )

    def find(self, name: str) -> Path | None:
        """Return the file if it exists, else None."""
        return next((folder / name for folder in self.folders if (folder / name).is_file()), None)

    def write(self, name: str, writer: Callable[[Path], object]) -> Path:
        """Let ``writer`` write the file, next to the table or else in the cache folder.

        Raises:
            OutputError: neither folder can be written.
        """
        try:
            return self._write(self.folders[0] / name, writer)
        except OutputError:
            return self._write(self.folders[1] / name, writer)

    @staticmethod
    def _write(path: Path, writer: Callable[[Path], object]) -> Path:
        with whole_file(path, "point GEOMOE_CACHE to a folder that can be written") as scratch:
            writer(scratch)
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the content of a JSON file; empty if the file does not exist.

        Raises:
            DataError: the file is damaged.
        """
        path = self.find(name)
        if path is None:
            return {}
        try:
            content = read_json(path)
        except DataError as error:
            raise DataError(f"{path}: damaged; delete it, and it is made again") from error
        if not isinstance(content, dict):
            raise DataError(f"{path}: damaged; delete it, and it is made again")
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> Path:
        """Write a JSON file."""
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_skipped(self, skipped: list[Skip]) -> Path | None:
        """List the skipped rows in ``skipped.csv``; no file is written if there are none.

        An existing list is emptied, so that it never lists rows that are used now.
        """
        if not skipped and self.find("skipped.csv") is None:
            return None

        def writer(path: Path) -> None:
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                rows.writerow(("row", "filename", "reason"))
                cell = safe_cell if self.safe_csv else lambda value: value
                rows.writerows((row, cell(name), cell(reason)) for row, name, reason in skipped)

        return self.write("skipped.csv", writer)
