"""Names and colours of a raster's values, for GIS programs: read from a user's file, written beside rasters.

Names come from people's data, so they may hold any character: what XML cannot hold becomes U+FFFD, the rest
is escaped by the standard library.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from geomoe.errors import InputError, OutputError
from geomoe.support.files import read_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2
_MOST = 2**22  # bytes of a file of colours
#: Names of the columns of an attribute table, with GDAL's numbers of their type and usage (gdal.h).
MARK = b"<!-- written by geomoe -->"  # in the styles that a later run may replace
_FIELDS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8), ("Alpha", 0, 9))


class Entry(NamedTuple):
    """A value of a raster, what it stands for, and its colour (``#rrggbb``)."""

    value: int
    name: str
    colour: str


def read_colours(path: str | os.PathLike[str], names: Sequence[str]) -> list[str]:
    """Read the colour of each name from a file.

    Args:
        path: a ``.json`` file with one object, name -> ``#rrggbb``; or a ``.csv`` file with the columns
            ``name`` and ``color``.
        names: the names to colour; the file has each of them once, and no other.

    Returns:
        Colours in the order of ``names``, in lower case.

    Raises:
        InputError: the file cannot be read, has another form, a name twice, an unknown name, a missing name,
            or a colour that is not ``#rrggbb``.
    """
    try:
        text = read_text(path, InputError, _MOST)
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise InputError(f"{path}: cannot read colours: {what}") from error
    pairs = _from_json(path, text) if str(path).lower().endswith(".json") else _from_csv(path, text)
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise InputError(f"{path}: the name {twice[0]!r} occurs more than once; keep one line")
    for name, colour in pairs:
        if not isinstance(colour, str) or not _HEX.fullmatch(colour):
            raise InputError(f"{path}: {name!r}: expected a colour such as #1b9e77; got {colour!r}")
    found = dict(pairs)
    unknown = [name for name in found if name not in names]
    missing = [name for name in names if name not in found]
    if unknown or missing:
        what = f"unknown name {unknown[0]!r}" if unknown else f"no colour for {missing[0]!r}"
        raise InputError(f"{path}: {what}; give one colour for each of {_listed(names)}")
    return [found[name].lower() for name in names]


def _from_json(path: str | os.PathLike[str], text: str) -> list[tuple[str, str]]:
    try:
        found = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON: {error}") from error
    if not text.lstrip().startswith("{"):
        raise InputError(f'{path}: expected one object such as {{"forest": "#1b9e77"}}')
    return [(name, colour) for name, colour in found]


def _from_csv(path: str | os.PathLike[str], text: str) -> list[tuple[str, str]]:
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path}: is not a table of colours: {error}") from error
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    if sorted(head) != ["color", "name"]:
        raise InputError(f"{path}: expected a first line name,color; got {','.join(head) or 'nothing'}")
    wrong = next((row for row in rows[1:] if len(row) != len(head)), None)
    if wrong is not None:
        raise InputError(f"{path}: expected a name and a colour in each line; got {','.join(wrong)!r}")
    name, colour = head.index("name"), head.index("color")
    return [(row[name], row[colour].strip()) for row in rows[1:]]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def table_path(raster: Path) -> Path:
    """Return where GDAL looks for what it knows of a raster beside the raster itself."""
    return raster.with_name(f"{raster.name}.aux.xml")


def style_path(raster: Path) -> Path:
    """Return where QGIS looks for the style of a raster."""
    return raster.with_suffix(".qml")


def refuse_foreign_style(raster: Path) -> None:
    """Refuse to write a raster whose style would replace one that geomoe did not write.

    Raises:
        OutputError: there is such a style.
    """
    path = style_path(raster)
    if path.is_file():
        with path.open("rb") as file:
            ours = MARK in file.read(4096)
        if not ours:
            raise OutputError(f"{path}: geomoe did not write this style; move it, or choose another --output")


def attribute_tables(bands: Mapping[int, Sequence[Entry]]) -> str:
    """Return a raster attribute table for each band, as the text of GDAL's ``.aux.xml``.

    Args:
        bands: number of a band, from 1 -> its values; a value is also the position of its row.
    """
    root = ET.Element("PAMDataset")
    for band, entries in bands.items():
        about = ET.SubElement(root, "PAMRasterBand", band=str(band))
        names = ET.SubElement(about, "CategoryNames")
        for entry in entries:
            ET.SubElement(names, "Category").text = _xml_text(entry.name)
        table = ET.SubElement(about, "GDALRasterAttributeTable", tableType="thematic")
        for index, (name, kind, usage) in enumerate(_FIELDS):
            field = ET.SubElement(table, "FieldDefn", index=str(index))
            for key, value in (("Name", name), ("Type", kind), ("Usage", usage)):
                ET.SubElement(field, key).text = str(value)
        for index, entry in enumerate(entries):
            row = ET.SubElement(table, "Row", index=str(index))
            for cell in (str(entry.value), _xml_text(entry.name), *map(str, _rgb(entry.colour)), "255"):
                ET.SubElement(row, "F").text = cell
    return _written(root)


def qgis_style(band: int, entries: Sequence[Entry]) -> str:
    """Return a QGIS style (``.qml``) that draws one band with a colour and a name for each value."""
    root = ET.Element("qgis", version="3.22", styleCategories="AllStyleCategories")
    pipe = ET.SubElement(root, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band=str(band), opacity="1", alphaBand="-1", nodataColor=""
    )
    palette = ET.SubElement(renderer, "colorPalette")
    for entry in entries:
        label = _xml_text(entry.name)
        ET.SubElement(
            palette, "paletteEntry", value=str(entry.value), color=entry.colour, alpha="255", label=label
        )
    return _written(root, f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{MARK.decode()}\n")


def _written(root: ET.Element, head: str = "") -> str:
    ET.indent(root)
    return head + ET.tostring(root, encoding="unicode") + "\n"


def _xml_text(name: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", name)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))
