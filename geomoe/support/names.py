"""Names of files and folders that are made of other names: of regions, data sets, networks."""

from __future__ import annotations

import hashlib
import re

from geomoe.support.text import visible

MOST = 120  # bytes; file systems take 255, and suffixes come on top
_SEPARATORS = re.compile(r"[/\\]+")
# Names of devices on Windows.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def file_name(text: str) -> str:
    """One name of a file or folder for any text: never a path, hidden, reserved, too long or unprintable.

    A good name stays as it is. Another one gets a few digits of its hash: two texts never get one name.

    Args:
        text: such as the name of a region, from a table.
    """
    name = _SEPARATORS.sub("-", visible(text)).strip(" .")
    if _RESERVED.fullmatch(name):
        name = f"_{name}"
    if name and name == text and len(name.encode()) <= MOST:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = name.encode()[: MOST - 9].decode("utf-8", "ignore")
    return f"{short or 'name'}-{digest}"
