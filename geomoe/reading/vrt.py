"""Read untrusted VRT files: rebuild them from allow-listed XML and check every source.

A VRT is text that names other files, and GDAL would accept any name: a server, ``/etc/passwd`` as pixels, a
Python function. This module parses the XML and refuses elements and attributes that are not in the lists
below. Every source must be an image inside one folder. GDAL gets new XML, in which the first bytes of each
source decide the one driver that opens it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from geomoe.errors import DataError, one_line
from geomoe.reading.beside import look_beside, options, refuse_grids, refuse_overviews
from geomoe.reading.gdal import GDAL_ERRORS
from geomoe.reading.kinds import VRT, look
from geomoe.support.files import open_regular

MOST_BYTES = 16 << 20  # size of one file
MOST_SOURCES = 10_000  # in total, nested VRTs included
MOST_DEEP = 3  # nesting depth of VRTs
_MOST_TEXT = 64 << 20  # size of the rebuilt XML

_SOURCE = ("SourceFilename", "SourceBand", "SourceProperties", "SrcRect", "DstRect")
_COMPLEX = (
    *(*_SOURCE, "ScaleOffset", "ScaleRatio", "LUT", "NODATA", "ColorTableComponent", "UseMaskBand"),
    *("Exponent", "SrcMin", "SrcMax", "DstMin", "DstMax", "Clamp"),
)
#: Element -> child elements that it may have; elements without an entry here hold only text.
_CHILDREN: dict[str, tuple[str, ...]] = {
    "VRTDataset": (
        *("SRS", "GeoTransform", "GCPList", "Metadata", "MaskBand", "VRTRasterBand"),
        *("OverviewList", "BlockXSize", "BlockYSize"),
    ),
    "GCPList": ("GCP",),
    "Metadata": ("MDI",),
    "MaskBand": ("VRTRasterBand",),
    "VRTRasterBand": (
        *("Description", "UnitType", "Offset", "Scale", "NoDataValue", "HideNoDataValue", "ColorInterp"),
        *("ColorTable", "CategoryNames", "Metadata", "Histograms", "MaskBand"),
        *("SimpleSource", "ComplexSource", "AveragedSource", "NoDataFromMaskSource"),
    ),
    "ColorTable": ("Entry",),
    "CategoryNames": ("Category",),
    "SimpleSource": _SOURCE,
    "AveragedSource": _SOURCE,
    "ComplexSource": _COMPLEX,
    "NoDataFromMaskSource": (*_SOURCE, "NODATA", "MaskValueThreshold", "RemappedValue"),
}
_RECTANGLE = ("xOff", "yOff", "xSize", "ySize")
_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "VRTDataset": ("rasterXSize", "rasterYSize"),
    "SRS": ("dataAxisToSRSAxisMapping", "coordinateEpoch"),
    "GCPList": ("Projection", "dataAxisToSRSAxisMapping"),
    "GCP": ("Id", "Info", "Pixel", "Line", "X", "Y", "Z", "GCPZ"),
    "Metadata": ("domain",),
    "MDI": ("key",),
    "VRTRasterBand": ("dataType", "band", "blockXSize", "blockYSize", "subClass"),
    "Entry": ("c1", "c2", "c3", "c4"),
    "SourceFilename": ("relativeToVRT", "shared"),
    "SourceProperties": ("RasterXSize", "RasterYSize", "DataType", "BlockXSize", "BlockYSize"),
    "SrcRect": _RECTANGLE,
    "DstRect": _RECTANGLE,
    "OverviewList": ("resampling",),
    **dict.fromkeys(("SimpleSource", "AveragedSource", "ComplexSource"), ("resampling",)),
}
_LEFT_OUT = ("OverviewList", "Histograms")  # known, but not needed
_DOMAINS = ("", "IMAGE_STRUCTURE")  # metadata domains that are kept


class Rebuilt(NamedTuple):
    """A VRT that GDAL may open.

    Attributes:
        xml: the complete VRT; source names are absolute.
        beside: whether some source has sidecar files that GDAL must see.
    """

    xml: str
    beside: bool


def rebuild(path: Path, root: Path) -> Rebuilt:
    """Read a VRT and rebuild it.

    Args:
        path: the file.
        root: folder that must contain every source, after links are resolved.

    Raises:
        DataError: the VRT cannot be read, or it contains or names something that is not allowed.
    """
    builder = _Builder(os.path.realpath(root))
    return Rebuilt(builder.file(Path(os.path.realpath(path)), path, 0), builder.beside)


class _Builder:
    """Rebuilds one VRT and the VRTs nested in it."""

    def __init__(self, root: str) -> None:
        self.root, self.beside, self.count, self.size = root, False, 0, 0
        self._known: dict[tuple[str, int], str] = {}  # real path and depth -> its replacement

    def file(self, path: Path, shown: Path, depth: int) -> str:
        if depth > MOST_DEEP:
            raise _refusal(shown, f"VRTs lie more than {MOST_DEEP} deep in it")
        made = self._element(_parse(path, shown), path.parent, shown, depth)
        text = ElementTree.tostring(made, encoding="unicode")
        self.size += len(text)
        if self.size > _MOST_TEXT:
            raise _refusal(shown, "it grows too large with the VRTs in it")
        return text

    def _element(
        self, given: ElementTree.Element, folder: Path, shown: Path, depth: int
    ) -> ElementTree.Element:
        name = given.tag
        for key, value in given.attrib.items():
            odd = key == "subClass" and value != "VRTSourcedRasterBand"
            if odd or key not in _ATTRIBUTES.get(name, ()):
                raise _refusal(shown, f'it has <{name} {key}="{value[:40]}">')
        made = ElementTree.Element(name, given.attrib)
        made.text = given.text
        if name in ("SRS", "GCPList"):
            refuse_grids(f"{given.text or ''} {given.get('Projection', '')}", shown)
        if name == "SourceFilename":
            made.text = self._source(given, folder, shown, depth)
            made.attrib = {"relativeToVRT": "0"}
        for child in given:
            if child.tag not in _CHILDREN.get(name, ()):
                raise _refusal(shown, f"it has <{str(child.tag)[:60]}> in <{name}>")
            domain = child.get("domain", "") if child.tag == "Metadata" else ""
            if domain.upper() == "OVERVIEWS":
                raise _refusal(shown, "it says where its overviews are")
            if child.tag in _LEFT_OUT or domain not in _DOMAINS:
                continue
            made.append(self._element(child, folder, shown, depth))
        return made

    def _source(self, given: ElementTree.Element, folder: Path, shown: Path, depth: int) -> str:
        self.count += 1
        if self.count > MOST_SOURCES:
            raise _refusal(shown, f"it has more than {MOST_SOURCES:,} sources")
        name = given.text or ""
        if name.startswith("/vsi") or "://" in name or "<" in name or "?" in name or "\0" in name:
            raise _refusal(shown, f"its source {name[:80]!r} is no file")
        real = os.path.realpath(folder / name if given.get("relativeToVRT") == "1" else name)
        if os.path.commonpath([real, self.root]) != self.root:
            raise _refusal(shown, f"its source {name[:80]!r} lies outside {self.root}")
        key = (real, depth)
        if key not in self._known:
            self._known[key] = self._checked(Path(real), shown, depth)
        self.size += len(self._known[key])
        if self.size > _MOST_TEXT:
            raise _refusal(shown, "it grows too large with the VRTs in it")
        return self._known[key]

    def _checked(self, path: Path, shown: Path, depth: int) -> str:
        """Return the replacement of a source in the new XML: a name with its one driver, or a nested VRT."""
        try:
            kind = look(path)
            if kind.driver == VRT:
                return self.file(path, path, depth + 1)
            beside = look_beside(os.fspath(path), kind.driver)
            _refuse_what_it_says(path, kind.driver, beside)
        except DataError as error:
            raise _refusal(shown, f"of its sources: {error}") from error
        self.beside = self.beside or beside
        return f"vrt://{path}?if={kind.driver}"


def _refuse_what_it_says(path: Path, driver: str, beside: bool) -> None:
    import rasterio

    try:
        with rasterio.Env(**options(beside)), rasterio.open(path, driver=driver) as source:
            refuse_overviews(source, path)
            refuse_grids(source.crs.wkt if source.crs else "", path)
    except GDAL_ERRORS as error:
        raise DataError(f"{path}: unreadable image: {one_line(error)}") from error


def _parse(path: Path, shown: Path) -> ElementTree.Element:
    with open_regular(path, DataError) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _refusal(shown, f"it has more than {MOST_BYTES >> 20} MB")
    try:
        text = content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise _refusal(shown, "it declares entities")
        root = ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise _refusal(shown, f"it is no XML in UTF-8 ({one_line(error)})") from error
    if root.tag != "VRTDataset":
        raise _refusal(shown, f"it begins with <{str(root.tag)[:60]}>")
    return root


def _refusal(path: Path, why: str) -> DataError:
    return DataError(f"{path}: refused: this VRT is not read: {why}; see docs/security.md")
