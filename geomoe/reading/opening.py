"""Open image files, always here: the first bytes decide the driver, and each fault is one clear error."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from geomoe.errors import DataError, one_line
from geomoe.reading.beside import look_beside, options, refuse_grids, refuse_overviews
from geomoe.reading.gdal import GDAL_ERRORS
from geomoe.reading.kinds import VRT, Kind, look
from geomoe.reading.vrt import rebuild

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS = {"PNG": b"IEND", "JPEG": b"\xff\xd9"}  # end marker of a complete file; a trailer may follow


class _Checked(NamedTuple):
    """A checked file: the name passed to GDAL, its driver, and whether sidecar files are used."""

    target: Path | str
    kind: Kind
    beside: bool


@contextlib.contextmanager
def open_raster(path: str | os.PathLike[str], vrt_root: Path | None = None) -> Iterator[Any]:
    """Open one file for reading; errors raised while it is open also become one clear error.

    Only checked sidecar files are opened in addition to it, and no server is contacted.

    Args:
        path: a file.
        vrt_root: folder that must contain all sources of a VRT; None: VRTs are refused.

    Raises:
        DataError: the file is missing, not regular, empty, truncated, not an image of a supported format, or
            refers to other files; the message names the file.
    """
    path = Path(path)
    checked = _check(path, vrt_root)
    with _reading(path, checked.beside), _open(path, checked) as source:
        yield source


GIVE_UP = 16  # consecutive unreadable tiles after which a file is given up


class KeptOpen:
    """Keeps the last file open, so that blocks shared by consecutive tiles are decoded only once.

    A copy of this object in another process reopens the file.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._source: Any = None
        self._beside = False
        self._broken: Path | None = None
        self._failures, self._why = 0, ""

    @contextlib.contextmanager
    def open(self, path: Path, vrt_root: Path | None = None) -> Iterator[Any]:
        """Yield the open file, as :func:`open_raster` does, and keep it open afterwards.

        A file that cannot be opened, or in which :data:`GIVE_UP` consecutive tiles fail, is not tried again,
        because a scene may have a million tiles.

        Raises:
            DataError: an error of :func:`open_raster`.
        """
        if path == self._broken and self._failures >= GIVE_UP:
            raise DataError(self._why)
        opened = self._path == path
        try:
            with self._kept(path, vrt_root) as source:
                opened = True
                yield source
        except DataError as error:
            before = self._failures if path == self._broken else 0
            self._broken, self._why = path, str(error)
            self._failures = before + 1 if opened else GIVE_UP
            raise
        if path == self._broken:
            self._broken = None

    @contextlib.contextmanager
    def _kept(self, path: Path, vrt_root: Path | None) -> Iterator[Any]:
        checked = None
        if path != self._path:
            self.close()
            checked = _check(path, vrt_root)
            self._beside = checked.beside
        with _reading(path, self._beside):
            if checked is not None:
                self._source, self._path = _open(path, checked), path
            try:
                yield self._source
            except BaseException:
                self.close()  # otherwise GDAL would report this error again at the next call
                raise

    def close(self) -> None:
        """Close the open file, if any."""
        if self._source is not None:
            self._source.close()
        self._path = self._source = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_path": None, "_source": None, "_beside": False}


def name_of(source: Any) -> str:  # noqa: ANN401 - an open rasterio data set
    """Return the name of an open image for errors; for a VRT a generic name, as GDAL uses its XML as name."""
    return "VRT" if source.driver == VRT else str(source.name)


def _check(path: Path, vrt_root: Path | None) -> _Checked:
    """Check a file, its sidecar files and the files it refers to before GDAL opens them."""
    kind = look(path)
    if kind.driver == VRT:
        if vrt_root is None:
            text = "unreadable image: a VRT, which names other files; --allow-vrt (data.allow_vrt) allows it"
            raise DataError(f"{path}: {text}")
        made = rebuild(path, vrt_root)
        return _Checked(made.xml, kind, made.beside)
    name = os.fspath(path)
    if name.startswith("/vsi"):  # GDAL would treat it as a virtual path, even if such a file exists
        raise DataError(f"{path}: unreadable image: names that begin with /vsi are not read")
    if ":" in name:  # so that it cannot start with the prefix of a driver or protocol
        name = os.path.abspath(name)
    return _Checked(Path(name), kind, look_beside(name, kind.driver))


@contextlib.contextmanager
def _reading(path: Path, beside: bool) -> Iterator[None]:
    try:
        with rasterio.Env(**options(beside)), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            yield
    except MemoryError as error:
        raise DataError(f"{path}: needs more memory than there is; cut it into tiles") from error
    except (*GDAL_ERRORS, OSError) as error:
        text = str(error.__cause__ or error).replace(f"'{path}' ", "")
        text = re.sub(r"'?<VRTDataset.*(</VRTDataset>)?'?", "the VRT", text, flags=re.DOTALL)
        raise DataError(f"{path}: unreadable image: {one_line(DataError(text))}") from error


def _open(path: Path, checked: _Checked) -> Any:  # noqa: ANN401 - an open rasterio data set
    source = rasterio.open(checked.target, driver=checked.kind.driver)
    try:
        refuse_overviews(source, path)
        refuse_grids(source.crs.wkt if source.crs else "", path)
        _refuse_half(source, path, checked.kind)
    except BaseException:
        source.close()
        raise
    return source


def _refuse_half(source: Any, path: Path, kind: Kind) -> None:  # noqa: ANN401 - an open rasterio data set
    """Refuse a truncated picture: GDAL silently reads the missing part of a PNG as zeros."""
    end = _ENDS.get(kind.driver)
    if end is None or end in kind.tail:
        return
    # Phones append videos to their pictures, so check whether the picture before the trailer is complete.
    if source.driver == "PNG":
        whole = end in path.read_bytes()
    else:
        try:
            source.read(1)
            whole = True
        except (*GDAL_ERRORS, OSError):
            whole = False
    if not whole:
        raise DataError(f"{path}: the image is truncated; copy it again")
