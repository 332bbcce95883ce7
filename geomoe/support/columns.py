"""Which column of a user's table has which part, written as ``filename=image``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Part of a table of images -> names that such a column often has; they are proposed, never taken.
PARTS: dict[str, tuple[str, ...]] = {
    "filename": ("image", "path", "file", "file_name", "filepath", "file_path", "image_path", "img", "fname"),
    "label": ("class", "category", "target", "class_name", "classname", "labels", "lc", "landcover"),
    "lon": ("x", "long", "lon_deg", "x_coord", "easting", "decimallongitude"),
    "lat": ("y", "lat_deg", "y_coord", "northing", "decimallatitude"),
    "domain": ("region", "continent", "site"),
    "split": ("subset", "fold", "partition"),
    "timestamp": ("date", "time", "datetime"),
    "country_code": (),
    "group": (),
    "scene": (),
}


def read_columns(given: Iterable[str]) -> dict[str, str]:
    """Return part -> column of texts such as ``filename=image``; a column may have ``=`` in its name.

    Raises:
        ValueError: a text without ``=``, an unknown part, or a part that is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        part, sign, column = (word.strip() for word in text.partition("="))
        if not (part and sign and column):
            raise ValueError(f"expected PART=COLUMN, such as filename=image; got {text!r}")
        if part not in PARTS:
            raise ValueError(f"expected one of {', '.join(PARTS)} before the =; got {part!r}")
        if part in found:
            raise ValueError(f"{part} is given twice: {found[part]} and {column}")
        found[part] = column
    if "lon" in found and found["lon"] == found.get("lat"):
        raise ValueError(f"lon and lat cannot both be {found['lon']}")
    return found


def proposed(missing: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return part -> column for the missing parts that a column seems to hold."""
    found: dict[str, str] = {}
    lower = {name.lower(): name for name in reversed(names) if name not in PARTS}
    for part in missing:
        known = [name for name in PARTS.get(part, ()) if name in lower]
        near = known or difflib.get_close_matches(part, lower, n=1, cutoff=0.6)
        if near:
            found[part] = lower.pop(near[0])
    return found


def written(columns: dict[str, str]) -> str:
    """Return ``filename=image,label=class``."""
    return ",".join(f"{part}={column}" for part, column in columns.items())
