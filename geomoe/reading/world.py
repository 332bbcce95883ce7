"""World files: files of six lines next to an image that define its place.

GDAL ignores a world file that it cannot read, and reads ``500,000.5`` as 500. Places would be unknown without
the true reason, or wrong.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Any

from geomoe.errors import DataError
from geomoe.reading.kinds import VRT
from geomoe.support.files import open_regular

_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eEdD][+-]?\d+)?")
_START = re.compile(r"[+-]?\d*(?:[.,]\d*)?(?:[eEdD][+-]?\d+)?")
_MOST = 10_000  # bytes
_SAME = 1e-9  # largest relative difference between GDAL's numbers and ours


def suffixes(suffix: str) -> list[str]:
    """Suffixes of the world files of an image, in the order in which GDAL looks for them.

    Args:
        suffix: suffix of the image, such as ``.tif``.
    """
    if len(suffix) <= 2:
        return []
    return [f".{suffix[1]}{suffix[-1]}w", f"{suffix}w", ".wld"]


def world_fault(source: Any) -> str:  # noqa: ANN401 - an open rasterio data set
    """Why the world file of an open raster gives no place or a wrong one; empty if it is valid or unused."""
    if source.driver == VRT:
        return ""
    stem, suffix = os.path.splitext(source.name)
    names = [stem + kind for end in suffixes(suffix) for kind in (end, end.upper())]
    found = next((name for name in names if os.path.isfile(name)), None)
    if found is None:
        return ""
    lines = _lines(found)
    sound = len(lines) == 6 and all(_NUMBER.fullmatch(line) for line in lines)
    if sound and any(_value(line) for line in lines[:4]):
        return ""
    transform = source.transform
    if not transform.is_identity and not _is_from(lines, transform):
        return ""  # the image has a georeference of its own
    return f"a world file ({Path(found).suffix}) that is not six lines with a number each"


def _lines(name: str) -> list[str]:
    try:
        with open_regular(name, DataError) as file:
            content = file.read(_MOST)
    except (DataError, OSError):
        return []
    return [line.strip() for line in content.decode("latin-1").splitlines()[:6]]


def _is_from(lines: list[str], transform: Any) -> bool:  # noqa: ANN401 - an affine transform
    """Whether GDAL read a transform from these lines, using the number at the beginning of each."""
    if len(lines) < 6:
        return False
    a, d, b, e, x, y = (_value(line) for line in lines)
    read = (a, b, x - (a + b) / 2, d, e, y - (d + e) / 2)  # they name the middle of the first pixel
    return all(
        abs(ours - theirs) <= _SAME * max(abs(ours), 1) or not math.isfinite(theirs)
        for ours, theirs in zip(read, transform[:6], strict=True)
    )


def _value(line: str) -> float:
    start = _START.match(line)
    text = start[0].replace(",", ".").lower().replace("d", "e") if start else ""
    try:
        return float(text)
    except ValueError:
        return 0.0
