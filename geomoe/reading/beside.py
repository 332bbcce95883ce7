"""Check the sidecar files that GDAL opens next to an image: masks, overviews, statistics, world files.

GDAL tries all its drivers on a mask or an overview, so a disguised VRT could reach the network.
If an image has no sidecar files, GDAL is told not to look for any. Otherwise they are checked here first.
"""

from __future__ import annotations

import html
import os
import re
import struct
from pathlib import Path

import rasterio

from geomoe.errors import DataError, one_line
from geomoe.reading.gdal import GDAL_ERRORS
from geomoe.reading.kinds import HFA, look
from geomoe.reading.world import suffixes
from geomoe.support.files import open_regular, refuse_special

#: GDAL configuration while an image is open: no driver reaches a server, no VRT runs code. libcurl does not
#: know the scheme of the proxy, so it fails before it opens a socket.
CLOSED = {
    "GDAL_HTTP_PROXY": "off://",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,  # otherwise libjpeg fills the missing part of a file with grey
}
#: Bytes of decoded blocks that GDAL keeps. Its own bound is 5 % of the memory, and a scene fills it.
CACHE = 256_000_000
_MASKS = (".msk", ".MSK", ".ovr", ".OVR")
_AUX = (".aux", ".AUX")
_ENTRY = struct.Struct("<6i64s32s")  # next, previous, parent, child, data, size, name, type
_ELSEWHERE = frozenset((b"externalrasterdms", b"rrdnameslist", b"dependentfile"))
_NODES = 100_000
_MOST_XML = 16 << 20  # bytes


def options(beside: bool) -> dict[str, object]:
    """Return GDAL's configuration for an image, given the result of :func:`look_beside`.

    The user's own ``GDAL_CACHEMAX`` stays. GDAL reads it once in a process, at the first block.
    """
    cache = {} if "GDAL_CACHEMAX" in os.environ else {"GDAL_CACHEMAX": CACHE}
    return {**CLOSED, **cache, "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE" if beside else "EMPTY_DIR"}


def look_beside(path: str, driver: str) -> bool:
    """Return whether an image has sidecar files; check them, and the files that an .img refers to.

    Args:
        path: the image.
        driver: GDAL driver that opens the image.

    Raises:
        DataError: a sidecar is not a regular file, or is of a format that may refer to other files.
    """
    if driver == HFA:
        _refuse_elsewhere(path)
    found = [name for name in _names(path) if os.access(name, os.F_OK)]
    for name in found:
        try:
            _look_at(name)
        except DataError as error:
            raise DataError(f"{path}: unreadable image: beside it lies {error}") from error
    return bool(found)


def _look_at(name: str) -> None:
    refuse_special(name, DataError)
    if name.endswith(_MASKS):
        _refuse_other_than_tiff(Path(name))
    elif name.endswith(_AUX) and _is_hfa(name):  # GDAL ignores other .aux files
        look_beside(name, HFA)
    elif name.endswith(".aux.xml"):
        with open_regular(name, DataError) as file:
            content = file.read(_MOST_XML + 1)
        if len(content) > _MOST_XML:
            raise DataError(f"{name}: has more than {_MOST_XML >> 20} MB")
        refuse_grids(html.unescape(content.decode("utf-8", errors="replace")), name)


def _names(path: str) -> list[str]:
    stem, suffix = os.path.splitext(path)
    names = [f"{path}.aux.xml", *(path + end for end in (*_MASKS, *_AUX)), *(stem + end for end in _AUX)]
    if len(suffix) > 2:
        world = (*suffixes(suffix), ".tab")
        names += [stem + end for end in world] + [stem + end.upper() for end in world]
    return [name for name in names if name != path]


def _refuse_other_than_tiff(path: Path) -> None:
    kind = look(path)
    if kind.driver != "GTiff":
        raise DataError(f"{path}: lies beside an image and is no TIFF but {kind.driver}; remove it")
    beside = look_beside(os.fspath(path), kind.driver)  # a mask may have overviews too
    try:
        with rasterio.Env(**options(beside)), rasterio.open(path, driver=kind.driver) as source:
            refuse_overviews(source, path)
    except GDAL_ERRORS as error:
        raise DataError(f"{path}: unreadable, beside an image: {one_line(error)}; remove it") from error


