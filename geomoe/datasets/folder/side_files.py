"""Side files of a table of images: what was made once and is read again (split, statistics, headers)."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geomoe.errors import DataError, OutputError
from geomoe.support.files import cache_folder, whole_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from geomoe.reading.image_table import Skip


class SideFiles:
    """The folder ``TABLE.geomoe`` beside a table; in the cache folder where that cannot be written.

    Every file in it appears whole, in one step. What lies beside the table is preferred.

    Args:
        table: the table of images.
    """

    def __init__(self, table: Path) -> None:
        table = table.absolute()
        key = hashlib.sha256(str(table).encode()).hexdigest()[:12]
        self.folders = (
            table.with_name(table.name + ".geomoe"),
            cache_folder() / "folder" / f"{table.stem}-{key}",
        )

    def find(self, name: str) -> Path | None:
        """The file, if it was made before."""
        return next((folder / name for folder in self.folders if (folder / name).is_file()), None)

    def write(self, name: str, writer: Callable[[Path], object]) -> Path:
        """Let ``writer`` make the file, beside the table or else in the cache folder.

        Raises:
            OutputError: neither can be written.
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
        """The content of a JSON file; empty if it was not made yet.

        Raises:
            DataError: the file is damaged.
        """
        path = self.find(name)
        if path is None:
            return {}
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: damaged; delete it, and it is made anew") from error
        if not isinstance(content, dict):
            raise DataError(f"{path}: damaged; delete it, and it is made anew")
        return content

    def write_json(self, name: str, content: dict[str, Any]) -> Path:
        """Write a JSON file."""
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_skipped(self, skipped: list[Skip]) -> Path | None:
        """List what was left out in ``skipped.csv``; none when nothing was.

        A list of an earlier time is emptied, so that it never tells of rows that are used now.
        """
        if not skipped and self.find("skipped.csv") is None:
            return None

        def writer(path: Path) -> None:
            with path.open("w", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                rows.writerow(("row", "filename", "reason"))
                rows.writerows(skipped)

        return self.write("skipped.csv", writer)
