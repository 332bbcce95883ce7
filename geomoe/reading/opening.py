"""Opening image files through GDAL: every fault is one clear error that names the file."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from geomoe.errors import DataError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}  # what a whole file ends with, give or take a trailer


@contextlib.contextmanager
def open_raster(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Open one file for reading; also what happens while it is open is told as one clear error.

    Raises:
        DataError: missing, empty, truncated or no image; the message names the file.
    """
    with _reading(Path(path)), _open(Path(path)) as source:
        yield source


class KeptOpen:
    """Keeps the last file open, so that the next tile finds the blocks decoded that it shares with this one.

    A copy in another process opens the file anew.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._source: Any = None

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[Any]:
        """The file, open; as :func:`open_raster`, but it stays so.

        Raises:
            DataError: as there.
        """
        with _reading(path):
            if path != self._path:
                self.close()
                self._source, self._path = _open(path), path
            try:
                yield self._source
            except BaseException:
                self.close()  # GDAL would tell of this error again, at whatever is asked next
                raise

    def close(self) -> None:
        """Close what is open."""
        if self._source is not None:
            self._source.close()
        self._path = self._source = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": None, "_source": None}


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        # libjpeg fills the missing part of a truncated file with grey unless told to fail
        with rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING=True), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    except (RasterioError, OSError) as error:
        text = one_line(error.__cause__ or error).replace(f"'{path}' ", "")
        raise DataError(f"{path}: unreadable image: {text}") from error


def _open(path: Path) -> Any:  # noqa: ANN401 - an open rasterio data set
    if not os.path.isfile(path):  # unlike Path's, it takes names that no system would
        raise DataError(f"{path}: no such image")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the image is empty (0 bytes)")
    source = rasterio.open(path)
    try:
        _refuse_half(source, path)
    except BaseException:
        source.close()
        raise
    return source


def _refuse_half(source: Any, path: Path) -> None:  # noqa: ANN401 - an open rasterio data set
    """Refuse a half-copied picture: GDAL reads the missing part of a PNG as zeros, without a word."""
    end = _ENDS.get(source.driver)
    if end is None:
        return
    with path.open("rb") as file:
        file.seek(-min(4096, path.stat().st_size), 2)
        if end in file.read():
            return
    # phones hang films behind their pictures: is the picture whole that comes before something else?
    if source.driver == "PNG":
        whole = end in path.read_bytes()
    else:
        try:
            source.read(1)
            whole = True
        except (RasterioError, OSError):
            whole = False
    if not whole:
        raise DataError(f"{path}: the image is truncated; copy it again")