def refuse_overviews(source: object, path: str | os.PathLike[str]) -> None:
    """Refuse an image that names an external file for its overviews: it could be any file.

    Args:
        source: an open rasterio data set.
        path: its file name, for the error.

    Raises:
        DataError: the image has an OVERVIEWS tag.
    """
    if source.tags(ns="OVERVIEWS"):  # type: ignore[attr-defined]
        raise DataError(f"{path}: unreadable image: it names another file for its overviews; remove that tag")


_GRIDS = re.compile(r"grids|PARAMETERFILE|pipeline", re.IGNORECASE)
_PATHS = re.compile(r'(?:EXTENSION\["PROJ4(?:_GRIDS)?",|PARAMETERFILE\[[^,\]]*,)\s*"([^"]*)"', re.IGNORECASE)
_STRINGS = re.compile(r"grids=[^\s\"\]]+", re.IGNORECASE)  # of PROJ, in a remark


def refuse_grids(text: str, path: str | os.PathLike[str]) -> None:
    """Refuse a CRS that names a file by its path: PROJ would open any file named there.

    Args:
        text: the CRS in WKT, or text that contains it.
        path: file name of the image, for the error.

    Raises:
        DataError: the CRS names a file by its path.
    """
    grid = grid_of(text)
    if grid is not None:
        raise DataError(f"{path}: unreadable image: its CRS names a file ({grid[:80]})")


def grid_of(text: str) -> str | None:
    """Return the path of a file that a CRS in WKT names, or None."""
    if not _GRIDS.search(text):
        return None
    for value in [*_PATHS.findall(text), *_STRINGS.findall(text)]:
        named = value if "=" not in value else " ".join(re.findall(r"grids=(\S+)", value))
        if re.search(r"[/\\:]", named):
            return str(named)
    return None


def _is_hfa(path: str) -> bool:
    with open_regular(path, DataError) as file:
        return file.read(15) == b"EHFA_HEADER_TAG"


def _refuse_elsewhere(path: str) -> None:
    """Refuse an ERDAS file whose pixels or overviews are in a file outside its own folder.

    Walks the tree of the file, whose entries of 128 bytes point to one another.

    Raises:
        DataError: the file refers to such a file, or its tree is damaged.
    """
    try:
        with open_regular(path, DataError) as file:
            file.seek(16)
            (header,) = struct.unpack("<i", file.read(4))
            file.seek(header + 8)
            (root,) = struct.unpack("<i", file.read(4))
            todo, seen = [root], set[int]()
            while todo:
                at = todo.pop()
                if at <= 0 or at in seen:
                    continue
                seen.add(at)
                file.seek(at)
                entry = _ENTRY.unpack(file.read(_ENTRY.size))
                todo += [entry[0], entry[3]]
                if len(seen) > _NODES:
                    raise DataError(f"{path}: unreadable image: more than {_NODES:,} entries")
                if entry[6].partition(b"\0")[0].lower() in _ELSEWHERE:
                    file.seek(entry[4])
                    _refuse_names(path, file.read(min(max(entry[5], 0), 1 << 16)))
    except (struct.error, OverflowError, OSError) as error:
        raise DataError(f"{path}: unreadable image: damaged ERDAS file ({one_line(error)})") from error


def _refuse_names(path: str, data: bytes) -> None:
    for run in re.findall(rb"[\x20-\x7e]{3,}", data):
        name = run.decode()
        if "/" in name or "\\" in name or ".." in name:
            what = "its pixels or overviews are in a file outside its folder"
            raise DataError(f"{path}: unreadable image: {what} ({name[:80]})")
        refuse_special(os.path.join(os.path.dirname(path), name.partition("(")[0]), DataError)
