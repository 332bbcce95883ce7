"""Detect the image format of a file from its first bytes, so that no other GDAL driver sees the file.

GDAL would try about two hundred drivers on any file, regardless of its name. For some of them a few lines of
text in the file are a command to fetch from a server, to send a local file to it, or to write into a folder.
"""

from __future__ import annotations

import errno
import functools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

import rasterio

from geomoe.errors import DataError
from geomoe.support.files import open_regular

if TYPE_CHECKING:
    from pathlib import Path

VRT = "VRT"
HFA = "HFA"
TAIL = 4096  # bytes read at the end of a file
_HEAD = 256
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
_JPEG2000 = ("JP2OpenJPEG", "JP2KAK", "JP2Lura", "JP2ECW", "JP2MrSID")  # GDAL is built with one of these
#: First bytes -> candidate drivers; the first available one opens the file.
_FIRST_BYTES: tuple[tuple[bytes, tuple[str, ...]], ...] = (
    (b"II*\0", ("GTiff",)),
    (b"MM\0*", ("GTiff",)),
    (b"II+\0", ("GTiff",)),
    (b"MM\0+", ("GTiff",)),
    (b"\x89PNG\r\n\x1a\n", ("PNG",)),
    (b"\xff\xd8\xff", ("JPEG",)),
    (b"\0\0\0\x0cjP  \r\n\x87\n", _JPEG2000),
    (b"\xff\x4f\xff\x51", _JPEG2000),
    (b"GIF87a", ("GIF",)),
    (b"GIF89a", ("GIF",)),
    (b"BM", ("BMP",)),
    (b"EHFA_HEADER_TAG\0", (HFA,)),
)
_XML = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<([A-Za-z_][\w:.-]*)", re.DOTALL)
_READ = "TIFF, PNG, JPEG, JPEG 2000, GIF, WebP, BMP, ERDAS .img"


class Kind(NamedTuple):
    """The detected format of a file.

    Attributes:
        driver: name of the only GDAL driver that may open the file.
        size: file size in bytes.
        tail: the last bytes of the file, at most :data:`TAIL`.
    """

    driver: str
    size: int
    tail: bytes


def look(path: Path) -> Kind:
    """Read the first and last bytes of one file; a pipe or a device is never opened.

    Raises:
        DataError: the file is missing, not regular, empty, or not an image of a supported format.
    """
    try:
        with open_regular(path, DataError) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(_HEAD)
            file.seek(-min(TAIL, size), os.SEEK_END)
            tail = file.read(TAIL)
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: an invalid file name
        if isinstance(error, OSError) and error.errno not in _ABSENT:
            raise DataError(f"{path}: unreadable image: {error.strerror or error}") from error
        raise DataError(f"{path}: no such image") from error
    if size == 0:
        raise DataError(f"{path}: the image is empty (0 bytes)")
    return Kind(_driver(head, path), size, tail)


def _driver(head: bytes, path: Path) -> str:
    for first, drivers in _FIRST_BYTES:
        if head.startswith(first):
            return drivers[0] if len(drivers) == 1 else _built_in(drivers)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    found = _XML.match(head.removeprefix(b"\xef\xbb\xbf"))
    root = found[1].decode() if found else ""
    if root == "VRTDataset":
        return VRT
    what = f"an XML file ({root}), which is no image" if root else f"its first bytes are those of no {_READ}"
    raise DataError(f"{path}: unreadable image: {what}; see docs/security.md")


@functools.cache
def _built_in(drivers: tuple[str, ...]) -> str:
    with rasterio.Env() as environment:
        there = environment.drivers()
    return next((name for name in drivers if name in there), drivers[0])
