"""Find the list of a user's images: a table, or the names of folders."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from geomoe.errors import ConfigError, DatasetNotFoundError
from geomoe.reading.class_folders import class_folders
from geomoe.reading.image_table import read_table
from geomoe.support.columns import read_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geomoe.reading.image_table import Table


def find_source(folder: Path, given: str | None) -> Path:
    """Return the path of the table, as given or else below the folder; if none is given, the folder itself.

    Raises:
        DatasetNotFoundError: there is no such table, or the folder is the root of the file system.
    """
    if given is None:
        whole = folder.resolve()
        if not whole.name:
            msg = f"data.root: {folder} is the root of the file system; give the folder of your class folders"
            raise DatasetNotFoundError(msg)
        return whole
    path = Path(given).expanduser()
    for place in (path, folder / path, folder / path.name):
        if place.is_file():
            return place
    raise DatasetNotFoundError(f"data.metadata: no such table: {path} (nor in {folder})")


def read_source(
    where: Path, domain_by: str | None, columns: Sequence[str] = (), *, allow_vrt: bool = False
) -> Table:
    """Read what :func:`find_source` found.

    Raises:
        ConfigError: a key that needs a table is set, and there is no table.
        DataError: an error of :func:`read_table` or :func:`class_folders`.
    """
    if not where.is_dir():
        return read_table(where, domain_by=domain_by, columns=_part_names(columns))
    for key, given in (("domain_by", domain_by), ("columns", ", ".join(columns))):
        if given:
            msg = f"data.{key}: {given} is of a table, and there is none; give --metadata FILE"
            raise ConfigError(msg)
    return class_folders(where, allow_vrt=allow_vrt)


def _part_names(columns: Sequence[str]) -> dict[str, str]:
    try:
        return read_columns(columns)
    except ValueError as error:
        raise ConfigError(f"data.columns: {error}") from error
